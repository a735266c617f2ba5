// Oracle: the state machine that decides which timestamps are granted and what must be durable before.

package tso

import (
	"fmt"
	"slices"
)

const (
	// MaxCount is the most timestamps one request may ask for: all of one millisecond, for a grant never spans two.
	MaxCount = MaxLogical + 1
	// DefaultWindowMillis is how far ahead the bound is made durable: one write in one and a half seconds under load,
	// and a restart that moves physical time ahead by no more than three seconds. What PD uses.
	DefaultWindowMillis = 3000
	// maxWaiting bounds the requests that wait for the disk. Clients batch, so it is never reached in good health.
	maxWaiting = 1 << 16
)

// Options of an Oracle. The zero value is what servers use.
type Options struct {
	WindowMillis int64 // how far ahead of the position the bound is persisted; 0 or less means DefaultWindowMillis
}

// Oracle is the state machine. It is not safe for use by several goroutines at once.
type Oracle struct {
	window int64

	// The position: the next timestamp is at or after (physical, logical). It only moves forward (T1).
	// logical may be MaxLogical+1: then this millisecond is used up.
	physical int64
	logical  int64

	saved  int64 // durable: grants stay below it (T2)
	saving int64 // in flight to the disk, or 0; never below saved (T3)

	waiting []request // in order of arrival; not empty only while saving != 0
	stopped bool
}

type request struct {
	id    uint64
	count uint32
}

// New returns an Oracle that continues where the ones before it left off. saved is the greatest bound that any
// Persist of theirs may have made durable, 0 if there was none. Negative ones count as 0. Nothing is granted before a
// bound of its own is durable.
func New(saved int64, opts Options) *Oracle {
	if opts.WindowMillis <= 0 {
		opts.WindowMillis = DefaultWindowMillis
	}
	saved = max(saved, 0)
	return &Oracle{window: opts.WindowMillis, physical: saved, saved: saved}
}

// Request asks for count timestamps at the time now, in milliseconds since 1970. The id is the driver's, returned in
// the answer. The answer is among the effects returned here or by a later call.
func (o *Oracle) Request(now int64, id uint64, count uint32) []Effect {
	switch {
	case o.stopped:
		return []Effect{Refuse{id, ErrStopped}}
	case count == 0 || count > MaxCount:
		return []Effect{Refuse{id, fmt.Errorf("%w, not %d", ErrCount, count)}}
	case len(o.waiting) >= maxWaiting:
		return []Effect{Refuse{id, ErrBusy}}
	}
	o.waiting = append(o.waiting, request{id, count})
	o.followClock(now)
	return o.serve()
}

// Persisted tells that the bound of the last Persist is durable. It does nothing if none is in flight.
func (o *Oracle) Persisted(now int64) []Effect {
	if o.saving == 0 || o.stopped {
		return nil
	}
	o.followClock(now)
	o.saved, o.saving = o.saving, 0
	return o.serve()
}

// PersistFailed tells that the bound of the last Persist may not be durable. Whoever waited for it is refused with
// ErrStorage; the next request tries again.
func (o *Oracle) PersistFailed(err error) []Effect {
	if o.saving == 0 || o.stopped {
		return nil
	}
	// The disk may hold the old bound or the new one. Both are above all that was granted, so both are a good start
	// for whoever loads it; we go on with the old one.
	o.saving = 0
	return o.refuseWaiting(fmt.Errorf("%w: %w", ErrStorage, err))
}

// Stop ends it: whoever waits, and every request from now on, is refused with ErrStopped. For a leader that is one no
// more, or a server that shuts down. To serve again, load the saved bound and make a New one.
func (o *Oracle) Stop() []Effect {
	o.stopped = true
	return o.refuseWaiting(ErrStopped)
}

// followClock moves the position to the wall clock if that is ahead. A clock that went back is not followed, nor is
// an absurd one. While a bound is on its way to the disk the position stays below it: if it ran ahead with the clock,
// a disk slower than the window would find every bound outdated on arrival, and nobody would be served again (T5).
func (o *Oracle) followClock(now int64) {
	if now > MaxPhysical {
		return
	}
	if o.saving != 0 {
		now = min(now, o.saving-1)
	}
	if now > o.physical {
		o.physical, o.logical = now, 0
	}
}

// serve grants what fits below the durable bound, in order of arrival, and asks for a new bound when the window gets
// short.
func (o *Oracle) serve() []Effect {
	var effects []Effect
	served := 0
	for _, r := range o.waiting {
		physical, logical := o.place(r.count)
		if physical > MaxPhysical {
			o.waiting = slices.Delete(o.waiting, 0, served)
			return append(effects, o.refuseWaiting(ErrExhausted)...)
		}
		if physical >= o.saved {
			break
		}
		last := logical + int64(r.count) - 1
		o.physical, o.logical = physical, last+1
		effects = append(effects, Grant{r.id, r.count, Timestamp{physical, last}})
		served++
	}
	o.waiting = slices.Delete(o.waiting, 0, served)
	return append(effects, o.extend()...)
}

// place is where a grant of count timestamps begins: here, or in the next millisecond if this one has too few left.
func (o *Oracle) place(count uint32) (physical, logical int64) {
	if o.logical+int64(count) > MaxCount {
		return o.physical + 1, 0
	}
	return o.physical, o.logical
}

// extend asks for a bound one window ahead, if somebody waits for it or half of the window is spent.
func (o *Oracle) extend() []Effect {
	if o.saving != 0 || len(o.waiting) == 0 && o.physical+o.window/2 < o.saved {
		return nil
	}
	// At least 2 ahead, so that the next millisecond is below it even with the smallest window.
	upTo := min(o.physical+max(o.window, 2), MaxPhysical+1)
	if upTo <= o.saved {
		return nil // only near the end of time
	}
	o.saving = upTo
	return []Effect{Persist{upTo}}
}

func (o *Oracle) refuseWaiting(err error) []Effect {
	var effects []Effect
	for _, r := range o.waiting {
		effects = append(effects, Refuse{r.id, err})
	}
	o.waiting = o.waiting[:0]
	return effects
}
