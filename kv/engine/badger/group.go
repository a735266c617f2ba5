//go:build cgo

// Group commit: batches that arrive while a commit is under way wait, and then share the next one, and its sync.
//
//	writer 1   ── commit [1] ──────────┐
//	writer 2      │ waits              └─ commit [2 3 4] ── answers 2, 3, 4
//	writer 3      │ waits                  (by writer 2)
//	writer 4      │ waits
//
// So at most one transaction is in flight, which the check of commit.go relies on, and no goroutine of ours is needed.

package badger

import (
	"sync"

	"tinykv/kv/engine"
)

// groupBytes is the size up to which batches are put together: large enough for one sync to serve hundreds of
// writers, small enough that none waits long for the others.
const groupBytes = 2 << 20

// group queues batches. The zero value is ready.
type group struct {
	mu      sync.Mutex
	waiting []*waiter
	leading bool // somebody commits, or has just been told to
}

// waiter is one call of do.
type waiter struct {
	batch  *engine.Batch
	lead   chan struct{} // told to commit the next group, of which it is the first
	answer chan error
}

// do has b committed, alone or with others, and returns what commit said of its group.
func (g *group) do(b *engine.Batch, commit func([]*engine.Batch) error) error {
	me := &waiter{batch: b, lead: make(chan struct{}, 1), answer: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, me)
	if !g.leading {
		g.leading = true
		me.lead <- struct{}{}
	}
	g.mu.Unlock()

	select {
	case err := <-me.answer:
		return err
	case <-me.lead:
	}
	members, batches := g.take()
	err := commit(batches)
	for _, w := range members {
		w.answer <- err
	}
	g.passOn()
	return err
}

// take removes the next group from the queue. A batch with a range delete goes alone: it may turn out too large,
// and then only its own writer shall hear of it.
func (g *group) take() (members []*waiter, batches []*engine.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	size := 0
	for _, w := range g.waiting {
		alone := hasRangeDelete(w.batch)
		if len(members) > 0 && (alone || size+w.batch.Size() > groupBytes) {
			break
		}
		members, batches = append(members, w), append(batches, w.batch)
		if size += w.batch.Size(); alone {
			break
		}
	}
	g.waiting = append(g.waiting[:0:0], g.waiting[len(members):]...)
	return members, batches
}

// passOn makes the first who waits the leader.
func (g *group) passOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leading = len(g.waiting) > 0; g.leading {
		g.waiting[0].lead <- struct{}{}
	}
}

func hasRangeDelete(b *engine.Batch) bool {
	for op := range b.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return true
		}
	}
	return false
}
