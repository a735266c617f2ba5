// The leader's part: who is sent a snapshot, what follows it, what reports and answers mean.

package stage2ca_test

import (
	"errors"
	"fmt"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// behind is a leader of three whose log is compacted up to 8, and whose node 3 has acknowledged 1 at most. Node 2 has
// everything.
func (d *desk) behind(options ...func(*raft.Config)) *node {
	d.t.Helper()
	n := d.node(1, voters(1, 2, 3), options...).leads(2, 3)
	n.acknowledged(2, 3)
	for range 9 {
		n.proposes("x")
	}
	n.acknowledged(2)
	n.compacted(8)
	d.done = []string{"node 1 leads term 1 of three: log up to 10, node 2 has all of it, node 3 has 1 entry",
		"node 1: CreateSnapshot(8) and Compact(8)"}
	return n
}

// compacted makes a snapshot at index and compacts the log up to there.
func (n *node) compacted(index uint64) {
	n.d.t.Helper()
	n.d.say("node %d: CreateSnapshot(%d), Compact(%d)", n.id, index, index)
	if err := n.disk.CreateSnapshot(index, voters(1, 2, 3), fmt.Appendf(nil, "state at %d", index)); err != nil {
		n.d.broken("a snapshot of an entry that the log holds", "CreateSnapshot: %v", err)
	}
	if err := n.disk.Compact(index); err != nil {
		n.d.broken("a log behind its snapshot can be compacted", "Compact: %v", err)
	}
}

// answersHeartbeats lets time pass until the next heartbeats, and lets the named followers answer them. It returns what
// was sent then.
func (n *node) answersHeartbeats(ids ...uint64) []raft.Message {
	n.d.t.Helper()
	var out []raft.Message
	n.Tick()
	n.d.say("node %d: Tick", n.id)
	for _, m := range n.settles() {
		if m.Type != raft.MsgHeartbeat {
			out = append(out, m)
			continue
		}
		for _, id := range ids {
			if m.To == id {
				n.gets(raft.Message{Type: raft.MsgHeartbeatResp, From: id, Term: n.Term(), Context: m.Context})
			}
		}
	}
	return append(out, n.settles()...)
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
func (n *node) untilSnapshot() raft.Message {
	n.d.t.Helper()
	for range 6 {
		for _, m := range to(3, n.answersHeartbeats(2, 3)) {
			if m.Type == raft.MsgSnap {
				return m
			}
			n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
				LogTerm: 1, Context: m.Context})
			for _, m := range to(3, n.settles()) {
				if m.Type == raft.MsgSnap {
					return m
				}
			}
		}
	}
	n.d.broken("a snapshot for node 3: its next entry is compacted", "none in 6 rounds of heartbeats")
	return raft.Message{}
}

func (n *node) progress(id uint64) raft.ProgressStatus {
	for _, p := range n.Status().Progress {
		if p.ID == id {
			return p
		}
	}
	return raft.ProgressStatus{}
}

func TestLaggingFollowerIsSentASnapshot(t *testing.T) {
	d := open(t, sends)
	n := d.behind()
	m := n.untilSnapshot()
	if m.Term != n.Term() || m.From != 1 || m.Snapshot == nil {
		d.broken("a MsgSnap of the leader's term", "%s", rafttest.FormatMessage(&m))
	}
	if meta := m.Snapshot.Metadata; meta.Index != 8 || meta.Term != 1 || len(meta.ConfState.Voters) != 3 ||
		string(m.Snapshot.Data) != "state at 8" {
		d.broken("the snapshot of Storage: at 8/1, voters 1 2 3, its state", "%s with %q", rafttest.FormatMessage(&m),
			m.Snapshot.Data)
	}
	if p := n.progress(3); p.State != raft.ProgressSnapshot || p.Snapshot != 8 {
		d.broken("progress of node 3: snapshot, at 8", "%v, at %d", p.State, p.Snapshot)
	}
}

func TestFollowerThatKeepsUpGetsEntries(t *testing.T) {
	d := open(t, sends)
	n := d.behind()
	n.proposes("y")
	got := to(2, append(n.settles(), n.answersHeartbeats(2, 3)...))
	for _, m := range got {
		if m.Type == raft.MsgSnap {
			d.broken("appends for node 2, which has everything but the last entry", "%s", list(got))
		}
	}
	if len(got) == 0 {
		d.broken("entry 11 for node 2", "nothing")
	}
}

// Entries just behind the snapshot need no snapshot: the term of the entry before the first is still known.
func TestEntriesRightBehindTheSnapshot(t *testing.T) {
	d := open(t, sends)
	n := d.behind()
	d.say("node 3 has entries up to 8 after all, and not those that it was sent since")
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 8})
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: 10, Hint: 8, LogTerm: 1})
	got := to(3, append(n.settles(), n.answersHeartbeats(2, 3)...))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 || got[0].LogTerm != 1 ||
		len(got[0].Entries) == 0 {
		d.broken("an append after 8/1 for node 3", "%s", list(got))
	}
}

func TestSilentFollowerIsSentNothing(t *testing.T) {
	d := open(t, sends)
	n := d.behind()
	d.say("node 3 never answers, for two election timeouts")
	var got []raft.Message
	for range 25 {
		got = append(got, to(3, n.answersHeartbeats(2))...)
		d.done = d.done[:3]
	}
	n.ReportUnreachable(3)
	d.say("node 1: ReportUnreachable(3): whatever was on its way is lost")
	got = append(got, to(3, n.settles())...)
	for range 25 {
		got = append(got, to(3, n.answersHeartbeats(2))...)
	}
	for _, m := range got {
		if m.Type == raft.MsgSnap {
			d.broken("no snapshot for a node that is not heard from: it would fill a dead node's queue", "%s", list(got))
		}
	}
	if n.HasReady() {
		d.broken("nothing to do until node 3 is heard from", "HasReady is true")
	}
	d.say("node 3 is back, with 1 entry")
	n.untilSnapshot()
}

func TestNothingElseIsSentMeanwhile(t *testing.T) {
	d := open(t, oneAtATime)
	n := d.behind()
	n.untilSnapshot()
	var got []raft.Message
	for range 5 {
		n.proposes("y")
		got = append(got, to(3, n.settles())...)
		got = append(got, to(3, n.answersHeartbeats(2, 3))...)
	}
	n.TellCommit()
	got = append(got, to(3, n.settles())...)
	if len(got) != 0 {
		d.broken("no append and no other snapshot for node 3", "%s", list(got))
	}
	if n.settles(); n.HasReady() {
		d.broken("nothing to do", "HasReady is true")
	}
}

func TestLogGoesOnAfterTheSnapshot(t *testing.T) {
	d := open(t, goesOn)
	n := d.behind()
	n.untilSnapshot()
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 8})
	got := to(3, append(n.settles(), n.answersHeartbeats(2, 3)...))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 || got[0].LogTerm != 1 {
		d.broken("the append after 8/1 for node 3", "%s", list(got))
	}
	if p := n.progress(3); p.State != raft.ProgressReplicate || p.Match != 8 {
		d.broken("progress of node 3: replicate, match 8", "%v, match %d", p.State, p.Match)
	}
}

// An acknowledgement of less than the snapshot says nothing about it.
func TestOldAnswersDoNotEndTheWait(t *testing.T) {
	d := open(t, oneAtATime)
	n := d.behind()
	n.untilSnapshot()
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 1})
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: 5, Hint: 1, LogTerm: 1})
	got := to(3, append(n.settles(), n.answersHeartbeats(2, 3)...))
	if len(got) != 0 {
		d.broken("nothing: the snapshot is still on its way", "%s", list(got))
	}
}

func TestLostSnapshotIsSentAnew(t *testing.T) {
	d := open(t, goesOn)
	n := d.behind()
	n.untilSnapshot()
	n.ReportSnapshot(3, raft.SnapshotFailure)
	d.say("node 1: ReportSnapshot(3, failure)")
	if got := to(3, n.settles()); len(got) != 0 {
		d.broken("nothing before a sign of life of node 3", "%s", list(got))
	}
	if p := n.progress(3); p.State != raft.ProgressProbe || p.Next != p.Match+1 || p.Snapshot != 0 {
		d.broken(fmt.Sprintf("progress of node 3: probe, next %d", p.Match+1), "%v, next %d, snapshot %d", p.State, p.Next,
			p.Snapshot)
	}
	n.untilSnapshot()
}

func TestDeliveredSnapshotIsNotSentAgain(t *testing.T) {
	d := open(t, goesOn)
	n := d.behind()
	n.untilSnapshot()
	n.ReportSnapshot(3, raft.SnapshotFinish)
	d.say("node 1: ReportSnapshot(3, finish)")
	if got := to(3, n.settles()); len(got) != 0 {
		d.broken("nothing before a sign of life of node 3: it may still install", "%s", list(got))
	}
	if p := n.progress(3); p.State != raft.ProgressProbe || p.Next != 9 {
		d.broken("progress of node 3: probe, next 9", "%v, next %d", p.State, p.Next)
	}
	got := to(3, n.answersHeartbeats(2, 3))
	if len(got) == 0 || got[0].Type != raft.MsgApp || got[0].Index != 8 {
		d.broken("an append after 8/1, right behind the snapshot", "%s", list(got))
	}
	if n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 10}); n.progress(3).Match != 10 {
		d.broken("match 10", "match %d", n.progress(3).Match)
	}
}

// A report may come late, from a transport that gave up long ago, or about somebody else.
func TestReportsOutOfPlaceAreIgnored(t *testing.T) {
	d := open(t, goesOn)
	n := d.behind()
	before := n.progress(2)
	for _, id := range []uint64{2, 9} {
		n.ReportSnapshot(id, raft.SnapshotFailure)
		d.say("node 1: ReportSnapshot(%d, failure), to which no snapshot is on its way", id)
		if got := n.progress(2); got != before {
			d.broken(fmt.Sprintf("progress of node 2 as before: %v, next %d", before.State, before.Next), "%v, next %d",
				got.State, got.Next)
		}
	}
	f := d.node(2, voters(1, 2, 3))
	d.say("node 2, a follower: ReportSnapshot(3, failure)")
	if got := panics(func() { f.ReportSnapshot(3, raft.SnapshotFailure) }); got != nil {
		d.broken("nothing happens", "a panic: %v", got)
	}
	d.say("node 3 acknowledges more than the snapshot, then a report of failure comes")
	n.untilSnapshot()
	n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Index: 9})
	n.ReportSnapshot(3, raft.SnapshotFailure)
	if got := n.progress(3); got.Match != 9 || got.Next < 10 {
		d.broken("match 9, next 10 or more", "match %d, next %d", got.Match, got.Next)
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
func (d *desk) behindOn() (*node, *flaky) {
	d.t.Helper()
	f := &flaky{}
	n := d.behind(func(c *raft.Config) {
		f.MemoryStorage = c.Storage.(*raft.MemoryStorage)
		c.Storage = f
	})
	return n, f
}

func TestUnreadySnapshotIsAskedForAgain(t *testing.T) {
	d := open(t, asksAgain)
	n, f := d.behindOn()
	f.err = raft.ErrSnapshotTemporarilyUnavailable
	d.say("Storage is still making the snapshot")
	for range 4 {
		for _, m := range to(3, n.answersHeartbeats(2, 3)) {
			if m.Type == raft.MsgSnap {
				d.broken("no snapshot: there is none yet", "%s", rafttest.FormatMessage(&m))
			}
			n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
				LogTerm: 1})
			n.settles()
		}
	}
	if n.HasReady() {
		d.broken("nothing to do until node 3 is heard from again", "HasReady is true")
	}
	f.err = nil
	d.say("the snapshot is ready")
	n.untilSnapshot()
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
		n, f := d.behindOn()
		d.say("%s", c.name)
		c.set(f)
		var got error
		for i := 0; i < 6 && got == nil; i++ {
			n.Tick()
			for n.HasReady() && got == nil {
				rd, err := n.Ready()
				if got = err; err != nil {
					break
				}
				n.finish(rd)
				for _, m := range rd.Messages {
					switch {
					case m.Type == raft.MsgSnap:
						d.broken("no snapshot is sent", "%s", rafttest.FormatMessage(&m))
					case m.Type == raft.MsgHeartbeat:
						n.gets(raft.Message{Type: raft.MsgHeartbeatResp, From: m.To, Term: n.Term(), Context: m.Context})
					case m.To == 3 && m.Type == raft.MsgApp:
						n.gets(raft.Message{Type: raft.MsgAppResp, From: 3, Term: n.Term(), Reject: true, Index: m.Index, Hint: 1,
							LogTerm: 1})
					}
				}
			}
		}
		if !c.is(got) {
			d.broken("Ready returns the error", "%v", got)
		}
		*f = flaky{MemoryStorage: f.MemoryStorage}
		d.say("the disk is well again")
		n.settles()
		if p := n.progress(3); p.State != raft.ProgressSnapshot {
			n.untilSnapshot()
		}
	}
}
