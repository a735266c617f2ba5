// The clock of leases.

package replicated

import (
	"time"

	"golang.org/x/sys/unix"
)

// clockReading is the time on a clock that nobody sets and that goes on while the machine sleeps: other stores do not
// wait for it, so its leases must not outlast its sleep.
func clockReading() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("replicated: this system has no clock that goes on while it sleeps: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
