// The leader's part: who is sent a snapshot, what follows it, what reports and answers mean.

package stage2ca_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/labs/tests/raftdesk"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// behind is a leader of three whose log is compacted up to 8, and whose node 3 has acknowledged 1 at most. Node 2 has
// everything.
func behind(d *desk, options ...raftdesk.Option) *node {
	d.T.Helper()
	n := d.Fresh(1, voters(1, 2, 3), options...).Leads(2, 3)
	n.Acknowledged(2, 3)
	for range 9 {
		n.Proposes("x")
	}
	n.Acknowledged(2)
	compacted(n, 8)
	d.Done = []string{"node 1 leads term 1 of three: log up to 10, node 2 has all of it, node 3 has 1 entry",
		"node 1: CreateSnapshot(8) and Compact(8)"}
	return n
}

// compacted makes a snapshot at index and compacts the log up to there.
func compacted(n *node, index uint64) {
	n.D.T.Helper()
	n.D.Say("node %d: CreateSnapshot(%d), Compact(%d)", n.ID, index, index)
	if err := n.Disk.CreateSnapshot(index, voters(1, 2, 3), fmt.Appendf(nil, "state at %d", index)); err != nil {
		n.D.Brokenf("a snapshot of an entry that the log holds", "CreateSnapshot: %v", err)
	}
	if err := n.Disk.Compact(index); err != nil {
		n.D.Brokenf("a log behind its snapshot can be compacted", "Compact: %v", err)
	}
}

// answersHeartbeats lets time pass until the next heartbeats, and lets the named followers answer them. It returns what
// was sent then.
func answersHeartbeats(n *node, ids ...uint64) []raft.Message {
	n.D.T.Helper()
	var out []raft.Message
	n.Tick()
	n.D.Say("node %d: Tick", n.ID)
	for _, m := range n.Settles() {
		if m.Type != raft.MsgHeartbeat {
			out = append(out, m)
			continue
		}
		for _, id := range ids {
			if m.To == id {
				n.Gets(raft.Message{Type: raft.MsgHeartbeatResp, From: id, Term: n.Term(), Context: m.Context})
			}
		}
	}
	return append(out, n.Settles()...)
}

// to returns the appends and snapshots for a node.
func to(id uint64, messages []raft.Message) []raft.Message {
	var list []raft.Message
	for _, m := range messages {
		if m.To == id && (m.Type == raft.MsgApp || m.Type == raft.MsgSnap) {
			list = append(list, m)
		}
	}
	return list
}

func list(messages []raft.Message) string {
	s := ""
	for i := range messages {
		s += rafttest.FormatMessage(&messages[i]) + "\n"
	}
	if s == "" {
		return "no message"
	}
	return s
}

// untilSnapshot lets the leader find out that node 3 needs a snapshot. Node 3's log ends at match.
func untilSnapshot(n *node) raft.Message {
	n.D.T.Helper()
	for range 6 {
		for _, m := range to(3, answersHeartbeats(n, 2, 3)) {
			if m.Type == raft.MsgSnap {
				return m
			}
			n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
				LogTerm: 1, Context: m.Context})
			for _, m := range to(3, n.Settles()) {
				if m.Type == raft.MsgSnap {
					return m
				}
			}
		}
	}
	n.D.Broken("a snapshot for node 3: its next entry is compacted", "none in 6 rounds of heartbeats")
	return raft.Message{}
}

func TestLaggingFollowerIsSentASnapshot(t *testing.T) {
	d := open(t, sends)
	n := behind(d)
	m := untilSnapshot(n)
	if m.Term != n.Term() || m.From != 1 || m.Snapshot == nil {
		d.Broken("a MsgSnap of the leader's term", rafttest.FormatMessage(&m))
	}
	if meta := m.Snapshot.Metadata; meta.Index != 8 || meta.Term != 1 || len(meta.ConfState.Voters) != 3 ||
		string(m.Snapshot.Data) != "state at 8" {
		d.Brokenf("the snapshot of Storage: at 8/1, voters 1 2 3, its state", "%s with %q", rafttest.FormatMessage(&m),
			m.Snapshot.Data)
	}
	if p := n.ProgressOf(3); p.State != raft.ProgressSnapshot || p.Snapshot != 8 {
		d.Brokenf("progress of node 3: snapshot, at 8", "%v, at %d", p.State, p.Snapshot)
	}
}

func TestFollowerThatKeepsUpGetsEntries(t *testing.T) {
	d := open(t, sends)
	n := behind(d)
	n.Proposes("y")
	got := to(2, append(n.Settles(), answersHeartbeats(n, 2, 3)...))
	for _, m := range got {
		if m.Type == raft.MsgSnap {
			d.Broken("appends for node 2, which has everything but the last entry", list(got))
		}
	}
	if len(got) == 0 {
		d.Broken("entry 11 for node 2", "nothing")
	}
}

// Entries just behind the snapshot need no snapshot: the term of the entry before the first is still known.
func TestEntriesRightBehindTheSnapshot(t *testing.T) {
	d := open(t, sends)
	n := behind(d)
	d.Say("node 3 has entries up to 8 after all, and not those that it was sent since")
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 8})
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: 10, Hint: 8, LogTerm: 1})
	got := to(3, append(n.Settles(), answersHeartbeats(n, 2, 3)...))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 || got[0].LogTerm != 1 ||
		len(got[0].Entries) == 0 {
		d.Broken("an append after 8/1 for node 3", list(got))
	}
}

func TestSilentFollowerIsSentNothing(t *testing.T) {
	d := open(t, sends)
	n := behind(d)
	d.Say("node 3 never answers, for two election timeouts")
	var got []raft.Message
	for range 25 {
		got = append(got, to(3, answersHeartbeats(n, 2))...)
		d.Done = d.Done[:3]
	}
	n.ReportUnreachable(3)
	d.Say("node 1: ReportUnreachable(3): whatever was on its way is lost")
	got = append(got, to(3, n.Settles())...)
	for range 25 {
		got = append(got, to(3, answersHeartbeats(n, 2))...)
	}
	for _, m := range got {
		if m.Type == raft.MsgSnap {
			d.Broken("no snapshot for a node that is not heard from: it would fill a dead node's queue", list(got))
		}
	}
	if n.HasReady() {
		d.Broken("nothing to do until node 3 is heard from", "HasReady is true")
	}
	d.Say("node 3 is back, with 1 entry")
	untilSnapshot(n)
}

func TestNothingElseIsSentMeanwhile(t *testing.T) {
	d := open(t, oneAtATime)
	n := behind(d)
	untilSnapshot(n)
	var got []raft.Message
	for range 5 {
		n.Proposes("y")
		got = append(got, to(3, n.Settles())...)
		got = append(got, to(3, answersHeartbeats(n, 2, 3))...)
	}
	n.TellCommit()
	got = append(got, to(3, n.Settles())...)
	if len(got) != 0 {
		d.Broken("no append and no other snapshot for node 3", list(got))
	}
	if n.Settles(); n.HasReady() {
		d.Broken("nothing to do", "HasReady is true")
	}
}

func TestLogGoesOnAfterTheSnapshot(t *testing.T) {
	d := open(t, goesOn)
	n := behind(d)
	untilSnapshot(n)
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 8})
	got := to(3, append(n.Settles(), answersHeartbeats(n, 2, 3)...))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 || got[0].LogTerm != 1 {
		d.Broken("the append after 8/1 for node 3", list(got))
	}
	if p := n.ProgressOf(3); p.State != raft.ProgressReplicate || p.Match != 8 {
		d.Brokenf("progress of node 3: replicate, match 8", "%v, match %d", p.State, p.Match)
	}
}

// An acknowledgement of less than the snapshot says nothing about it.
func TestOldAnswersDoNotEndTheWait(t *testing.T) {
	d := open(t, oneAtATime)
	n := behind(d)
	untilSnapshot(n)
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 1})
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: 5, Hint: 1, LogTerm: 1})
	got := to(3, append(n.Settles(), answersHeartbeats(n, 2, 3)...))
	if len(got) != 0 {
		d.Broken("nothing: the snapshot is still on its way", list(got))
	}
}

func TestLostSnapshotIsSentAnew(t *testing.T) {
	d := open(t, goesOn)
	n := behind(d)
	untilSnapshot(n)
	n.ReportSnapshot(3, raft.SnapshotFailure)
	d.Say("node 1: ReportSnapshot(3, failure)")
	if got := to(3, n.Settles()); len(got) != 0 {
		d.Broken("nothing before a sign of life of node 3", list(got))
	}
	if p := n.ProgressOf(3); p.State != raft.ProgressProbe || p.Next != p.Match+1 || p.Snapshot != 0 {
		d.Brokenf(fmt.Sprintf("progress of node 3: probe, next %d", p.Match+1), "%v, next %d, snapshot %d", p.State, p.Next,
			p.Snapshot)
	}
	untilSnapshot(n)
}

func TestDeliveredSnapshotIsNotSentAgain(t *testing.T) {
	d := open(t, goesOn)
	n := behind(d)
	untilSnapshot(n)
	n.ReportSnapshot(3, raft.SnapshotFinish)
	d.Say("node 1: ReportSnapshot(3, finish)")
	if got := to(3, n.Settles()); len(got) != 0 {
		d.Broken("nothing before a sign of life of node 3: it may still install", list(got))
	}
	if p := n.ProgressOf(3); p.State != raft.ProgressProbe || p.Next != 9 {
		d.Brokenf("progress of node 3: probe, next 9", "%v, next %d", p.State, p.Next)
	}
	got := to(3, answersHeartbeats(n, 2, 3))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 {
		d.Broken("an append after 8/1, right behind the snapshot", list(got))
	}
	if n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 10}); n.ProgressOf(3).Match != 10 {
		d.Brokenf("match 10", "match %d", n.ProgressOf(3).Match)
	}
}

// A report may come late, from a transport that gave up long ago, or about somebody else.
func TestReportsOutOfPlaceAreIgnored(t *testing.T) {
	d := open(t, goesOn)
	n := behind(d)
	before := n.ProgressOf(2)
	for _, id := range []uint64{2, 9} {
		n.ReportSnapshot(id, raft.SnapshotFailure)
		d.Say("node 1: ReportSnapshot(%d, failure), to which no snapshot is on its way", id)
		if got := n.ProgressOf(2); got != before {
			d.Brokenf(fmt.Sprintf("progress of node 2 as before: %v, next %d", before.State, before.Next), "%v, next %d",
				got.State, got.Next)
		}
	}
	f := d.Fresh(2, voters(1, 2, 3))
	d.Say("node 2, a follower: ReportSnapshot(3, failure)")
	if got := panics(func() { f.ReportSnapshot(3, raft.SnapshotFailure) }); got != nil {
		d.Brokenf("nothing happens", "a panic: %v", got)
	}
	d.Say("node 3 acknowledges more than the snapshot, then a report of failure comes")
	untilSnapshot(n)
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 9})
	n.ReportSnapshot(3, raft.SnapshotFailure)
	if got := n.ProgressOf(3); got.Match != 9 || got.Next < 10 {
		d.Brokenf("match 9, next 10 or more", "match %d, next %d", got.Match, got.Next)
	}
}

// flaky is a Storage whose snapshots fail.
type flaky struct {
	*raft.MemoryStorage
	err  error
	snap *raft.Snapshot // instead of the present one
}

func (s *flaky) Snapshot() (raft.Snapshot, error) {
	if s.err != nil {
		return raft.Snapshot{}, s.err
	}
	if s.snap != nil {
		return *s.snap, nil
	}
	return s.MemoryStorage.Snapshot()
}

// behindOn is behind over a Storage whose snapshots fail on demand.
func behindOn(d *desk) (*node, *flaky) {
	d.T.Helper()
	f := &flaky{}
	n := behind(d, func(c *raft.Config) {
		f.MemoryStorage = c.Storage.(*raft.MemoryStorage)
		c.Storage = f
	})
	return n, f
}

func TestUnreadySnapshotIsAskedForAgain(t *testing.T) {
	d := open(t, asksAgain)
	n, f := behindOn(d)
	f.err = raft.ErrSnapshotTemporarilyUnavailable
	d.Say("Storage is still making the snapshot")
	for range 4 {
		for _, m := range to(3, answersHeartbeats(n, 2, 3)) {
			if m.Type == raft.MsgSnap {
				d.Broken("no snapshot: there is none yet", rafttest.FormatMessage(&m))
			}
			n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
				LogTerm: 1})
			n.Settles()
		}
	}
	if n.HasReady() {
		d.Broken("nothing to do until node 3 is heard from again", "HasReady is true")
	}
	f.err = nil
	d.Say("the snapshot is ready")
	untilSnapshot(n)
}

func TestErrorsOfSnapshotAreHandedUp(t *testing.T) {
	d := open(t, asksAgain)
	fire := errors.New("the disk is on fire")
	for _, c := range []struct {
		name string
		set  func(f *flaky)
		is   func(err error) bool
	}{
		{"Storage.Snapshot fails", func(f *flaky) { f.err = fire }, func(err error) bool { return errors.Is(err, fire) }},
		{"Storage.Snapshot returns an empty snapshot", func(f *flaky) { f.snap = &raft.Snapshot{} },
			func(err error) bool { return err != nil }},
	} {
		n, f := behindOn(d)
		d.Say("%s", c.name)
		c.set(f)
		var got error
		for i := 0; i < 6 && got == nil; i++ {
			n.Tick()
			for n.HasReady() && got == nil {
				rd, err := n.Ready()
				if got = err; err != nil {
					break
				}
				n.Finish(rd)
				for _, m := range rd.Messages {
					switch {
					case m.Type == raft.MsgSnap:
						d.Broken("no snapshot is sent", rafttest.FormatMessage(&m))
					case m.Type == raft.MsgHeartbeat:
						n.Gets(raft.Message{Type: raft.MsgHeartbeatResp, From: m.To, Term: n.Term(), Context: m.Context})
					case m.To == 3 && m.Type == raft.MsgApp:
						n.Gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
							LogTerm: 1})
					}
				}
			}
		}
		if !c.is(got) {
			d.Brokenf("Ready returns the error", "%v", got)
		}
		*f = flaky{MemoryStorage: f.MemoryStorage}
		d.Say("the disk is well again")
		n.Settles()
		if p := n.ProgressOf(3); p.State != raft.ProgressSnapshot {
			untilSnapshot(n)
		}
	}
}
