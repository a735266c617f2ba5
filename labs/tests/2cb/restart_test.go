// Crashes: a log that begins in the middle is found again, and nothing that was acknowledged is lost.

package stage2cb_test

import (
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/sim"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

var keeps = []storedesk.Keep{storedesk.LoseUnsynced, storedesk.KeepAll, storedesk.KeepSome}

func TestRestartFindsTheCutLog(t *testing.T) {
	for _, keep := range keeps {
		d, leader := begin(t, restarts)
		writes(d, leader, 0, 40)
		d.Tick(5)
		writes(d, leader, 40, 1) // synced, and with it the cut before it
		var cut []raftlog.Position
		for _, s := range d.Stores {
			isCut(d, s, "it had 40 entries")
			cut = append(cut, s.State().Truncated)
			s.Crash(keep)
		}
		for i, s := range d.Stores {
			s.Start()
			d.Check(s.State().Truncated == cut[i], fmt.Sprintf("the log of store %d begins behind %s", s.ID, show(cut[i])), "%s", place(s))
		}
		leader = d.AwaitLeader()
		d.Tick(2)
		for i, s := range d.Stores {
			d.Check(s.View().Kept == cut[i], fmt.Sprintf("the view of store %d says so", s.ID), "kept behind %s", show(s.View().Kept))
			holdsAll(d, s, 41)
		}
		writes(d, leader, 41, 40)
		d.Tick(5)
		for _, s := range d.Stores {
			isShort(d, s)
			holdsAll(d, s, 81)
		}
	}
}

// A log that was large before a restart is large after it.
func TestRestartKnowsHowLargeTheLogIs(t *testing.T) {
	d, leader := begin(t, restarts, byBytes)
	writesLarge(d, leader, 7, 1<<10)
	for _, s := range d.Stores {
		s.Restart(storedesk.KeepAll)
	}
	leader = d.AwaitLeader()
	writesLarge(d, leader, 3, 1<<10)
	d.Tick(3)
	for _, s := range d.Stores {
		isCut(d, s, "it had 10 KiB, 7 of which are from before the restart")
	}
}

// The data falls back to where it was synced last, as far as it may: the log must have all that follows.
func TestLogBringsTheDataBack(t *testing.T) {
	for n := 5; n < 60; n += 7 {
		d, leader := begin(t, durable)
		for i := range n {
			writes(d, leader, i, 1)
			d.Tick(1)
		}
		for _, s := range d.Stores {
			s.DataLost()
		}
		leader = d.AwaitLeader()
		d.Tick(2)
		for _, s := range d.Stores {
			holdsAll(d, s, n)
		}
	}
}

// The first append that a follower hears after its restart follows the entry that was cut last.
func TestAppendAtTheBorder(t *testing.T) {
	d := storedesk.Open(t, restarts, options{Config: short()})
	d.Net = lose
	s := d.Store(2)
	list := []raft.Entry{{Index: 6, Term: 6}, storedesk.PutEntry(7, 6, "k000", "0"), storedesk.PutEntry(8, 6, "k001", "1"),
		{Index: 9, Term: 7}, storedesk.PutEntry(10, 7, "k002", "2")}
	tells(d, s, 7, first, 10, list...)
	d.Say("store 2: its log is cut at 10/7, its last entry")
	var b raftlog.Batch
	b.Compact(1, at(10, 7))
	d.Must("cutting the log", s.Log.Write(&b, engine.Synced))
	d.Must("syncing the data", s.Data.Write(new(engine.Batch), engine.Synced))
	s.Restart(storedesk.KeepAll)
	tells(d, s, 7, at(10, 7), 11, storedesk.PutEntry(11, 7, "k003", "3"))
	sent := d.SentBy(s, raft.MsgAppResp)
	d.Check(len(sent) > 0 && !sent[len(sent)-1].Raft.Reject && sent[len(sent)-1].Raft.Index == 11,
		"the append after 10/7 is acknowledged: the term of the entry that was cut last is known", "%v", sent)
	holdsAll(d, s, 4)
}

// Any store may crash before any effect while logs are cut.
func TestCrashesWhileLogsAreCut(t *testing.T) {
	for _, id := range []uint64{1, 2} {
		for _, keep := range keeps {
			for n := 0; crashAt(t, id, keep, n); n++ {
			}
		}
	}
}

// crashAt crashes a store before the n-th of its effects from the moment on at which the log is too long. It reports whether
// there were so many.
func crashAt(t *testing.T, id uint64, keep storedesk.Keep, n int) bool {
	t.Helper()
	d, leader := begin(t, restarts)
	writes(d, leader, 0, manyEntries+4)
	s, look := d.Store(id), d.Before
	d.Before = func(o *server, e store.Effect) {
		look(o, e)
		if o != s || n < 0 {
			return
		}
		if n--; n < 0 {
			d.Say("before %s:", s.Name(e))
			s.Crash(keep)
		}
	}
	d.Tick(1)
	acked := manyEntries + 4
	for range 2 {
		if leader.Core == nil {
			break
		}
		r := leader.Writes(fmt.Sprintf("k%03d", acked), fmt.Sprint(acked))
		d.Run()
		if !r.Acknowledged() {
			break
		}
		acked++
	}
	d.Tick(1)
	if s.Core != nil {
		isCut(d, s, "it had more than 10 entries")
		return false
	}
	s.Start()
	leader = d.AwaitLeader()
	d.Tick(3)
	for _, o := range d.Stores {
		holdsAll(d, o, acked)
	}
	writes(d, leader, acked+1, manyEntries)
	d.Tick(5)
	for _, o := range d.Stores {
		d.Check(o.Pairs() == leader.Pairs(), fmt.Sprintf("store %d has what the leader has: %s", o.ID, leader.Pairs()), "%s", o.Pairs())
	}
	isShort(d, leader)
	return true
}

// rules are what the simulator's invariants mean in this stage.
var rules = map[string]string{
	"log-kept":             broken(durable),
	"durable":              broken(restarts),
	"restart":              broken(restarts),
	"replicas-equal":       broken(restarts),
	"apply-order":          broken(restarts),
	"bounded":              broken(length),
	"converge":             broken(length),
	"rest":                 broken(shared),
	"liveness":             broken(together),
	"linearizable":         broken(together),
	"acknowledged-applied": broken(together),
	"snapshot":             broken(behind),
	"disk":                 broken(begins),
	"halt":                 broken(begins),
}

func broken(r explain.Rule) string { return r.ID + " is broken: " + r.Says + "." }

// tiny are limits with which everybody cuts all the time.
var tiny = replica.Limits{CompactEntries: 5, MaxLagEntries: 25}

func TestStoresThatCutSurviveCrashes(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Options: sim.Options{Ticks: 250, Limits: tiny},
		Must: []string{"log compacted", "crash before WriteLog"}})
}

func TestStoresThatCutSurviveSlowDisks(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 20, Rules: rules, Options: sim.Options{Ticks: 250, Limits: tiny, Favour: sim.FavourSlowDisks},
		Must: []string{"log compacted"}})
}

func TestLaggardsComeBack(t *testing.T) {
	sim.Seeds(t, sim.World{Seeds: 15, Rules: rules, Options: sim.Options{Ticks: 250, Favour: sim.FavourSnapshots},
		Must: []string{"log compacted", "snapshot installed"}})
}
