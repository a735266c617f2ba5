// The inbox: what waits for the loop, and how much of it there may be.
//
//	requests   of clients          beyond the bound the client is told that the store is busy
//	messages   of other stores     beyond the bound their stream waits; at its other end, raft sends what matters again
//	reports    of our own work     always taken: there are no more of them than things begun
//
// Each kind has a bound of its own, so that a peer that sends too much takes no room from clients, and clients can't keep
// a store from hearing its leader.

package replicated

import (
	"context"
	"sync"

	"tinykv/kv/region"
	"tinykv/kv/store"
)

// item is an event and, if it is a request, who waits for its answer.
type item struct {
	event   store.Event
	caller  *caller
	failure error // set in place of an event: a disk failed in the background
	bytes   int
	kind    kind
}

type kind uint8

const (
	report kind = iota
	request
	message
	numKinds
)

// overheadBytes is what an event takes beside the bytes that it carries: about.
const overheadBytes = 256

// inbox is a bounded queue with one reader.
type inbox struct {
	limit [numKinds]int // bytes that may wait; 0: no bound
	wake  chan struct{} // holds a token while there may be something to take

	mu      sync.Mutex // guards all below
	waiting []item
	bytes   [numKinds]int
	closed  bool
	room    chan struct{} // closed when there is room again, if somebody waits for that; nil: nobody does
}

func newInbox(requestBytes, messageBytes int) *inbox {
	b := &inbox{wake: make(chan struct{}, 1)}
	b.limit[request], b.limit[message] = requestBytes, messageBytes
	return b
}

// post puts an item in line. One item of each kind is always taken, however large. Errors: region.BusyError beyond the
// bound of its kind; after close that of closedFor for a request, and none for others, which nobody misses.
func (b *inbox) post(it item) error {
	it.bytes += overheadBytes
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		if it.kind == request {
			return closedFor(it.event)
		}
		return nil
	}
	if limit, used := b.limit[it.kind], b.bytes[it.kind]; limit > 0 && used > 0 && used+it.bytes > limit {
		return &region.BusyError{Reason: "too much waits for its turn"}
	}
	b.bytes[it.kind] += it.bytes
	b.waiting = append(b.waiting, it)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// postWhenRoom is post for what waits for room instead of being refused. Error: that of ctx, if it ends before.
func (b *inbox) postWhenRoom(ctx context.Context, it item) error {
	for b.post(it) != nil {
		room := b.awaitRoom()
		if b.post(it) == nil { // there was room again before we waited for it
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// awaitRoom returns a channel that is closed by the next take.
func (b *inbox) awaitRoom() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}

// take returns all that waits, in the order of arrival. It takes empty's memory for what comes next.
func (b *inbox) take(empty []item) []item {
	clear(empty) // events of the past are garbage; what is behind them was cleared before
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiting
	b.waiting, b.bytes = empty[:0], [numKinds]int{}
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return taken
}

// close refuses everything from now on, and returns what still waited.
func (b *inbox) close() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	rest := b.waiting
	b.waiting = nil
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return rest
}
