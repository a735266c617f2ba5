// Package latch keeps requests that touch the same keys apart for a moment.
//
// A latch is held from before a request looks at its keys until its write is done. It is not a lock of a transaction:
// it lives in memory, for milliseconds, and knows nothing of values.
//
//	shared      writes that look at nothing (put, delete): any number at once, so they can share one sync of the disk
//	exclusive   reads whose outcome decides a write (compare-and-swap): alone on their keys
//
// # What always holds
//
//  1. While a request holds a key exclusively no one else holds it.
//  2. No deadlock: every request takes all its latches in one call, in the order of their slots.
//  3. First come, first served, per slot: a stream of shared holders can't starve an exclusive one.
//
// Keys are hashed onto a fixed number of slots, and what is latched is the slot. Two keys that share one wait for
// each other without need, which costs a little time and never an answer.
//
// # What it leaves out
//
// It does not nest: a request that holds latches and asks for more may deadlock with another that does the same.
package latch

import (
	"context"
	"hash/maphash"
	"math"
	"slices"

	"golang.org/x/sync/semaphore"
)

// A slot is a semaphore of this weight: a shared holder takes 1 of it, an exclusive one all.
const whole = math.MaxInt32

// Table is a set of latches. Its methods may be called from any goroutine.
type Table struct {
	seed  maphash.Seed
	slots []*semaphore.Weighted
}

// New makes a table with that many slots. With n requests at once that hold k keys each, a thousand times n*k makes
// needless waits rare; 4096 slots take 400 KiB.
func New(slots int) *Table {
	t := &Table{seed: maphash.MakeSeed(), slots: make([]*semaphore.Weighted, slots)}
	for i := range t.slots {
		t.slots[i] = semaphore.NewWeighted(whole)
	}
	return t
}

// Shared latches the keys against exclusive holders. Call release once, when the write is done or given up.
// Error: that of ctx, if it ends before all latches are held; then none is.
func (t *Table) Shared(ctx context.Context, keys ...[]byte) (release func(), err error) {
	return t.acquire(ctx, t.slotsOf(keys), 1)
}

// Exclusive latches the keys against everybody else. Release and error are as for Shared.
func (t *Table) Exclusive(ctx context.Context, keys ...[]byte) (release func(), err error) {
	return t.acquire(ctx, t.slotsOf(keys), whole)
}

// SharedAll latches all keys there are against exclusive holders: for writes to a range. Release and error are as for
// Shared.
func (t *Table) SharedAll(ctx context.Context) (release func(), err error) {
	all := make([]int, len(t.slots))
	for i := range all {
		all[i] = i
	}
	return t.acquire(ctx, all, 1)
}

// slotsOf returns the slots of the keys, each once, in their order.
func (t *Table) slotsOf(keys [][]byte) []int {
	slots := make([]int, len(keys))
	for i, key := range keys {
		slots[i] = int(maphash.Bytes(t.seed, key) % uint64(len(t.slots)))
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

func (t *Table) acquire(ctx context.Context, slots []int, weight int64) (release func(), err error) {
	for i, slot := range slots {
		if err := t.slots[slot].Acquire(ctx, weight); err != nil {
			t.release(slots[:i], weight)
			return nil, err
		}
	}
	return func() { t.release(slots, weight) }, nil
}

func (t *Table) release(slots []int, weight int64) {
	for _, slot := range slots {
		t.slots[slot].Release(weight)
	}
}
