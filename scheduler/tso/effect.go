// Effects: what Oracle wants done. Doing it is the driver's job.

package tso

import "errors"

// Effect is one of Persist, Grant and Refuse.
type Effect interface{ effect() }

// Persist asks the driver to make UpTo durable: the promise that nothing at or above it has been handed out. The driver
// answers with Persisted or PersistFailed. No second Persist comes before that.
type Persist struct {
	UpTo int64 // milliseconds since 1970
}

// Grant answers a request: the caller owns the Count timestamps that end with Last, all of the same physical time.
type Grant struct {
	ID    uint64
	Count uint32
	Last  Timestamp
}

// First is the earliest timestamp of the grant.
func (g Grant) First() Timestamp {
	return Timestamp{Physical: g.Last.Physical, Logical: g.Last.Logical - int64(g.Count) + 1}
}

// Refuse answers a request that gets no timestamps. Err is, or wraps, one of the errors below.
type Refuse struct {
	ID  uint64
	Err error
}

func (Persist) effect() {}
func (Grant) effect()   {}
func (Refuse) effect()  {}

// Why a request is refused. Test with errors.Is.
var (
	// ErrCount: the request asks for no timestamps, or for more than MaxCount. Ask again in smaller portions.
	ErrCount = errors.New("timestamps asked for at once must be 1 to 262144")
	// ErrBusy: too many requests already wait for the disk. Retry later.
	ErrBusy = errors.New("too many requests wait for timestamps, retry later")
	// ErrStorage: the bound could not be made durable. Retry; when it persists, look after the scheduler's disk.
	ErrStorage = errors.New("the bound of timestamps could not be made durable")
	// ErrStopped: this scheduler no longer hands out timestamps. Find the leader and ask there. The text is one that
	// TiKV's clients recognise as the order to do so.
	ErrStopped = errors.New("not leader: timestamps are not served here any more")
	// ErrExhausted: physical time has reached MaxPhysical. The clock, or the saved bound, is wrong by a thousand years.
	ErrExhausted = errors.New("timestamps are used up: the clock or the saved bound is in the year 3084")
)
