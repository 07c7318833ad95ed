//go:build race

package cron_test

// crowd is how many workflows with a hundred schedules each are due at one instant: with the
// race detector, which makes a database in Go very slow, enough for several batches.
const crowd = 8
