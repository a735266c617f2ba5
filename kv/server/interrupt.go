// A snapshot whose reads stop when the request ends, so that nobody walks a whole store for a client that has left, and
// are charged to the request, so that all answers together stay within the budget.

package server

import (
	"context"

	"tinykv/kv/engine"
)

// checkEvery is how many pairs are read between two looks at the context, which takes a lock.
const checkEvery = 256

// interruptible returns snap with reads that end with the error of ctx once ctx is done, and with region.BusyError when
// there is no memory left for what they return. It is for one goroutine.
func interruptible(ctx context.Context, snap engine.Snapshot) engine.Snapshot {
	return &interruptibleSnapshot{Snapshot: snap, ctx: ctx, charge: chargeOf(ctx)}
}

type interruptibleSnapshot struct {
	engine.Snapshot
	ctx    context.Context
	charge *charge
	gets   int
}

func (s *interruptibleSnapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	s.gets++
	if s.gets%checkEvery == 0 && s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	value, err := s.Snapshot.Get(cf, key)
	if err == nil {
		err = s.charge.add(len(key) + len(value))
	}
	return value, err
}

func (s *interruptibleSnapshot) Iterator(cf engine.CF, options engine.IterOptions) (engine.Iterator, error) {
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	it, err := s.Snapshot.Iterator(cf, options)
	if err != nil {
		return nil, err
	}
	return &interruptibleIterator{Iterator: it, ctx: s.ctx, charge: s.charge}, nil
}

type interruptibleIterator struct {
	engine.Iterator
	ctx     context.Context
	charge  *charge
	steps   int
	stopped error
}

func (it *interruptibleIterator) Next() bool { return it.goOn() && it.Iterator.Next() }
func (it *interruptibleIterator) Prev() bool { return it.goOn() && it.Iterator.Prev() }

// Value is charged, because who looks at a value usually keeps it. The walk ends at the next step if it can't be.
func (it *interruptibleIterator) Value() []byte {
	value := it.Iterator.Value()
	if err := it.charge.add(len(it.Iterator.Key()) + len(value)); err != nil && it.stopped == nil {
		it.stopped = err
	}
	return value
}

func (it *interruptibleIterator) Err() error {
	if it.stopped != nil {
		return it.stopped
	}
	return it.Iterator.Err()
}

// Close returns what ended the walk, as every iterator does.
func (it *interruptibleIterator) Close() error {
	err := it.Iterator.Close()
	if it.stopped != nil {
		return it.stopped
	}
	return err
}

func (it *interruptibleIterator) goOn() bool {
	it.steps++
	if it.steps%checkEvery == 0 && it.ctx.Err() != nil {
		it.stopped = context.Cause(it.ctx)
	}
	return it.stopped == nil
}
