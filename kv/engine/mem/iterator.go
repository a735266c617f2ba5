// Iterators: each move is a search in the tree, because the tree may have changed since the last one.

package mem

import (
	"bytes"

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

type iterator struct {
	s            *snapshot
	cf           engine.CF
	lower, upper []byte // nil or empty: no bound

	at         position
	key, value []byte // of the pair, if at is onPair; copies of ours
	err        error
}

func (it *iterator) First() bool { return it.SeekGE(it.lower) }

func (it *iterator) Last() bool {
	if len(it.upper) > 0 {
		return it.SeekLT(it.upper)
	}
	return it.seekLT(nil, true)
}

func (it *iterator) SeekGE(key []byte) bool {
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	return it.land(offHigh, func(t *versions) *version { return t.atOrAfter(it.cf, key, it.s.seq) })
}

func (it *iterator) SeekLT(key []byte) bool {
	if len(it.upper) > 0 && bytes.Compare(key, it.upper) > 0 {
		key = it.upper
	}
	return it.seekLT(key, false)
}

func (it *iterator) seekLT(key []byte, end bool) bool {
	return it.land(offLow, func(t *versions) *version { return t.before(it.cf, key, end, it.s.seq) })
}

func (it *iterator) Next() bool {
	switch it.at {
	case unpositioned, offLow:
		return it.First()
	case onPair:
		return it.SeekGE(successor(it.key))
	}
	return false
}

func (it *iterator) Prev() bool {
	switch it.at {
	case unpositioned, offHigh:
		return it.Last()
	case onPair:
		return it.seekLT(it.key, false)
	}
	return false
}

// land moves to the pair that search finds, or to off if it finds none within the bounds.
func (it *iterator) land(off position, search func(*versions) *version) bool {
	if it.at == stopped {
		return false
	}
	e := it.s.e
	e.disk.mu.RLock()
	defer e.disk.mu.RUnlock()
	it.key, it.value = nil, nil
	if err := it.s.usable(); err != nil {
		it.at, it.err = stopped, err
		return false
	}
	v := search(e.versions)
	if v == nil || bytes.Compare(v.key, it.lower) < 0 || len(it.upper) > 0 && bytes.Compare(v.key, it.upper) >= 0 {
		it.at = off
		return false
	}
	value, err := v.read()
	if err != nil {
		it.at, it.err = stopped, err
		return false
	}
	it.at, it.key, it.value = onPair, bytes.Clone(v.key), value
	return true
}

func (it *iterator) Valid() bool   { return it.at == onPair }
func (it *iterator) Key() []byte   { return it.key }
func (it *iterator) Value() []byte { return it.value }
func (it *iterator) Err() error    { return it.err }

func (it *iterator) Close() error {
	err := it.err
	it.at, it.key, it.value, it.err = stopped, nil, nil, nil
	return err
}
