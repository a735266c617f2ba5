package storedesk

import (
	"strings"
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

var rule = explain.Rule{ID: "INV-0.1", Says: "the desk works"}

func TestAWriteReachesAllStores(t *testing.T) {
	d := Open(t, rule, Options{})
	leader := d.Elect(2)
	leader.Puts("a", "1")
	d.Tick(2)
	for _, s := range d.Stores {
		if got := s.Get("a"); got != "1" {
			t.Errorf("store %d has %s\n%s", s.ID, got, d.Record())
		}
		if got := s.Pairs(); got != "default: a=1" {
			t.Errorf("store %d has the pairs %s", s.ID, got)
		}
	}
	r := leader.Reads("a", "b")
	d.Run()
	if len(r.Values) != 2 || r.Values[0] != "1" || r.Values[1] != Nothing {
		t.Errorf("%s: %v", r, r.Values)
	}
	if state, entries := leader.OnDisk(); state.Last.Index != 7 || !strings.Contains(ShowEntries(entries), "7/6 {a=1}") {
		t.Errorf("on disk: %v %s\n%s", state, ShowEntries(entries), d.Record())
	}
}

// A crash before each effect in turn: what the test sees is what the store did before.
func TestACrashBeforeAnyEffect(t *testing.T) {
	for _, keep := range []Keep{LoseUnsynced, KeepAll, KeepSome} {
		for at := 0; ; at++ {
			d := Open(t, rule, Options{})
			leader := d.Elect(1)
			count := 0
			d.Before = func(s *Store, _ store.Effect) {
				if s == leader {
					if count == at {
						s.Crash(keep)
					}
					count++
				}
			}
			r := leader.Writes("a", "1")
			d.Run()
			d.Before = nil
			if leader.Core != nil {
				if at < 4 {
					t.Fatalf("only %d effects", at)
				}
				break
			}
			leader.Start()
			next := d.AwaitLeader()
			d.Tick(2)
			if r.Acknowledged() && next.Get("a") != "1" {
				d.Broken("a=1", next.Get("a"))
			}
		}
	}
}

func TestTheNetworkDoesAsItIsTold(t *testing.T) {
	d := Open(t, rule, Options{Stores: 2})
	leader := d.Elect(1)
	d.Net = func(m *replica.Message) Fate {
		if m.Raft.Type == raft.MsgApp {
			return Hold
		}
		return Twice
	}
	r := leader.Writes("a", "1")
	d.Run()
	d.Waits(r, "the append is held")
	d.Release()
	d.Run()
	d.Acked(r)
	d.Heal()
	d.Isolate(d.Store(2))
	r = leader.Writes("a", "2")
	d.Tick(3)
	d.Waits(r, "the other store is cut off")
}

func TestEachRegionHasItsOwnGroup(t *testing.T) {
	d := Open(t, rule, Options{Regions: 3})
	d.Elect(1)
	d.Store(1).Transfers(d.Store(2), 1)
	d.Store(1).Transfers(d.Store(3), 2)
	d.Tick(2)
	a, b, c := d.Store(2).Writes("a", "1"), d.Store(3).Writes("b", "2"), d.Store(1).Writes("c", "3")
	d.Run()
	for _, r := range []*Request{a, b, c} {
		d.Acked(r)
	}
	d.Tick(1)
	if got := d.Store(1).Pairs(); got != "default: a=1 b=2 c=3" {
		t.Errorf("got %s\n%s", got, d.Record())
	}
}

func TestASnapshotReachesWhoWasAway(t *testing.T) {
	d := Open(t, rule, Options{Config: func(c *store.Config) {
		c.Limits = replica.Limits{CompactEntries: 4, MaxLagEntries: 4}
	}})
	leader := d.Elect(1)
	away := d.Store(3)
	d.Isolate(away)
	for i := range 30 {
		leader.Puts(string(rune('a'+i%5)), "v")
		d.Tick(1)
	}
	d.Heal()
	d.Tick(10)
	if got := away.Pairs(); got != leader.Pairs() || away.State().Truncated.Index == FirstIndex-1 {
		t.Errorf("store 3 has %s\n%s\n%s", got, d.Record(), d.Where())
	}
}
