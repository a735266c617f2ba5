// The engine: how a batch with range deletes is written.

package inparts

import (
	"errors"
	"fmt"
	"sync"

	"tinykv/kv/engine"
)

// Engine is an engine.Engine whose batches may delete ranges of any length.
type Engine struct {
	inner engine.Engine
	limit int // of a part, by engine.Batch.Size

	// writing is held by every Write: alone by one that may write in parts, so that nothing comes between them.
	writing sync.RWMutex
	failed  error // why no more writes are taken; guarded by writing

	mu     sync.RWMutex // guards the following
	before *shared      // what snapshots show; nil: what the inner engine shows
	closed bool
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine of another one, which belongs to it from then on: nobody else writes to it or closes it.
func New(inner engine.Engine) *Engine { return &Engine{inner: inner, limit: engine.MaxBatchSize} }

// Write implements engine.Engine, but for a batch that is written in parts (see the package's invariant 4). If one of
// its parts can't be written, or the keys that it deletes can't be read, no further write is accepted: a part of it may
// be there, and snapshots may show that.
func (e *Engine) Write(b *engine.Batch, d engine.Durability) error {
	if !deletesRange(b) {
		e.writing.RLock()
		defer e.writing.RUnlock()
		if err := e.refused(); err != nil {
			return err
		}
		return e.inner.Write(b, d)
	}
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.refused(); err != nil {
		return err
	}
	if err := b.Check(); err != nil {
		return err
	}
	return e.write(b, d)
}

func (e *Engine) refused() error {
	if e.failed == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", engine.ErrFailed, e.failed)
}

func deletesRange(b *engine.Batch) bool {
	for op := range b.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return true
		}
	}
	return false
}

// write deletes what the batch deletes, then writes the rest of it.
func (e *Engine) write(b *engine.Batch, d engine.Durability) (err error) {
	rest, gone := plan(b)
	snap, err := e.inner.Snapshot()
	if err != nil {
		return err
	}
	p := parts{engine: e, before: share(snap)}
	defer func() { err = errors.Join(err, p.end(err)) }()
	for cf, ranges := range gone {
		for _, s := range ranges {
			if err := p.deleteAll(engine.CF(cf), s); err != nil {
				return err
			}
		}
	}
	if p.batch.Size()+rest.Size() > e.limit {
		if err := p.write(); err != nil {
			return err
		}
	}
	p.batch.Append(rest)
	return e.inner.Write(&p.batch, d)
}

// parts is a batch on its way.
type parts struct {
	engine *Engine
	before *shared
	batch  engine.Batch // the next part
	begun  bool         // a part is written, and it was not the last
}

// deleteAll adds a delete of each key of a range, and writes a part whenever there is one.
func (p *parts) deleteAll(cf engine.CF, s span) (err error) {
	it, err := p.before.snap.Iterator(cf, engine.IterOptions{Lower: s.start, Upper: s.end})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if cost := len(it.Key()) + engine.OpOverhead; p.batch.Len() > 0 && p.batch.Size()+cost > p.engine.limit {
			if err := p.write(); err != nil {
				return err
			}
		}
		p.batch.Delete(cf, it.Key())
	}
	return nil // the error of the walk is that of Close
}

// write writes what was gathered as a part that is not the last. From the first one on, snapshots show the state before.
func (p *parts) write() error {
	if !p.begun {
		p.begun = true
		p.engine.show(p.before)
	}
	if err := p.engine.inner.Write(&p.batch, engine.Buffered); err != nil {
		return err
	}
	p.batch.Reset()
	return nil
}

// end lets snapshots show what is there, after the last part was written, or one could not be.
func (p *parts) end(failure error) error {
	if p.begun {
		p.engine.show(nil)
	}
	if p.begun && failure != nil && !errors.Is(failure, engine.ErrClosed) {
		p.engine.failed = fmt.Errorf("a batch was written in part: %w", failure)
	}
	return p.before.release()
}

// show decides what snapshots show from now on; nil: what the inner engine does.
func (e *Engine) show(before *shared) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.before = before
	}
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot() (engine.Snapshot, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.before != nil {
		return e.before.reader(), nil
	}
	return e.inner.Snapshot()
}

// ApproximateSize implements engine.Engine.
func (e *Engine) ApproximateSize(cf engine.CF, start, end []byte) (uint64, error) {
	return e.inner.ApproximateSize(cf, start, end)
}

// Close implements engine.Engine. A batch that is being written in parts may be left in the midst, as by a crash; its
// Write answers engine.ErrClosed.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed, e.before = true, nil // a part that is still to come finds the inner engine closed
	e.mu.Unlock()
	return e.inner.Close()
}
