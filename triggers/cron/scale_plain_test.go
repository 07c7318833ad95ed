//go:build !race

package cron_test

// crowd is how many workflows with a hundred schedules each are due at one instant.
const crowd = 100
