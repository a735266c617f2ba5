// Iterators: pebble's walks, in the terms of the engine.

package pebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tinykv/kv/engine"
)

type iterator struct {
	s       *snapshot
	cf      engine.CF
	iter    *pebble.Iterator // nil if the range is empty by its bounds, or after Close
	moved   bool             // false: unpositioned
	onPair  bool
	scratch []byte // the key of a seek, with its prefix
	err     error
}

func (it *iterator) First() bool { return it.move((*pebble.Iterator).First) }
func (it *iterator) Last() bool  { return it.move((*pebble.Iterator).Last) }

func (it *iterator) SeekGE(key []byte) bool {
	return it.move(func(p *pebble.Iterator) bool { return p.SeekGE(it.encode(key)) })
}

func (it *iterator) SeekLT(key []byte) bool {
	return it.move(func(p *pebble.Iterator) bool { return p.SeekLT(it.encode(key)) })
}

func (it *iterator) Next() bool {
	if !it.moved {
		return it.First()
	}
	return it.move((*pebble.Iterator).Next)
}

func (it *iterator) Prev() bool {
	if !it.moved {
		return it.Last()
	}
	return it.move((*pebble.Iterator).Prev)
}

func (it *iterator) move(step func(*pebble.Iterator) bool) bool {
	if it.iter == nil || it.err != nil {
		return false
	}
	it.moved = true
	it.onPair = step(it.iter)
	if !it.onPair {
		if err := it.iter.Error(); err != nil {
			it.err = fmt.Errorf("iterate over %v: %w", it.cf, readError(err))
		}
	}
	return it.onPair
}

func (it *iterator) Valid() bool { return it.onPair }

func (it *iterator) Key() []byte {
	if !it.onPair {
		return nil
	}
	return it.iter.Key()[1:]
}

func (it *iterator) Value() []byte {
	if !it.onPair {
		return nil
	}
	value, err := it.iter.ValueAndErr()
	if err != nil {
		it.err = fmt.Errorf("iterate over %v: %w", it.cf, readError(err))
		it.onPair = false
		return nil
	}
	return value
}

func (it *iterator) Err() error { return it.err }

func (it *iterator) Close() error {
	err := it.err
	it.s.forget(it)
	it.release()
	it.err = nil
	return err
}

// abandon closes an iterator that outlived its snapshot.
func (it *iterator) abandon() {
	it.release()
	it.err = engine.ErrClosed
}

func (it *iterator) release() {
	it.onPair, it.moved = false, true
	if it.iter != nil {
		_ = it.iter.Close() // its error was told by Err already
		it.iter = nil
	}
}

func (it *iterator) encode(key []byte) []byte {
	it.scratch = append(append(it.scratch[:0], cfPrefix[it.cf]), key...)
	return it.scratch
}
