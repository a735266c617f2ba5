// Applying: one batch with the position, exactly once, and only what fits.

package stage2bb_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/sim"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

func TestDataAndPositionAreOneBatch(t *testing.T) {
	d := open(t, once, options{})
	leader := d.Elect(1)
	d.Before = wholeBatches(d)
	d.After = func(s *server, e store.Effect) {
		if _, ok := e.(store.WriteData); ok {
			consistent(d, s)
		}
	}
	for i := range 8 {
		r := leader.WritesBatch(batch(putOp(engine.Default, "a", fmt.Sprint(i)), putOp(engine.Write, fmt.Sprint("b", i%3), "1")))
		if i%3 == 2 {
			leader.WritesBatch(batch(rangeOp("a", "b"), deleteOp("b1")))
		}
		d.Run()
		d.Acked(r)
	}
	d.Tick(2)
	for _, s := range d.Stores {
		d.Check(s.Applied().Index == last(s), "all is applied", "store %d: %d of %d", s.ID, s.Applied().Index, last(s))
		consistent(d, s)
	}
}

// The applied position moves on with entries that change nothing, too: a term's first entry, and what allows to cut the log.
func TestPositionMovesWithEachEntry(t *testing.T) {
	d := open(t, once, options{})
	d.Net = loseAll
	s := d.Store(2)
	compact, err := command.Encode(command.CompactLog{Index: 6, Term: 6})
	d.Must("encoding a CompactLog", err)
	opens := raft.Entry{Term: 6}
	for index, e := range []raft.Entry{opens, {Term: 6, Data: compact}, opens, storedesk.PutEntry(0, 6, "a", "1"), opens} {
		e.Index = uint64(index) + 6
		after := raftlog.Position{Index: e.Index - 1, Term: 6}
		if index == 0 {
			after.Term = 5
		}
		tells(d, s, 6, after.Index, after.Term, e.Index, e)
		d.Check(s.Applied() == raftlog.Position{Index: e.Index, Term: 6},
			fmt.Sprintf("store 2's data store says that %d/6 is applied: %s", e.Index, storedesk.ShowEntry(&e)),
			"it says %s", storedesk.ShowPosition(s.Applied()))
	}
	d.Check(s.Pairs() == "default: a=1", "a=1", "%s", s.Pairs())
}

// A crash before any effect of the leader or of a follower; then the data goes on where its position says.
func TestCrashesNeitherLoseNorRepeat(t *testing.T) {
	for _, id := range []uint64{1, 2} {
		var acked []*request
		eachCrash(t, func() (*desk, *server) {
			d := open(t, once, options{})
			d.Elect(1)
			return d, d.Store(id)
		}, func(d *desk, s *server) {
			acked = nil
			leader := d.Store(1)
			for i := range 3 {
				if leader.Core == nil {
					break
				}
				acked = append(acked, leader.WritesBatch(batch(rangeOp("", ""),
					putOp(engine.Default, fmt.Sprint("k", i), fmt.Sprint(i)))))
				d.Run()
			}
			d.Tick(1)
		}, func(d *desk, s *server) {
			leader := d.AwaitLeader()
			d.Tick(3)
			want := storedesk.Nothing
			for i, r := range acked {
				if r.Acknowledged() {
					want = fmt.Sprintf("default: k%d=%d", i, i)
				}
			}
			for _, o := range d.Stores {
				consistent(d, o)
				if o.Pairs() != leader.Pairs() {
					d.Brokenf("all stores have what the leader has: "+leader.Pairs(), "store %d: %s", o.ID, o.Pairs())
				}
			}
			d.Check(want == storedesk.Nothing || leader.Pairs() >= want, "what was acknowledged, or what came after it: "+want, "%s",
				leader.Pairs())
		})
	}
}

// The data store loses all that was not synced, the log nothing: everything is applied again, from where the data is.
func TestDataIsMadeAnewFromTheLog(t *testing.T) {
	d := open(t, once, options{})
	leader := d.Elect(1)
	for i := range 10 {
		leader.WritesBatch(batch(putOp(engine.Default, "a", fmt.Sprint(i)), deleteOp(fmt.Sprint("b", i-1)),
			putOp(engine.Default, fmt.Sprint("b", i), "1")))
	}
	d.Tick(2)
	want := leader.Pairs()
	d.Store(2).DataLost()
	consistent(d, d.Store(2))
	d.Tick(2)
	d.Check(d.Store(2).Pairs() == want, "store 2 has "+want, "%s", d.Store(2).Pairs())
	leader.DataLost()
	d.AwaitLeader()
	d.Tick(2)
	d.Check(leader.Pairs() == want, "store 1 has "+want, "%s", leader.Pairs())
	consistent(d, leader)
}

// Three entries of 6 MiB are committed at once: more than an engine takes in one batch. Each batch is complete, so that a
// crash between two of them loses nothing and repeats nothing.
func TestMuchIsAppliedInSeveralBatches(t *testing.T) {
	large := func(index uint64, key string) raft.Entry {
		b := new(engine.Batch)
		b.DeleteRange(engine.Default, nil, nil)
		b.Put(engine.Default, []byte(key), []byte(key))
		b.Put(engine.Lock, []byte("l"), make([]byte, 6<<20))
		return written(index, 6, first, b)
	}
	for crash := range 4 {
		d := open(t, once, options{Config: func(c *store.Config) { c.Raft.MaxApplyBytes = 64 << 20 }})
		d.Net = loseAll
		s := d.Store(2)
		tells(d, s, 6, 5, 5, 5, raft.Entry{Index: 6, Term: 6}, large(7, "a"), large(8, "b"), large(9, "c"),
			storedesk.PutEntry(10, 6, "d", "d"))
		batches, whole := 0, wholeBatches(d)
		d.Before = func(o *server, e store.Effect) {
			whole(o, e)
			if _, ok := e.(store.WriteData); !ok {
				return
			}
			if batches == crash {
				o.Crash(storedesk.KeepAll)
			}
			batches++
		}
		tells(d, s, 6, 10, 6, 10)
		d.Before = nil
		if s.Core == nil {
			s.Start()
			at := s.Applied().Index
			want := map[uint64]string{5: "", 6: "", 7: "a", 8: "b", 9: "c", 10: "c"}[at]
			got := ""
			for _, key := range []string{"a", "b", "c"} {
				if s.Get(key) != storedesk.Nothing {
					got += key
				}
			}
			d.Check(got == want, fmt.Sprintf("with the position %d, of the keys a, b and c there is %q", at, want), "%q", got)
			tells(d, s, 6, 10, 6, 10)
		} else if batches < 2 {
			d.Brokenf("several batches", "%d", batches)
		}
		d.Check(s.Applied().Index == 10 && s.Get("c") == "c" && s.Get("d") == "d" && s.Get("b") == storedesk.Nothing,
			"10 is applied: c and d are there, a and b are gone", "applied %d, b=%s c=%s d=%s", s.Applied().Index, s.Get("b"),
			s.Get("c"), s.Get("d"))
	}
}

// Two regions share the batches of a turn: each has its own position.
func TestRegionsShareABatch(t *testing.T) {
	d := open(t, once, options{Regions: 3})
	leader := d.Elect(1)
	d.Before = wholeBatches(d)
	for i := range 5 {
		var all []*request
		for _, key := range []string{"a", "b", "c"} {
			all = append(all, leader.Writes(key, fmt.Sprint(i)), leader.Writes(key+"x", fmt.Sprint(i)))
		}
		d.Run()
		for _, r := range all {
			d.Acked(r)
		}
	}
	d.Tick(2)
	for _, s := range d.Stores {
		for id := uint64(1); id <= 3; id++ {
			d.Check(s.Applied(id).Index == s.State(id).Last.Index, fmt.Sprintf("all of region %d is applied", id),
				"store %d: %d of %d", s.ID,
				s.Applied(id).Index, s.State(id).Last.Index)
		}
		s.DataLost()
	}
	d.AwaitLeader()
	d.Tick(2)
	for _, s := range d.Stores {
		const want = "default: a=4 ax=4 b=4 bx=4 c=4 cx=4"
		d.Check(s.Pairs() == want, want, "store %d: %s", s.ID, s.Pairs())
	}
}

func TestEpochIsComparedAgainWhereItIsApplied(t *testing.T) {
	d := open(t, again, options{Regions: 2})
	d.Net = loseAll
	s := d.Store(2)
	tells(d, s, 6, 5, 5, 6, raft.Entry{Index: 6, Term: 6}, storedesk.PutEntry(7, 6, "a", "before"))
	index := uint64(7)
	for _, c := range []struct {
		name  string
		epoch region.Epoch
		op    engine.Op
		fits  bool
	}{
		{"proposed at an earlier Version", region.Epoch{ConfVer: 1}, putOp(engine.Default, "a", "x"), false},
		{"proposed at a later Version", region.Epoch{ConfVer: 1, Version: 2}, putOp(engine.Default, "a", "x"), false},
		{"a key that the region does not hold", first, putOp(engine.Default, "b", "x"), false},
		{"a range that the region does not hold", first, rangeOp("a", ""), false},
		{"the store's own family", first, putOp(engine.Meta, "a", "x"), false},
		{"proposed at another ConfVer", region.Epoch{ConfVer: 7, Version: 1}, putOp(engine.Default, "a", "y"), true},
	} {
		before := s.Get("a")
		index++
		d.Say("the next entry: put a=%s, and %s", c.name, storedesk.ShowBatch(batch(c.op)))
		e := written(index, 6, c.epoch, batch(putOp(engine.Default, "a", c.name), c.op))
		tells(d, s, 6, index-1, 6, index, e)
		d.Check(s.Core != nil && s.Applied().Index == index,
			fmt.Sprintf("the data store says that %d/6 is applied, whatever it changes", index),
			"it says %s", storedesk.ShowPosition(s.Applied()))
		switch got := s.Get("a"); {
		case c.fits:
			d.Check(got == "y", "it is applied: who holds the region does not matter to what is in it", "a=%s", got)
		case index == 8:
			d.Check(got == "before", "the entry changes nothing, not even what would fit", "a=%s", got)
		default:
			d.Check(got == before && s.Get("b") == storedesk.Nothing,
				"the entry changes nothing, not even what would fit: a="+before, "a=%s b=%s", got, s.Get("b"))
		}
	}
}

// What stands in the log and is no command was written by nobody who is to be trusted: the store ends, loudly. It does not go
// on with what comes after.
func TestEntryThatIsNoCommandEndsTheStore(t *testing.T) {
	whole := storedesk.PutEntry(7, 6, "a", "1")
	for _, c := range []struct {
		what string
		harm func(e *raft.Entry)
	}{
		{"with a flipped bit", func(e *raft.Entry) { e.Data[len(e.Data)/2] ^= 1 }},
		{"without its last byte", func(e *raft.Entry) { e.Data = e.Data[:len(e.Data)-1] }},
		{"of one byte", func(e *raft.Entry) { e.Data = []byte{1} }},
	} {
		d := open(t, corrupt, options{})
		d.Net = loseAll
		s := d.Store(2)
		bad := whole
		bad.Data = append([]byte{}, whole.Data...)
		c.harm(&bad)
		d.Say("store 2's log holds the entry 7/6 %s", c.what)
		var b raftlog.Batch
		b.Append(1, []raft.Entry{{Index: 6, Term: 6}, bad, storedesk.PutEntry(8, 6, "b", "2")})
		b.SetHard(1, raft.HardState{Term: 6, Commit: 8})
		d.Must("writing the log", s.Log.Write(&b, engine.Synced))
		s.MayFail = true
		s.Restart(storedesk.LoseUnsynced)
		d.Run()
		d.Check(s.Halted, "the store halts with replica.ErrCorrupt", "it goes on, and has applied %s",
			storedesk.ShowPosition(s.Applied()))
		d.Check(errors.Is(s.HaltErr, replica.ErrCorrupt), "the store halts with an error that is replica.ErrCorrupt",
			"it is another: %v", s.HaltErr)
		d.Check(s.Get("b") == storedesk.Nothing, "nothing behind it is applied", "b=%s", s.Get("b"))
	}
}

// rules are what the simulator's invariants mean in this stage.
var rules = map[string]string{
	"one-answer":           broken(waits),
	"answers":              broken(waits),
	"acknowledged-applied": broken(acknowledged),
	"refused-applied":      broken(lost),
	"applied-once":         broken(once),
	"apply-order":          broken(once),
	"durable":              broken(once),
	"replicas-equal":       broken(once),
	"atomic-batch":         broken(once),
	"restart":              broken(once),
	"halt":                 "A store ended by itself: an entry that it can't apply (INV-2bb.11), or a write that it can't carry out.",
	"fresh":                broken(together),
	"swap-atomic":          broken(leads),
	"linearizable":         broken(together),
	"state-machine-safety": broken(together),
	"published-applied":    broken(together),
	"liveness":             broken(together),
	"converge":             broken(together),
	"monotone":             broken(together),
}

func TestWritersUnderFaults(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 15, Rules: rules, Options: sim.Options{Ticks: 250},
		Must: []string{"crash", "unknown outcome"}})
}

func TestWritersOfLostLeaders(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 12, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourLeaders},
		Must: []string{"leader cut off", "unknown outcome"}})
}

func TestWritersAmongSnapshots(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 8, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourSnapshots},
		Must: []string{"snapshot installed"}})
}
