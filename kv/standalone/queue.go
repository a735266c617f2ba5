// The write queue: many who wait, one batch, one sync.
//
//	write ─┐
//	write ─┼─► waiting ──► take what is there ──► one engine.Write with sync ──► answer each
//	write ─┘                 ▲                                                      │
//	                         └──────────── meanwhile the next ones gather ◄─────────┘
//
// Nobody waits for company: a lone write goes at once. Only while the disk is busy do others gather.

package standalone

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// maxWaitingBytes bounds what waits for the disk: four of the largest batches.
const maxWaitingBytes = 4 * engine.MaxBatchSize

// pending is one caller's batch on its way. Who moves its state on from waiting decides what becomes of it.
type pending struct {
	batch *engine.Batch
	state atomic.Uint32
	done  chan error // gets the one answer
}

const (
	waiting   = iota
	taken     // it will be written, and its caller will be told
	abandoned // its caller left before that; it will not be written
)

// queue writes batches to an engine, as many at once as wait.
type queue struct {
	engine engine.Engine
	opts   Options
	broken sync.Once     // tells of the engine's failure
	wake   chan struct{} // holds a token while there may be something to take
	ended  chan struct{} // closed when the writer has stopped

	mu      sync.Mutex // guards the following
	waiting []*pending
	bytes   int // of the batches in waiting
	closed  bool
}

func newQueue(e engine.Engine, opts Options) *queue {
	q := &queue{engine: e, opts: opts, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// write enqueues a batch and waits for its answer.
func (q *queue) write(ctx context.Context, batch *engine.Batch) error {
	p := &pending{batch: batch, done: make(chan error, 1)}
	if err := q.add(p); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		if p.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		// Too late to leave: it is being written, which ends with an answer of the disk's.
		return <-p.done
	}
}

func (q *queue) add(p *pending) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return &region.BusyError{Reason: "it is stopping"}
	}
	if q.bytes+p.batch.Size() > maxWaitingBytes {
		return &region.BusyError{Reason: "too many writes wait for the disk"}
	}
	q.waiting = append(q.waiting, p)
	q.bytes += p.batch.Size()
	q.signal()
	return nil
}

// signal leaves a token for the writer. Callers hold q.mu.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run is the writer.
func (q *queue) run() {
	defer close(q.ended)
	for range q.wake {
		for {
			group, more := q.take()
			if len(group) > 0 {
				q.commit(group)
			}
			if !more {
				break
			}
		}
		if q.isClosed() {
			return
		}
	}
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.waiting) == 0
}

// take returns the next batches to write as one, and whether others wait behind them.
func (q *queue) take() (group []*pending, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size, n := 0, 0
	for _, p := range q.waiting {
		if len(group) > 0 && (size+p.batch.Size() > engine.MaxBatchSize || !mayShare(p) || !mayShare(group[0])) {
			break
		}
		n++
		q.bytes -= p.batch.Size()
		if p.state.CompareAndSwap(waiting, taken) {
			group = append(group, p)
			size += p.batch.Size()
		}
	}
	q.waiting = append(q.waiting[:0:0], q.waiting[n:]...)
	return group, len(q.waiting) > 0
}

// mayShare tells whether a batch may be written together with others. One that deletes a range may not: an engine may
// refuse it for the number of keys in the range, and would refuse its neighbours with it.
func mayShare(p *pending) bool {
	for op := range p.batch.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return false
		}
	}
	return true
}

// commit writes the group as one batch and tells each caller.
func (q *queue) commit(group []*pending) {
	all := group[0].batch
	if len(group) > 1 {
		all = &engine.Batch{}
		for _, p := range group {
			all.Append(p.batch)
		}
	}
	start := time.Now()
	err := q.engine.Write(all, engine.Synced)
	if err == nil {
		q.opts.Wrote(len(group), all.Size(), time.Since(start))
	} else if !refused(err) {
		q.broken.Do(func() { q.opts.Broken(err) })
	}
	for _, p := range group {
		p.done <- err
	}
}

// refused tells whether the error is about the batch: the engine itself is well.
func refused(err error) bool {
	return errors.Is(err, engine.ErrTooLarge) || errors.Is(err, engine.ErrClosed)
}

// close refuses new writes and waits until those that wait are written.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.signal()
	q.mu.Unlock()
	<-q.ended
}
