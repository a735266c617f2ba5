// Compare-and-swap: write a value if the present one is as expected.

package raw

import (
	"bytes"

	"tinykv/kv/engine"
)

// Swap says what is to be written, and under which condition.
type Swap struct {
	Key []byte

	// The condition. With ExpectAbsent the key must have no pair, and Expected plays no part; otherwise its value
	// must equal Expected byte for byte. An expired pair is absent. An empty value is not absent.
	ExpectAbsent bool
	Expected     []byte

	// The change: what Put would write.
	Value []byte
	TTL   uint64 // seconds, or NoTTL
}

// Swapped says what a swap found, and whether it takes place. What was found is reported in both cases, so a caller
// that lost can try again without another read.
type Swapped struct {
	Succeed  bool
	Existed  bool   // the key had a pair
	Previous []byte // its value
}

// CompareAndSwap looks at the key in the snapshot, and if its pair is as expected, returns the batch that makes the
// change. If it is not, the batch is nil, and that is not an error. What was found is reported in both cases.
//
// The two are one step only if no one else writes the key from before the snapshot is taken until the batch is
// written: the caller sees to it.
// Errors: ErrEmptyKey, ErrKeyTooLarge, ErrValueTooLarge, ErrBadTTL, whether or not the condition holds; those of the
// snapshot.
func CompareAndSwap(snap engine.Snapshot, cf engine.CF, swap Swap, now uint64) (Swapped, *engine.Batch, error) {
	batch, err := Put(cf, swap.Key, swap.Value, swap.TTL, now)
	if err != nil {
		return Swapped{}, nil, err
	}
	previous, existed, err := Get(snap, cf, swap.Key, now)
	if err != nil {
		return Swapped{}, nil, err
	}
	swapped := Swapped{Succeed: swap.holds(previous, existed), Existed: existed, Previous: previous}
	if !swapped.Succeed {
		return swapped, nil, nil
	}
	return swapped, batch, nil
}

// holds tells whether the condition is true for what was found: existed says whether the key has a pair, previous is
// that pair's value. Missing and empty are not the same.
func (s Swap) holds(previous []byte, existed bool) bool {
	if s.ExpectAbsent {
		return !existed
	}
	return existed && bytes.Equal(previous, s.Expected)
}
