//go:build !race

package expression_test

import "time"

// timeLimit is how long a bomb may take.
const timeLimit = 3 * time.Second
