package raft_test

import (
	"errors"
	"slices"
	"testing"

	"tinykv/raft"
)

func snapshotAt(index, term uint64, conf raft.ConfState) *raft.Snapshot {
	meta := raft.SnapshotMetadata{Index: index, Term: term, ConfState: conf}
	return &raft.Snapshot{Data: []byte("state"), Metadata: meta}
}

func snap(from, term uint64, s *raft.Snapshot) raft.Message {
	return raft.Message{Type: raft.MsgSnap, From: from, Term: term, Snapshot: s}
}

// compacted is a cluster of three where node 3 missed entries that the leader no longer has.
func compacted(t *testing.T) (*cluster, *peer) {
	t.Helper()
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	for range 10 {
		p.must(p.Propose([]byte("x")))
		c.settle()
	}
	p.must(p.disk.CreateSnapshot(8, voters(1, 2, 3), []byte("state")))
	p.must(p.disk.Compact(8))
	c.heal()
	return c, p
}

// A follower whose next entry is compacted is sent a snapshot, and then the log (§7).
func TestLaggingFollowerGetsSnapshot(t *testing.T) {
	c, p := compacted(t)
	c.tick(1)
	q := c.peers[2]
	if q.snap == nil || q.snap.Metadata.Index != 8 || string(q.snap.Data) != "state" {
		t.Fatalf("installed %+v", q.snap)
	}
	c.tick(2)
	if q.LastIndex() != p.LastIndex() || q.Status().Applied != p.Status().Applied {
		t.Errorf("follower at %d, leader at %d", q.LastIndex(), p.LastIndex())
	}
	if st := p.Status().Progress[2]; st.State != raft.ProgressReplicate {
		t.Errorf("progress %+v", st)
	}
}

// While a snapshot is on its way nothing else is sent there; the report decides how it goes on.
func TestSnapshotReports(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status raft.SnapshotStatus
		next   uint64
	}{{"failed", raft.SnapshotFailure, 2}, {"delivered", raft.SnapshotFinish, 9}} {
		t.Run(tt.name, func(t *testing.T) {
			c, p := compacted(t)
			c.cut = func(m raft.Message) bool { return m.Type == raft.MsgSnap }
			c.tick(1)
			p.must(p.Propose([]byte("y")))
			c.settle()
			if st := p.Status().Progress[2]; st.State != raft.ProgressSnapshot || st.Snapshot != 8 {
				t.Fatalf("progress %+v", st)
			}
			p.ReportSnapshot(3, tt.status)
			if st := p.Status().Progress[2]; st.State != raft.ProgressProbe || st.Next != tt.next {
				t.Fatalf("progress %+v", st)
			}
			c.heal()
			c.tick(3)
			if q := c.peers[2]; q.LastIndex() != p.LastIndex() {
				t.Errorf("follower at %d, leader at %d", q.LastIndex(), p.LastIndex())
			}
		})
	}
}

// A snapshot that is not ready is asked for again, and is no error.
func TestSnapshotNotReady(t *testing.T) {
	c, p := compacted(t)
	slow := &faultyStorage{Storage: p.disk, snapshot: raft.ErrSnapshotTemporarilyUnavailable}
	cfg := p.cfg
	cfg.Storage = slow
	rn, err := raft.NewRawNode(cfg)
	p.must(err)
	p.RawNode = rn
	p.drain()
	c.isolate(1, 2, 3)
	c.tick(12) // the others forget that they heard from it
	c.heal()
	c.elect(1)
	c.tick(2)
	if c.peers[2].snap != nil {
		t.Fatal("sent what does not exist")
	}
	slow.snapshot = nil
	c.tick(3)
	if c.peers[2].snap == nil {
		t.Error("never asked again")
	}
}

// A snapshot that is not ahead of the commit index changes nothing, but is answered.
func TestOldSnapshotIsIgnored(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	p.step(app(2, 1, 4, 1, 3))
	ms := p.step(snap(2, 1, snapshotAt(3, 1, voters(1, 2, 3))))
	if m := one(t, ms, raft.MsgAppResp); m.Index != 3 || p.snap != nil || len(p.terms()) != 4 {
		t.Errorf("answer %v, log %v", brief(ms), p.terms())
	}
}

// Nor does one that lies in the part of the log that is compacted.
func TestCompactedSnapshotIsIgnored(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	p.step(app(2, 1, 4, 1, 4))
	p.must(p.disk.CreateSnapshot(3, voters(1, 2, 3), nil))
	p.must(p.disk.Compact(3))
	ms := p.step(snap(2, 1, snapshotAt(2, 1, voters(1, 2, 3))))
	if m := one(t, ms, raft.MsgAppResp); m.Index != 4 || p.snap != nil {
		t.Errorf("answer %v, installed %v", brief(ms), p.snap)
	}
}

// A snapshot of which the log has the last entry only tells that much is committed: what follows it is kept (§7).
func TestSnapshotOfKnownEntryKeepsLog(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	ms := p.step(snap(2, 1, snapshotAt(3, 1, voters(1, 2, 3))))
	if m := one(t, ms, raft.MsgAppResp); m.Index != 3 || p.snap != nil || len(p.terms()) != 4 {
		t.Errorf("answer %v, log %v", brief(ms), p.terms())
	}
	if p.Status().HardState.Commit != 3 {
		t.Errorf("commit %d", p.Status().HardState.Commit)
	}
}

// A snapshot from a leader of an earlier term is refused (figure 13).
func TestSnapshotOfEarlierTermIsRefused(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 5))
	ms := p.step(snap(2, 4, snapshotAt(9, 4, voters(1, 2, 3))))
	if m := one(t, ms, raft.MsgAppResp); !m.Reject || m.Term != 5 || p.snap != nil {
		t.Errorf("answer %v", brief(ms))
	}
}

// A snapshot may be older than our membership: the log after it will tell. Until then we do not campaign.
func TestSnapshotFromBeforeWeJoined(t *testing.T) {
	p := newPeer(t, 4, raft.ConfState{})
	one(t, p.step(snap(2, 1, snapshotAt(9, 1, voters(1, 2, 3)))), raft.MsgAppResp)
	if err := p.Campaign(); p.snap == nil || !errors.Is(err, raft.ErrNotPromotable) {
		t.Errorf("installed %v, campaign: %v", p.snap, err)
	}
}

// A snapshot of nothing is refused.
func TestUselessSnapshots(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	for _, s := range []*raft.Snapshot{nil, snapshotAt(0, 0, voters(1)), snapshotAt(3, 9, voters(1)),
		snapshotAt(3, 1, raft.ConfState{}), snapshotAt(3, 1, voters(1, 1))} {
		m := snap(2, 1, s)
		m.To = 1
		if err := p.Step(m); !errors.Is(err, raft.ErrBadMessage) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// A snapshot replaces log and configuration in one Ready, and the node goes on from there, also after a restart.
func TestSnapshotReplacesEverything(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 2, 2))
	p.must(p.Step(raft.Message{Type: raft.MsgSnap, From: 4, To: 1, Term: 3, Snapshot: snapshotAt(3, 3, voters(1, 4, 5))}))
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 4, To: 1, Term: 3, Index: 3, LogTerm: 3, Commit: 4,
		Entries: entries(3, 3)}))
	rd := p.ready()
	if rd.Snapshot == nil || len(rd.Entries) != 1 || len(rd.CommittedEntries) != 0 || !rd.MustSync {
		t.Fatalf("%+v", rd)
	}
	if len(rd.Immediate()) != 0 {
		t.Error("acknowledged before it was durable")
	}
	p.drain()
	if p.disk.SetHardState(raft.HardState{Term: 3}); len(p.done) != 1 { // the commit index may be lost
		t.Errorf("applied %v", p.done)
	}
	p = startPeer(t, 1, p.disk)
	st := p.Status()
	if st.HardState.Commit != 3 || st.LastIndex != 4 || !slices.Equal(st.ConfState.Voters, []uint64{1, 4, 5}) {
		t.Errorf("after a restart: %+v", st)
	}
}
