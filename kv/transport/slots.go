// Slots: how many snapshots may be under way at once, and a share of that for each store.

package transport

import (
	"context"
	"sync"
)

// slots are taken and freed by store. No store has more than half of them, so that one that is slow leaves some to the
// others.
type slots struct {
	most, share int

	mu     sync.Mutex // guards the following
	taken  int
	stores map[uint64]int // those taken by each store that has any
	freed  chan struct{}  // closed when one is freed
}

func newSlots(most int) *slots {
	return &slots{most: most, share: (most + 1) / 2, stores: map[uint64]int{}, freed: make(chan struct{})}
}

// take takes a slot for a store. False: there is none, or none for this store.
func (s *slots) take(store uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most || s.stores[store] >= s.share {
		return false
	}
	s.taken++
	s.stores[store]++
	return true
}

// await is take that waits for a slot. Error: the cause of ctx's end.
func (s *slots) await(ctx context.Context, store uint64) error {
	for {
		freed := s.next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if s.take(store) {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
}

// next is closed by the next free.
func (s *slots) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// free gives back what take has taken.
func (s *slots) free(store uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.stores[store]--; s.stores[store] == 0 {
		delete(s.stores, store)
	}
	close(s.freed)
	s.freed = make(chan struct{})
}
