// The side that sends: states that are held, streams that end well or not, and what raft is told.

package stage2cc_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// The first to write: a follower whose next entry is gone gets a state, and has what the leader has: also what was deleted
// and overwritten meanwhile, in all families.
func TestLaggardGetsTheState(t *testing.T) {
	d, leader, away := lag(t, goesOn, options{})
	sent := count(d, leader)
	equal(d, leader, away)
	d.Check(away.Get("overwritten") == "after" && away.Get("old") == storedesk.Nothing,
		"what was overwritten is as it is now, and what was deleted is gone", "overwritten=%s, old=%s", away.Get("overwritten"),
		away.Get("old"))
	d.Check(len(sent.list) == 1, "one snapshot is enough", "%d were sent", len(sent.list))
	leader.Puts("new", "1")
	d.Tick(2)
	equal(d, leader, away)
	d.Check(len(sent.list) == 1, "after it the log goes on", "%d snapshots were sent", len(sent.list))
	settled(d)
}

// eagerly lets raft send at each proposal, and so ask for a snapshot at any time, not only when a Ready is taken.
func eagerly(cfg *store.Config) { cfg.Raft.EagerAppend = true }

// duringTurn waits until store 1 is about to write the data of a turn. Then it hears what was held, and a proposal, which
// makes raft look after store 3: the peer has applied in memory what the data store has not.
func duringTurn(d *desk, leader *server) {
	d.T.Helper()
	next, done := d.Before, false
	d.Before = func(s *server, e store.Effect) {
		if _, writes := e.(store.WriteData); writes && s == leader && !done {
			done = true
			d.Say("before store %d writes its data, it hears what was held, and a proposal:", s.ID)
			d.Net = nil
			d.Release()
			s.Writes("meanwhile", "1")
			s.Listens()
		}
		next(s, e)
	}
}

// holdWord keeps the leader from hearing what store 3 says: that it lacks entries.
func holdWord(d *desk, leader, away *server) {
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.From == storedesk.Peer(1, away.ID) && m.To.StoreID == leader.ID {
			return storedesk.Hold
		}
		return storedesk.Deliver
	}
}

// A snapshot is made in the middle of a turn: between taking entries and writing what they do, the peer is ahead of its data
// store. watch compares what the head says with the state that is sent.
func TestPositionIsThatOfTheState(t *testing.T) {
	d, leader, away := lag(t, oneState, options{Config: eagerly})
	sent := count(d, leader)
	holdWord(d, leader, away)
	before := leader.Applied()
	duringTurn(d, leader)
	r := leader.Writes("late", "1")
	d.Run()
	d.Acked(r)
	d.Check(len(sent.list) == 1, "a snapshot is sent", "%d", len(sent.list))
	at := sent.list[0].Head.Position
	d.Check(at == before, fmt.Sprintf("it was made before the data of the turn was written: at %d", before.Index), "at %d", at.Index)
	equal(d, leader, away)
	d.Check(away.Get("late") == "1", "store 3 has late=1, which came behind the snapshot", "late=%s", away.Get("late"))
	settled(d)
}

// The same with a change of the members, which the peer knows before its data store does.
func TestMembersAreThoseOfTheState(t *testing.T) {
	d, leader, away := lag(t, oneState, options{Spares: 1, Config: eagerly})
	sent := count(d, leader)
	holdWord(d, leader, away)
	duringTurn(d, leader)
	r := leader.Changes(raft.ConfChangeAddNode, d.Store(4))
	d.Run()
	d.Acked(r)
	d.Check(len(sent.list) > 0 && sent.list[0].Head.To.StoreID == away.ID, "a snapshot is sent to store 3", "%d streams",
		len(sent.list))
	h := sent.list[0].Head
	d.Check(len(h.Region.Peers) == 3 && len(h.ConfState.Voters) == 3,
		"three peers and three voters: the change is behind the snapshot", "%v, %v", h.Region, h.ConfState)
	equal(d, leader, away)
	equal(d, leader, d.Store(4))
	for _, s := range d.Stores {
		d.Check(len(s.View().Region.Peers) == 4, fmt.Sprintf("store %d knows four peers", s.ID), "%v", s.View().Region)
	}
	settled(d)
}

// manyRegions puts store 3 behind in several regions.
func manyRegions(t *testing.T, regions, limit int) (d *desk, leader, away *server) {
	t.Helper()
	d = open(t, leaks, options{Regions: regions, Config: func(cfg *store.Config) { cfg.Limits.MaxSnapshots = limit }})
	leader, away = d.Elect(1), d.Store(3)
	d.Isolate(away)
	for i := range 20 {
		for id := range regions {
			key := string(rune('a' + id))
			leader.Puts(fmt.Sprint(key, i), fmt.Sprint(key, i))
		}
		d.Tick(1)
	}
	wait(d, "all logs are cut beyond what the store that is away has", func() bool {
		for id := uint64(1); id <= uint64(regions); id++ {
			if leader.State(id).Truncated.Index <= away.State(id).Last.Index {
				return false
			}
		}
		return true
	})
	d.Heal()
	return d, leader, away
}

// Each state that is held keeps old data from being reclaimed. So there is a limit, and who does not come first is served
// later.
func TestSnapshotsAreBounded(t *testing.T) {
	const regions, limit = 5, 2
	d, leader, away := manyRegions(t, regions, limit)
	leader.HoldJobs = holds[store.Stream]
	served := map[uint64]bool{}
	for range 20 {
		d.Tick(4)
		under(d, leaks, leader.Data.OpenSnapshots <= limit, fmt.Sprintf("at most %d states are held", limit), "%d",
			leader.Data.OpenSnapshots)
		held := jobs[store.Stream](leader)
		if len(served) == 0 {
			d.Check(len(held) == limit, fmt.Sprintf("%d of %d regions are served first", limit, regions), "%d streams", len(held))
		}
		if len(held) == 0 {
			break
		}
		served[held[0].Effect.(store.Stream).Head.RegionID] = true
		held[0].Finish()
	}
	d.Check(len(served) == regions, fmt.Sprintf("all %d regions are served, one after the other", regions), "%d are", len(served))
	leader.HoldJobs = nil
	equal(d, leader, away)
	settled(d)
}

// Streams break, again and again, more often than there are tickets. Each is told to raft, and another snapshot is made
// after a sign of life. Nothing is sent meanwhile that lies behind a snapshot which never arrived.
func TestLostStreamIsFollowedByAnother(t *testing.T) {
	const limit = 2
	d, leader, away := lag(t, told, options{Config: func(cfg *store.Config) { cfg.Limits.MaxSnapshots = limit }})
	sent := count(d, leader)
	next := d.Before
	d.Before = func(s *server, e store.Effect) {
		if send, ok := e.(store.Send); ok && s == leader && len(sent.list) > 0 {
			for i := range send.Messages {
				m := &send.Messages[i]
				d.Check(m.To.StoreID != away.ID || m.Raft.Type != raft.MsgApp || m.Raft.Index <= away.State().Last.Index,
					"no entries behind a snapshot that did not arrive", "%s", storedesk.ShowMessage(m))
			}
		}
		next(s, e)
	}
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgSnap {
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	wait(d, fmt.Sprintf("%d snapshots are sent, of which none arrives", 3*limit), func() bool {
		d.Check(leader.Data.OpenSnapshots <= limit, fmt.Sprintf("at most %d states are held", limit), "%d",
			leader.Data.OpenSnapshots)
		return len(sent.list) >= 3*limit
	})
	under(d, leaks, leader.Data.OpenSnapshots == len(jobs[store.Stream](leader)), "of streams that broke no state is held",
		"%d states, %d streams", leader.Data.OpenSnapshots, len(jobs[store.Stream](leader)))
	d.Before = next
	d.Net = nil
	equal(d, leader, away)
	settled(d)
}

// The stream arrived, and the follower's acknowledgement was lost: the leader knows by the end of the stream that the log
// may go on behind it.
func TestArrivedSnapshotIsNotSentAgain(t *testing.T) {
	d, leader, away := lag(t, told, options{})
	sent := count(d, leader)
	lost := 0
	d.Net = func(m *replica.Message) storedesk.Fate {
		if m.Raft.Type == raft.MsgAppResp && !m.Raft.Reject && m.From.StoreID == away.ID && len(sent.list) > 0 && lost == 0 &&
			m.Raft.Index >= sent.list[0].Head.Position.Index {
			lost++
			return storedesk.Lose
		}
		return storedesk.Deliver
	}
	equal(d, leader, away)
	d.Check(lost == 1, "the acknowledgement of the snapshot is lost", "%d messages were lost", lost)
	leader.Puts("new", "1")
	d.Tick(4)
	d.Check(len(sent.list) == 1, "one snapshot: it has arrived", "%d were sent", len(sent.list))
	equal(d, leader, away)
	settled(d)
}

// While a stream is on its way the follower is sent no entries; then come those right behind the snapshot, and all that
// were written meanwhile.
func TestLogGoesOnBehindTheSnapshot(t *testing.T) {
	d, leader, away := lag(t, told, options{})
	leader.HoldJobs = holds[store.Stream]
	wait(d, "a stream begins", func() bool { return len(jobs[store.Stream](leader)) > 0 })
	j := jobs[store.Stream](leader)[0]
	at := j.Effect.(store.Stream).Head.Position
	d.Sent = nil
	for i := range 3 {
		leader.Puts(fmt.Sprint("meanwhile", i), "1")
		d.Tick(1)
	}
	for _, m := range d.SentBy(leader, raft.MsgApp) {
		d.Check(m.To.StoreID != away.ID, "no entries to a store to which a snapshot is on its way", "%s", storedesk.ShowMessage(&m))
	}
	d.Sent = nil
	j.Finish()
	leader.HoldJobs = nil
	d.Tick(2)
	for _, m := range d.SentBy(leader, raft.MsgApp) {
		if m.To.StoreID == away.ID {
			d.Check(m.Raft.Index == at.Index && m.Raft.LogTerm == at.Term, fmt.Sprintf("the log goes on behind %d/%d", at.Index, at.Term),
				"%s", storedesk.ShowMessage(&m))
			break
		}
	}
	equal(d, leader, away)
	d.Check(away.Get("meanwhile2") == "1", "what was written meanwhile arrives: meanwhile2=1", "%s", away.Get("meanwhile2"))
	settled(d)
}

// A data store that fails while a state is read: the store ends, and holds nothing.
func TestUnreadableStateIsGivenBack(t *testing.T) {
	broke := errors.New("the disk broke")
	for name, harm := range map[string]func(e *storedesk.Engine){
		"a record of the state can't be read": func(e *storedesk.Engine) { e.FailRead = broke },
		"no state can be had":                 func(e *storedesk.Engine) { e.FailSnapshot = broke },
	} {
		d, leader, away := lag(t, leaks, options{})
		sent := count(d, leader)
		leader.MayFail = true
		d.Say("from now on, at store 1 %s", name)
		harm(leader.Data)
		wait(d, "store 1, which can't make a snapshot, ends with the error of its data store", func() bool { return leader.Halted })
		d.Check(errors.Is(leader.HaltErr, broke), "the error of the data store", "%v", leader.HaltErr)
		d.Check(len(sent.list) == 0, "nothing is streamed", "%d streams", len(sent.list))
		d.Check(leader.Data.OpenSnapshots == 0, "the state is closed again", "%d are open", leader.Data.OpenSnapshots)
		_ = away
	}
}

// A leader whose own snapshot is not installed yet has no state that anybody else could use.
func TestHalfAStateIsNotSent(t *testing.T) {
	d := open(t, half, options{Stores: 5})
	leader, s, third := d.Elect(1), d.Store(3), d.Store(5)
	leader.Puts("a", "before")
	d.Tick(2)
	d.Isolate(s, third)
	grow(d, leader, 20)
	d.Isolate(third)
	install := awaitInstall(d, s)
	d.Isolate(third, leader)
	next := d.Promote(s.ID)
	sent := count(d, next)
	d.Isolate()
	d.Tick(20)
	d.Check(next.Leads() && next.View().Installing, "store 3 leads, and is installing", "%s", next.Where())
	d.Check(len(sent.list) == 0, "it sends no snapshot of what it has half of", "%d streams", len(sent.list))
	install.Finish()
	equal(d, next, third)
	settled(d)
}

// Raft has a member of which the region's record does not say where it is. It spoke, and was forgotten before the snapshot
// for it could be sent.
func TestSnapshotForNobodyIsTakenBack(t *testing.T) {
	const limit = 2
	d := open(t, leaks, options{Config: func(cfg *store.Config) { cfg.Limits.MaxSnapshots = limit }})
	s := d.Store(1)
	rec := replica.Record{Peer: storedesk.Peer(1, 1), Region: d.Regions[0],
		ConfState: raft.ConfState{Voters: []uint64{11, 12, 13}, Learners: []uint64{14}}}
	b := new(engine.Batch)
	replica.PutRecord(b, &rec)
	d.Must("writing a record", s.Data.Write(b, engine.Synced))
	d.Say("store 1's record names the learner 14, and not where it is")
	s.Restart(storedesk.KeepAll)
	leader := d.Elect(1)
	grow(d, leader, 20)
	lost := region.Peer{ID: 14, StoreID: 2}
	speaks := func(from region.Peer, m raft.Message) {
		m.From, m.To, m.Term = from.ID, storedesk.Peer(1, 1).ID, leader.View().Term
		d.Arrive(replica.Message{RegionID: 1, From: from, To: storedesk.Peer(1, 1), Epoch: region.Epoch{ConfVer: 1, Version: 1}, Raft: m})
	}
	for range 3 * limit {
		d.Say("the learner 14 speaks, then eight others do, and who 14 was is forgotten")
		made := leader.Data.Snapshots
		speaks(lost, raft.Message{Type: raft.MsgHeartbeatResp})
		speaks(lost, raft.Message{Type: raft.MsgAppResp, Index: leader.State().Last.Index, Reject: true, Hint: 5})
		for id := range uint64(8) {
			speaks(region.Peer{ID: 90 + id, StoreID: 2}, raft.Message{Type: raft.MsgAppResp, Index: 1})
		}
		d.Run()
		d.Tick(1)
		d.Check(leader.Data.Snapshots > made, "a snapshot is made for the learner 14, though others came before", "none")
		d.Check(leader.Data.OpenSnapshots == 0, "the state that was made for it is given back", "%d are open", leader.Data.OpenSnapshots)
	}
	settled(d)
}
