// What a test may look at from its desk.

package sim

import (
	"errors"
	"math"

	"tinykv/kv/engine"
	"tinykv/kv/replica"
)

// View is what a store has published about its peer.
func (d *Desk) View(storeID uint64) replica.View { return d.c.process(storeID).view }

// Applied is the index that a store has applied; 0 if it is down.
func (d *Desk) Applied(storeID uint64) uint64 {
	if p := d.c.process(storeID); p.core != nil {
		return p.mirror.applied
	}
	return 0
}

// Log returns the indexes of the first and the last entry of a store's log; first is last+1 if it has none.
func (d *Desk) Log(storeID uint64) (first, last uint64) {
	d.t.Helper()
	state, _, err := d.running(storeID).raftLog.State(firstRegion)
	if err != nil {
		d.Fatalf("the log of store %d: %v", storeID, err)
	}
	return state.Truncated.Index + 1, state.Last.Index
}

// Up tells whether a store is running.
func (d *Desk) Up(storeID uint64) bool { return d.c.process(storeID).core != nil }

// Stored returns what a store has under a key on its own disk, whoever leads; "" if there is nothing.
func (d *Desk) Stored(storeID uint64, key string) string {
	d.t.Helper()
	s, err := d.running(storeID).engine.Snapshot()
	if err != nil {
		d.Fatalf("the data of store %d: %v", storeID, err)
	}
	defer s.Close()
	b, err := s.Get(engine.Default, []byte(key))
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		d.Fatalf("the data of store %d: %v", storeID, err)
	}
	return string(b[min(numberBytes, len(b)):])
}

func (d *Desk) running(storeID uint64) *process {
	d.t.Helper()
	p := d.c.process(storeID)
	if p.core == nil {
		d.Fatalf("store %d is down: nobody knows what it holds", storeID)
	}
	return p
}

// Now is the virtual time in whole ticks since the beginning.
func (d *Desk) Now() int { return int(math.Floor(ticks(d.c.now))) }

// Counts are what happened up to now.
func (d *Desk) Counts() Counts { return d.c.counts }

// Saw returns how often something was seen: see Result.Saw.
func (d *Desk) Saw(what string) int {
	res := Result{Saw: d.c.sights}
	return res.Count(what)
}

// Story is what happened, line by line.
func (d *Desk) Story() []string { return d.c.story }

// Finish ends the story: the network heals, disks are well, all stores come back and must agree, and the history must be
// linearizable. The end of the test does it if the test does not.
func (d *Desk) Finish() {
	d.t.Helper()
	d.guarded(func() {
		if !d.c.ending {
			d.c.do(Decision{Verb: VerbCalm})
			d.c.converge()
		}
	})
}
