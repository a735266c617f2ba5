// Reading by range, in either direction.

package raw

import (
	"bytes"
	"fmt"

	"tinykv/kv/engine"
)

// ScanOptions say what Scan reads. Start is where it starts and End where it ends, in the direction of the scan:
//
//	forward:  Start <= key < End   upwards     an empty Start is the first key, an empty End is beyond the last
//	reverse:  End <= key < Start   downwards   an empty Start is beyond the last key, an empty End is the first
//
// In both directions the lower bound belongs to the range and the upper one doesn't. A forward scan continues behind
// the last key it got, that is at that key with a zero byte appended; a reverse scan continues at that key itself.
type ScanOptions struct {
	Start, End []byte
	Limit      uint32 // the most pairs to return; 0 returns none
	KeyOnly    bool   // leave the values out
	Reverse    bool
}

// bounds returns the range of the scan as the lower and the upper bound, whatever its direction. The lower one belongs
// to the range, the upper one does not.
func (o ScanOptions) bounds() (lower, upper []byte) {
	if o.Reverse {
		return o.End, o.Start
	}
	return o.Start, o.End
}

// Scan returns the pairs in the range of the options, in the direction of the scan, at most Limit of them. Expired
// pairs are passed over and do not count. With KeyOnly every value is nil. Keys and values are copies, and their sum is
// bounded (see result.add). When it has enough, it moves no further.
// Errors: ErrInvertedRange, ErrKeyTooLarge, ErrBadLimit; ErrResultTooLarge; those of the snapshot. With an error
// there are no pairs.
func Scan(snap engine.Snapshot, cf engine.CF, options ScanOptions, now uint64) ([]Pair, error) {
	lower, upper := options.bounds()
	if err := checkRange(lower, upper); err != nil {
		return nil, err
	}
	if options.Limit > MaxScanLimit {
		return nil, fmt.Errorf("%w: %d pairs (as a signed number %d), at most %d", ErrBadLimit, options.Limit,
			int32(options.Limit), MaxScanLimit)
	}
	var found result
	err := walk(snap, cf, lower, upper, options.Reverse, now, func(key, value []byte) (more bool, err error) {
		if len(found.pairs) == int(options.Limit) { // it is 0
			return false, nil
		}
		if options.KeyOnly {
			value = nil
		} else {
			value = append([]byte{}, value...)
		}
		err = found.add(bytes.Clone(key), value)
		return len(found.pairs) < int(options.Limit), err
	})
	if err != nil {
		return nil, err
	}
	return found.pairs, nil
}

// walk visits the live pairs in [lower, upper), upwards or downwards, until the range ends or visit returns false or
// an error. What visit is given, the key and the value as clients know it (see decodeValue), is valid only until it
// returns. Pairs that have expired by now are passed over. The iterator is closed on every path.
// Errors: that of visit; those of the snapshot; what stopped the iterator, which must not pass for the end of the
// range; engine.ErrCorrupt.
func walk(snap engine.Snapshot, cf engine.CF, lower, upper []byte, reverse bool, now uint64,
	visit func(key, value []byte) (more bool, err error)) (err error) {
	it, err := snap.Iterator(cf, engine.IterOptions{Lower: lower, Upper: upper})
	if err != nil {
		return err
	}
	defer func() {
		// The iterator's own error says why it stopped, so it must not pass for the end of the range.
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		value, at, err := decodeValue(it.Value())
		if err != nil {
			return fmt.Errorf("key %s: %w", quote(it.Key()), err)
		}
		if expired(at, now) {
			continue
		}
		if more, err := visit(it.Key(), value); !more || err != nil {
			return err
		}
	}
	return nil
}

// BatchScan returns the pairs of several scans of one snapshot, one scan after the other.
// Errors: those of Scan for any of them, and then there are no pairs. MaxResultSize bounds all of them together.
func BatchScan(snap engine.Snapshot, cf engine.CF, scans []ScanOptions, now uint64) ([]Pair, error) {
	var found result
	for _, options := range scans {
		pairs, err := Scan(snap, cf, options, now)
		if err != nil {
			return nil, err
		}
		for _, pair := range pairs {
			if err := found.add(pair.Key, pair.Value); err != nil {
				return nil, err
			}
		}
	}
	return found.pairs, nil
}
