// The clock of leases.

//go:build !linux

package replicated

import "time"

var processStart = time.Now()

// clockReading is the time on the process's monotonic clock. It may stand still while the machine sleeps: such a machine
// should not run with reads by lease.
func clockReading() time.Duration { return time.Since(processStart) }
