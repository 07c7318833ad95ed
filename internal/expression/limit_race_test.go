//go:build race

package expression_test

import "time"

// timeLimit is how long a bomb may take under the race detector, on a machine that runs
// other tests beside it. What is promised is tested without (scripts/test).
const timeLimit = 60 * time.Second
