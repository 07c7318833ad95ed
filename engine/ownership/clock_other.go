//go:build !linux

package ownership

import "time"

// bootClock falls back to the wall clock: it counts time asleep, and the monotonic clock
// does not.
func bootClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
