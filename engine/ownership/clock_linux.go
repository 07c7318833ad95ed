package ownership

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is the time since the machine started, suspension included: Go's monotonic
// clock stands still while a laptop or a virtual machine sleeps.
func bootClock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0 // not on Linux 2.6.39 and later
	}
	return time.Duration(now.Nano())
}
