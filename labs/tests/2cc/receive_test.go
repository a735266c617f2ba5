// The side that receives: what is refused, which of several snapshots is taken, and the one write that accepts it.

package stage2cc_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/labs/tests/storedesk"
	"tinykv/raft"
)

// remembers is what a store would know if it were started now, and what it tells the world.
type remembers struct {
	log     raftlog.State
	pairs   string
	applied raftlog.Position
	region  region.Region
	term    uint64
}

func memory(s *server) remembers {
	v := s.View()
	state := s.State()
	state.Hard.Commit = 0
	return remembers{state, s.Pairs(), s.Applied(), v.Region, v.Term}
}

// refusals counts what a store has refused for a reason.
func refusals(s *server, reason replica.Reason) uint64 { return s.Core.Stats().Refused[reason] }

// A snapshot that is not for this peer, or not of this time, or that contradicts itself, has no effect but on a counter, and
// its spool is discarded.
func TestWrongSnapshotsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *snapshot.Head)
		reason replica.Reason
	}{
		{"of another cluster", func(h *snapshot.Head) { h.ClusterID++ }, replica.OtherCluster},
		{"for another store", func(h *snapshot.Head) { h.To.StoreID = 2 }, replica.OtherStore},
		{"for a peer that was here before", func(h *snapshot.Head) { h.To.ID = 3 }, replica.StalePeer},
		{"for a later peer, of no later epoch", func(h *snapshot.Head) { h.To.ID = 90 }, replica.StalePeer},
		{"of an earlier Version", func(h *snapshot.Head) { h.Region.Epoch.Version = 0 }, replica.StaleEpoch},
		{"of an earlier ConfVer", func(h *snapshot.Head) { h.Region.Epoch.ConfVer = 0 }, replica.StaleEpoch},
		{"of an earlier Version, that contradicts itself", func(h *snapshot.Head) {
			h.Region.Epoch.Version, h.Region.Peers = 0, h.Region.Peers[:2]
		}, replica.StaleEpoch},
		{"of a region that it is not of", func(h *snapshot.Head) { h.Region.ID = 9 }, replica.BadSnapshot},
		{"of a region without this peer", func(h *snapshot.Head) { h.Region.Peers = h.Region.Peers[:2] }, replica.BadSnapshot},
		{"with a voter that is no peer", func(h *snapshot.Head) { h.ConfState.Voters = []uint64{11, 12, 13, 14} },
			replica.BadSnapshot},
		{"of no keys", func(h *snapshot.Head) { h.Region.Range = region.Range{Start: []byte("b"), End: []byte("a")} },
			replica.BadSnapshot},
		{"of no entries", func(h *snapshot.Head) { h.Position = raftlog.Position{} }, replica.BadMessage},
		{"of a term after its sender's", func(h *snapshot.Head) { h.Position.Term = h.Term + 1 }, replica.BadMessage},
		{"without voters", func(h *snapshot.Head) { h.ConfState.Voters = nil }, replica.BadMessage},
	} {
		d := open(t, refusedHere, options{})
		leader, s := d.Elect(1), d.Store(3)
		leader.Puts("a", "1")
		d.Tick(2)
		d.Isolate(s)
		before, refused := memory(s), refusals(s, c.reason)
		h := head(d, 50, 6)
		h.Region.Peers, h.ConfState.Voters = slices.Clone(h.Region.Peers), slices.Clone(h.ConfState.Voters)
		c.change(&h)
		d.Say("the next snapshot is %s", c.name)
		discards, next := 0, d.Before
		d.Before = func(o *server, e store.Effect) {
			if _, ok := e.(store.Discard); ok {
				discards++
			}
			next(o, e)
		}
		arrives(d, s, h, puts("a", "wrong"))
		d.Run()
		if got := memory(s); !reflect.DeepEqual(got, before) {
			d.Brokenf(fmt.Sprintf("a snapshot %s changes nothing: %+v", c.name, before), "%+v", got)
		}
		d.Check(refusals(s, c.reason) == refused+1, fmt.Sprintf("it is refused and counted as %v", c.reason), "%v",
			s.Core.Stats().Refused)
		d.Check(len(jobs[store.Install](s)) == 0, "nothing is installed", "%d installs", len(jobs[store.Install](s)))
		d.Heal()
		leader.Puts("a", "2")
		d.Tick(2)
		d.Check(discards == 1, "its spool is discarded once: it never was the peer's", "%d times", discards)
		d.Check(s.Get("a") == "2", "store 3 goes on: a=2", "a=%s", s.Get("a"))
		settled(d)
	}
}

// A leader was deposed while its snapshot was on its way. Who has voted in a later term takes nothing of an earlier one, also
// before it knows who leads.
func TestSnapshotOfAnEarlierTermChangesNothing(t *testing.T) {
	d := open(t, refusedHere, options{})
	d.Elect(1).Puts("a", "1")
	d.Tick(2)
	s := d.Store(3)
	d.Isolate(s)
	last := s.State().Last
	d.Arrive(d.Envelope(2, 3, raft.Message{Type: raft.MsgVote, Term: 9, Index: last.Index, LogTerm: last.Term, Force: true}))
	d.Run()
	before := memory(s)
	d.Check(s.State().Hard.Term == 9, "store 3 votes in term 9", "%+v", s.State().Hard)
	arrives(d, s, head(d, 50, 6), puts("a", "of an earlier term"))
	d.Run()
	if got := memory(s); !reflect.DeepEqual(got, before) {
		d.Brokenf(fmt.Sprintf("a snapshot of term 6 changes nothing in term 9: %+v", before), "%+v", got)
	}
	d.Check(len(jobs[store.Install](s)) == 0, "nothing is installed", "%d installs", len(jobs[store.Install](s)))
	d.Tick(1)
	d.Check(len(spoolsOf(d, s)) == 0, "its spool is discarded", "%v", spoolsOf(d, s))
	deposed(t)
}

func deposed(t *testing.T) {
	t.Helper()
	d := open(t, refusedHere, options{})
	old, s := d.Elect(1), d.Store(3)
	old.Puts("a", "1")
	d.Tick(2)
	h := head(d, 50, 6)
	d.Isolate(old)
	next := d.Elect(2)
	next.Puts("a", "2")
	d.Tick(2)
	before := memory(s)
	d.Check(before.term > h.Term, "store 3 is in a later term", "term %d", before.term)
	arrives(d, s, h, puts("a", "of a deposed leader"))
	d.Run()
	if got := memory(s); !reflect.DeepEqual(got, before) {
		d.Brokenf(fmt.Sprintf("a snapshot of term %d changes nothing: %+v", h.Term, before), "%+v", got)
	}
	d.Check(len(jobs[store.Install](s)) == 0, "nothing is installed", "%d installs", len(jobs[store.Install](s)))
	next.Puts("a", "3")
	d.Heal()
	d.Tick(3)
	for _, o := range d.Stores {
		d.Check(o.Get("a") == "3", fmt.Sprintf("store %d goes on: a=3", o.ID), "a=%s", o.Get("a"))
	}
	settled(d)
}

// A snapshot comes when the store has more by now: it takes nothing back. The leader hears how far the store is.
func TestLateSnapshotTakesNothingBack(t *testing.T) {
	d, leader, away := lag(t, single, options{})
	sent := count(d, leader)
	equal(d, leader, away)
	h := sent.list[0].Head
	grow(d, leader, 3)
	d.Tick(1)
	before := memory(away)
	d.Sent = nil
	name := arrives(d, away, h, puts("a", "late"))
	d.Run()
	if got := memory(away); !reflect.DeepEqual(got, before) {
		d.Brokenf(fmt.Sprintf("a snapshot at %d changes nothing: %+v", h.Position.Index, before), "%+v", got)
	}
	answers := d.SentBy(away, raft.MsgAppResp)
	d.Tick(1)
	d.Check(!slices.Contains(spoolsOf(d, away), name), "its spool is discarded", "the spools %v", spoolsOf(d, away))
	d.Check(len(answers) == 1 && answers[0].Raft.Index >= h.Position.Index, "the leader is told how far store 3 is",
		"%d answers", len(answers))
	settled(d)
}

// Two snapshots arrive at once: the newer one is taken, the other is discarded.
func TestOfTwoSnapshotsOneIsTaken(t *testing.T) {
	for _, newerFirst := range []bool{true, false} {
		d := open(t, single, options{})
		d.Elect(1)
		d.Tick(2)
		s := d.Store(3)
		d.Isolate(s)
		s.HoldJobs = holds[store.Install]
		older, newer := head(d, 50, 6), head(d, 60, 6)
		var spools [2]string
		for i := range 2 {
			if (i == 0) == newerFirst {
				spools[1] = arrives(d, s, newer, puts("a", "newer"))
			} else {
				spools[0] = arrives(d, s, older, puts("a", "older"))
			}
		}
		d.Run()
		running := jobs[store.Install](s)
		d.Check(len(running) == 1, "one of the two is installed", "%d installs", len(running))
		in := running[0].Effect.(store.Install)
		d.Check(in.Spool == spools[1] && in.Head.Position == newer.Position, "the one at 60/6 is", "%s at %d", in.Spool,
			in.Head.Position.Index)
		d.Tick(1)
		d.Check(slices.Equal(spoolsOf(d, s), spools[1:]), "the other spool is discarded", "there are %v", spoolsOf(d, s))
		d.Check(s.State().Truncated == newer.Position, "the log begins behind 60/6", "%+v", s.State())
		running[0].Finish()
		d.Run()
		d.Check(s.Get("a") == "newer" && s.Applied() == newer.Position, "a=newer, applied 60/6", "a=%s, applied %v", s.Get("a"),
			s.Applied())
		settled(d)
	}
}

// While a snapshot is being installed no other is taken, however new. The install goes on, and the next one comes after it.
func TestSecondSnapshotIsRefusedMeanwhile(t *testing.T) {
	d := open(t, single, options{})
	d.Elect(1)
	d.Tick(2)
	s := d.Store(3)
	d.Isolate(s)
	s.HoldJobs = holds[store.Install]
	first := arrives(d, s, head(d, 50, 6), puts("a", "first"))
	d.Run()
	running := jobs[store.Install](s)
	d.Check(len(running) == 1, "the first is installed", "%d installs", len(running))
	refused := refusals(s, replica.Installing)
	second := arrives(d, s, head(d, 60, 6), puts("a", "second"))
	d.Tick(2)
	d.Check(refusals(s, replica.Installing) == refused+1, "the second is refused and counted as installing", "%v",
		s.Core.Stats().Refused)
	d.Check(slices.Equal(spoolsOf(d, s), []string{first}), "the spool of the second is discarded", "there are %v", spoolsOf(d, s))
	d.Check(s.State().Truncated.Index == 50, "the log begins behind 50", "%+v", s.State())
	running[0].Finish()
	d.Tick(1)
	d.Check(s.Get("a") == "first" && s.Applied().Index == 50, "a=first, applied 50", "a=%s, applied %v", s.Get("a"), s.Applied())
	third := arrives(d, s, head(d, 60, 6), puts("a", "third"))
	d.Run()
	running = jobs[store.Install](s)
	d.Check(len(running) == 1 && running[0].Effect.(store.Install).Spool == third, "the next one is installed after that",
		"%d installs", len(running))
	running[0].Finish()
	d.Tick(1)
	d.Check(s.Get("a") == "third" && second != third, "a=third", "a=%s", s.Get("a"))
	settled(d)
}

// The turn that accepts: one write to the log, synced, and in it all that a restart needs; then the acknowledgement; then
// the install.
func TestAcceptedByOneSyncedWrite(t *testing.T) {
	d, _, away := lag(t, accepted, options{})
	old := away.State()
	next := d.Before
	var order []string
	var install store.Install
	d.Before = func(s *server, e store.Effect) {
		next(s, e)
		if s != away {
			return
		}
		switch e := e.(type) {
		case store.Send:
			for _, m := range e.Messages {
				if m.Raft.Type == raft.MsgAppResp && !m.Raft.Reject && m.Raft.Index > old.Last.Index {
					in := onDisk(d, s).Install
					d.Check(in != nil, "before store 3 acknowledges a snapshot its log remembers it", "it says %d, and nothing is to be installed",
						m.Raft.Index)
					order = append(order, "acknowledge")
				}
			}
		case store.Install:
			install = e
			order = append(order, "install")
		}
	}
	d.After = func(s *server, e store.Effect) {
		if w, ok := e.(store.WriteLog); ok && s == away && s.State().Install != nil && len(order) == 0 {
			order = append(order, "write")
			d.Check(w.Durability == engine.Synced, "the write that accepts is synced", "it is not")
		}
	}
	away.HoldJobs = holds[store.Install]
	wait(d, "store 3 accepts a snapshot", func() bool { return len(jobs[store.Install](away)) > 0 })
	d.Before, d.After = next, nil
	d.Check(slices.Equal(order, []string{"write", "acknowledge", "install"}), "write, acknowledge, install", "%v", order)
	state := onDisk(d, away)
	at := install.Head.Position
	d.Check(state.Truncated == at && state.Last == at, fmt.Sprintf("the log is dropped up to %d/%d, and nothing is behind it", at.Index,
		at.Term), "%+v", state)
	d.Check(state.Hard.Term >= install.Head.Term && state.Hard.Commit >= at.Index, "the hard state goes with it", "%+v", state.Hard)
	d.Check(state.Install != nil && state.Install.Spool == install.Spool, "the log remembers the spool "+install.Spool, "%+v",
		state.Install)
	h, err := snapshot.DecodeHead(state.Install.Head)
	d.Must("decoding the head that the log remembers", err)
	d.Check(h.Position == at && h.To == install.Head.To, "the log remembers the head", "%+v", h)
	v := away.View()
	d.Check(v.Installing && v.Kept == at, fmt.Sprintf("the view says that it installs, and that the log begins behind %d/%d", at.Index,
		at.Term), "installing %v, behind %d/%d", v.Installing, v.Kept.Index, v.Kept.Term)
	jobs[store.Install](away)[0].Finish()
	settled(d)
}

// onDisk is the state that a store would find if it were started now.
func onDisk(d *desk, s *server) raftlog.State {
	d.T.Helper()
	state, _ := s.OnDisk()
	return state
}

// A store that led, and was away with proposals of its own, gets a snapshot: what is known of them is told at once.
func TestWaitingWritesLearnTheirFate(t *testing.T) {
	d := open(t, fates, options{})
	old := d.Elect(1)
	d.Isolate(old)
	var all []*request
	var indexes []uint64
	for i := range 60 {
		all = append(all, old.Writes("a", fmt.Sprint(i)))
		d.Run()
		indexes = append(indexes, old.State().Last.Index)
	}
	next := d.Elect(2)
	grow(d, next, 20)
	d.Heal()
	install := awaitInstall(d, old)
	at := install.Effect.(store.Install).Head.Position
	d.Check(at.Index > indexes[0] && at.Index < indexes[59], "a snapshot in the midst of the proposals", "at %d", at.Index)
	for i, r := range all {
		_, undetermined := storedesk.ErrorAs[*region.UndeterminedError](r)
		_, stale := storedesk.ErrorAs[*region.StaleCommandError](r)
		d.Check(undetermined && indexes[i] <= at.Index || stale && indexes[i] > at.Index,
			fmt.Sprintf("the write at %d is answered when a snapshot at %d/%d is accepted: within it undetermined, behind it stale", indexes[i],
				at.Index, at.Term), "%s", r)
	}
	install.Finish()
	equal(d, next, old)
	settled(d)
}

// A store that has no peer of the region yet: its first state is a snapshot.
func TestNewPeerBeginsWithASnapshot(t *testing.T) {
	d := open(t, goesOn, options{Spares: 1})
	leader, s := d.Elect(1), d.Store(4)
	grow(d, leader, 10)
	r := leader.Changes(raft.ConfChangeAddNode, s)
	d.Run()
	d.Acked(r)
	equal(d, leader, s)
	leader.Puts("a", "1")
	d.Tick(2)
	s.Restart(storedesk.LoseUnsynced)
	d.Tick(2)
	d.Check(s.Get("a") == "1" && s.View().Peer == storedesk.Peer(1, 4) && len(s.View().Region.Peers) == 4,
		"after a restart store 4 has its peer, the region of four peers, and a=1", "%s, a=%s", s.Where(), s.Get("a"))
	settled(d)
}

// The first thing that a store hears of a region may be a snapshot: its log knows nothing of it yet.
func TestSnapshotBringsAPeerIntoBeing(t *testing.T) {
	d := open(t, accepted, options{Spares: 1})
	d.Elect(1)
	s := d.Store(4)
	d.Isolate(s)
	h := head(d, 50, 6)
	h.To = storedesk.Peer(1, 4)
	h.Region.Peers = append(slices.Clone(h.Region.Peers), h.To)
	h.Region.Epoch.ConfVer++
	h.ConfState.Voters = append(slices.Clone(h.ConfState.Voters), h.To.ID)
	arrives(d, s, h, puts("a", "first"))
	d.Run()
	s.Restart(storedesk.LoseUnsynced)
	d.Tick(1)
	v := s.View()
	d.Check(s.Get("a") == "first" && v.Peer == h.To && v.Applied == h.Position && len(v.Region.Peers) == 4,
		"store 4 has the peer 14, a=first, and is at 50/6", "%s, a=%s", s.Where(), s.Get("a"))
	settled(d)
}

// A peer without a region knows nobody but those who spoke to it. A leader that is history hears from it that it is.
func TestSenderOfASnapshotIsAnswered(t *testing.T) {
	d := open(t, refusedHere, options{Spares: 1})
	d.Elect(1)
	s := d.Store(4)
	candidate := d.Envelope(2, 4, raft.Message{Type: raft.MsgVote, Term: 9, Index: 90, LogTerm: 8})
	d.Say("store 4 hears of its peer from a candidate of term 9")
	d.Arrive(candidate)
	d.Run()
	h := head(d, 50, 6)
	h.To = storedesk.Peer(1, 4)
	h.Region.Peers = append(slices.Clone(h.Region.Peers), h.To)
	d.Sent = nil
	arrives(d, s, h, puts("a", "of an earlier term"))
	d.Run()
	d.Check(len(jobs[store.Install](s)) == 0 && s.Get("a") == storedesk.Nothing, "nothing is installed", "%s", s.Where())
	sent := d.SentBy(s, raft.MsgAppResp)
	d.Check(len(sent) == 1 && sent[0].To == h.From && sent[0].Raft.Term == 9, "an answer to store 1, which says that the term is 9",
		"%d answers", len(sent))
}
