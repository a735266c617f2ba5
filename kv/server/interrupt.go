// A snapshot whose iterators stop when the request ends, so that nobody walks a whole store for a client that has left.

package server

import (
	"context"

	"tinykv/kv/engine"
)

// checkEvery is how many pairs an iterator passes between two looks at the context, which takes a lock.
const checkEvery = 256

// interruptible returns snap with iterators that end with the error of ctx once ctx is done.
func interruptible(ctx context.Context, snap engine.Snapshot) engine.Snapshot {
	return interruptibleSnapshot{snap, ctx}
}

type interruptibleSnapshot struct {
	engine.Snapshot
	ctx context.Context
}

func (s interruptibleSnapshot) Iterator(cf engine.CF, options engine.IterOptions) (engine.Iterator, error) {
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	it, err := s.Snapshot.Iterator(cf, options)
	if err != nil {
		return nil, err
	}
	return &interruptibleIterator{Iterator: it, ctx: s.ctx}, nil
}

type interruptibleIterator struct {
	engine.Iterator
	ctx     context.Context
	steps   int
	stopped error
}

func (it *interruptibleIterator) Next() bool { return it.goOn() && it.Iterator.Next() }
func (it *interruptibleIterator) Prev() bool { return it.goOn() && it.Iterator.Prev() }

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
