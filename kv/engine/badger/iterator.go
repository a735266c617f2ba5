//go:build cgo

// Iterators: a badger iterator walks one way only, so ours has one for each way and turns by a seek.
//
//	offLow ◄── Prev ── pair ── Next ──► offHigh         unpositioned: Next is First, Prev is Last
//	   └── Next: First    ▲    Prev: Last ──┘

package badger

import (
	"bytes"
	"fmt"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
)

// position says where an iterator stands.
type position int

const (
	unpositioned position = iota
	onPair
	offLow  // ran off the low end
	offHigh // ran off the high end
	stopped // by an error, or closed
)

// iterator implements engine.Iterator.
type iterator struct {
	s            *snapshot
	cf           engine.CF
	lower, upper []byte // encoded; both are set always, so no walk leaves its family

	forward, reverse *badger.Iterator // nil until they are needed
	reversed         bool             // the last move was made with reverse, which stands where this iterator stands

	at         position
	key, value []byte // of the pair: encoded key, unsealed value; copies of ours, used again by the next pair
	err        error
}

// First implements engine.Iterator.
func (it *iterator) First() bool { return it.seekGE(it.lower) }

// Last implements engine.Iterator.
func (it *iterator) Last() bool { return it.seekLT(it.upper) }

// SeekGE implements engine.Iterator.
func (it *iterator) SeekGE(key []byte) bool { return it.seekGE(encodeKey(it.cf, key)) }

// SeekLT implements engine.Iterator.
func (it *iterator) SeekLT(key []byte) bool { return it.seekLT(encodeKey(it.cf, key)) }

// Next implements engine.Iterator. On a pair it moves the forward iterator, and land takes over where that stands.
// If the last move was a reverse one, the forward iterator does not stand on this pair, and must be brought behind
// it by a seek. What it does off the ends and unpositioned is in the picture above. Stopped, it stays.
func (it *iterator) Next() bool {
	switch it.at {
	case unpositioned, offLow:
		return it.First()
	case onPair:
		if it.reversed {
			return it.seekGE(append(it.key, 0)) // the least key above this one
		}
		it.forward.Next()
		return it.land(it.forward)
	}
	return false
}

// Prev implements engine.Iterator. It mirrors Next: on a pair it moves the reverse iterator, which a forward move
// has left elsewhere. (Badger's iterators have only a Next: in a reverse one it goes to the key before.)
func (it *iterator) Prev() bool {
	switch it.at {
	case unpositioned, offHigh:
		return it.Last()
	case onPair:
		if !it.reversed {
			return it.seekLT(it.key)
		}
		it.reverse.Next()
		return it.land(it.reverse)
	}
	return false
}

// seekGE moves to the first pair whose encoded key is >= key, with the forward iterator, which it makes if there is
// none yet. A key below lower counts as lower. The last word has land. It returns whether the iterator stands on a
// pair; a stopped one never does. It does not hold s.mu: nobody may move an iterator while its snapshot is closed.
func (it *iterator) seekGE(key []byte) bool {
	if it.at == stopped {
		return false
	}
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	if it.forward == nil {
		it.forward = it.s.txn.NewIterator(badger.IteratorOptions{StartKey: it.lower, EndKey: it.upper})
	}
	it.reversed = false
	it.forward.Seek(key)
	return it.land(it.forward)
}

// seekLT moves to the last pair whose encoded key is < key, with the reverse iterator, which it makes if there is
// none yet. A key above upper counts as upper. Mind that Seek of a reverse badger iterator goes to the last key <=
// the one given. Otherwise it is as seekGE.
func (it *iterator) seekLT(key []byte) bool {
	if it.at == stopped {
		return false
	}
	if bytes.Compare(key, it.upper) > 0 {
		key = it.upper
	}
	if it.reverse == nil {
		it.reverse = it.s.txn.NewIterator(badger.IteratorOptions{Reverse: true, StartKey: it.lower, EndKey: it.upper})
	}
	it.reversed = true
	it.reverse.Seek(key) // to the last key <= key
	if it.reverse.Valid() && bytes.Equal(it.reverse.Item().Key(), key) {
		it.reverse.Next()
	}
	return it.land(it.reverse)
}

// land takes over the pair on which b stands, which is the badger iterator that was moved last, and returns whether
// there is one within [lower, upper). Then at is onPair, and key and value are copies, in memory that is used
// again, of the encoded key and of the unsealed value (see [unseal]). Otherwise at tells the end that was run off:
// the low one after a reverse move, else the high one. A value that can't be read, or whose seal is broken, stops
// the iterator with that error (see iterator.stop).
func (it *iterator) land(b *badger.Iterator) bool {
	inside := b.Valid()
	if inside {
		key := b.Item().Key()
		inside = bytes.Compare(key, it.lower) >= 0 && bytes.Compare(key, it.upper) < 0
	}
	if !inside {
		it.at = offHigh
		if it.reversed {
			it.at = offLow
		}
		return false
	}
	item := b.Item()
	it.key = append(it.key[:0], item.Key()...)
	stored, err := item.Value()
	if err == nil {
		stored, err = unseal(it.key, stored)
	}
	if err != nil {
		it.stop(fmt.Errorf("iterate over %v: %w", it.cf, err))
		return false
	}
	it.value = append(it.value[:0], stored...)
	it.at = onPair
	return true
}

// Valid implements engine.Iterator.
func (it *iterator) Valid() bool { return it.at == onPair }

// Key implements engine.Iterator.
func (it *iterator) Key() []byte {
	if it.at != onPair {
		return nil
	}
	return decodeKey(it.key)
}

// Value implements engine.Iterator.
func (it *iterator) Value() []byte {
	if it.at != onPair {
		return nil
	}
	return it.value
}

// Err implements engine.Iterator.
func (it *iterator) Err() error { return it.err }

// Close implements engine.Iterator.
func (it *iterator) Close() error {
	err := it.err
	it.s.forget(it)
	it.stop(nil)
	return err
}

// stop releases the badger iterators and leaves err for Err. Every later move returns false.
func (it *iterator) stop(err error) {
	it.at, it.err = stopped, err
	for _, b := range []*badger.Iterator{it.forward, it.reverse} {
		if b != nil {
			b.Close()
		}
	}
	it.forward, it.reverse = nil, nil
}
