// IDs: numbers for stores, regions and peers, each handed out once in the life of a cluster.

package cluster

import (
	"fmt"
	"math"
)

// DefaultIDStep is how many ids one write to disk makes available. A restart skips those not used: there are 2^64.
const DefaultIDStep = 1000

// IDs hands out ids below a bound that is durable, as timestamps are handed out. The zero value of a bound is that of
// a new cluster, whose first id is 1.
type IDs struct {
	next  uint64 // handed out next
	bound uint64 // durable: every id handed out is below it
	step  uint64
}

// NewIDs continues after the ids that others handed out. saved is the greatest bound that may have been made durable,
// 0 if none was. A step of 0 means DefaultIDStep.
func NewIDs(saved, step uint64) *IDs {
	if step == 0 {
		step = DefaultIDStep
	}
	saved = max(saved, 1)
	return &IDs{next: saved, bound: saved, step: step}
}

// Need returns the bound that must be durable before count more ids can be handed out, and whether it is not so yet.
// The driver saves it and calls Saved. Error: ErrInvalid for a count of zero or one that cannot be met.
func (a *IDs) Need(count uint64) (bound uint64, save bool, err error) {
	if count == 0 || count > math.MaxUint64-a.next-a.step {
		return 0, false, fmt.Errorf("%w: %d ids asked for at once", ErrInvalid, count)
	}
	if a.next+count <= a.bound {
		return a.bound, false, nil
	}
	return a.next + count - 1 + a.step, true, nil
}

// Saved tells that bound is durable.
func (a *IDs) Saved(bound uint64) { a.bound = max(a.bound, bound) }

// Take hands out count ids and returns the first. Need must have said that nothing is to be saved.
func (a *IDs) Take(count uint64) (first uint64) {
	if a.next+count > a.bound {
		panic("cluster: C6: ids taken beyond the durable bound")
	}
	first = a.next
	a.next += count
	return first
}

// NeedSkip returns the bound that must be durable before Skip(last), and whether it is not so yet. Error: ErrInvalid for
// an id that would leave too few.
func (a *IDs) NeedSkip(last uint64) (bound uint64, save bool, err error) {
	if last >= math.MaxUint64/2 {
		return 0, false, fmt.Errorf("%w: id %d is too large, choose a smaller one", ErrInvalid, last)
	}
	if last < a.bound {
		return a.bound, false, nil
	}
	return last + a.step, true, nil
}

// Skip makes sure that no id up to last is handed out from now on: others have chosen it by themselves, as the first
// stores of a cluster do. NeedSkip must have said that nothing is to be saved.
func (a *IDs) Skip(last uint64) {
	if last >= a.bound {
		panic("cluster: C6: ids skipped beyond the durable bound")
	}
	a.next = max(a.next, last+1)
}
