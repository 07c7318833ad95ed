// Package backoff says how long to wait before a failed call to the database is repeated.
//
// It knows nothing of what is called.
package backoff

import (
	"context"
	"time"
)

// Max is the longest time between two tries.
const Max = time.Second

// first is the time before the second try.
const first = 20 * time.Millisecond

// Delay is the time to wait before the next try after so many failed ones in a row.
func Delay(failures int) time.Duration {
	return min(first<<min(failures-1, 10), Max)
}

// Sleep waits for d or until ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
