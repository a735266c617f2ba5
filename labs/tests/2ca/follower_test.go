// The follower's part: what is installed, what is not, and what is answered.

package stage2ca_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

func snapshotAt(index, term uint64, conf raft.ConfState) *raft.Snapshot {
	meta := raft.SnapshotMetadata{Index: index, Term: term, ConfState: conf}
	return &raft.Snapshot{Data: []byte("state"), Metadata: meta}
}

func snap(from, term uint64, s *raft.Snapshot) raft.Message {
	return raft.Message{Type: raft.MsgSnap, From: from, Term: term, Snapshot: s}
}

// ack checks that one acknowledgement of index goes to node 2.
func ack(n *node, messages []raft.Message, index uint64) {
	n.D.T.Helper()
	acks := find(messages, raft.MsgAppResp)
	if len(acks) != 1 || acks[0].Reject || acks[0].Index != index || acks[0].Term != n.Term() {
		n.D.Broken(fmt.Sprintf("one acknowledgement of %d in term %d", index, n.Term()), list(messages))
	}
}

// keeps checks that the log is as it was, with the commit index.
func keeps(n *node, commit uint64, terms ...uint64) {
	n.D.T.Helper()
	if n.Installed != nil {
		n.D.Brokenf("no snapshot is installed", "one at %d is", n.Installed.Metadata.Index)
	}
	last := uint64(len(terms))
	if n.LastIndex() != last || n.HardState().Commit != commit {
		n.D.Brokenf(fmt.Sprintf("the log up to %d, commit %d", last, commit), "the log up to %d, commit %d", n.LastIndex(),
			n.HardState().Commit)
	}
	for i, want := range terms {
		if got, err := n.TermOf(uint64(i) + 1); err == nil && got != want {
			n.D.Brokenf(fmt.Sprintf("entry %d of term %d", i+1, want), "of term %d", got)
		}
	}
}

func TestSnapshotIsInstalled(t *testing.T) {
	d := open(t, replaces)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1, 2, 2))
	n.Gets(heartbeat(2, 3, 0))
	n.Settles()
	n.Gets(snap(2, 3, snapshotAt(9, 3, voters(1, 2, 4, 5))))
	st := n.Status()
	if st.LastIndex != 9 || st.LastTerm != 3 || st.HardState.Commit != 9 {
		d.Brokenf("the log ends at 9/3, which is committed", "it ends at %d/%d, commit %d", st.LastIndex, st.LastTerm,
			st.HardState.Commit)
	}
	if !slices.Equal(st.ConfState.Voters, []uint64{1, 2, 4, 5}) {
		d.Broken("the configuration of the snapshot: 1 2 4 5", rafttest.FormatConf(st.ConfState))
	}
	rd := n.Take()
	if rd.Snapshot == nil || rd.Snapshot.Metadata.Index != 9 || string(rd.Snapshot.Data) != "state" ||
		len(rd.Entries) != 0 {
		d.Broken("a Ready with the snapshot and no entries", show(&rd))
	}
	if len(rd.CommittedEntries) != 0 {
		d.Broken("nothing to apply", showEntries(rd.CommittedEntries))
	}
	if len(find(rd.Immediate(), raft.MsgAppResp)) != 0 {
		d.Rule = answers
		d.Broken("the acknowledgement waits for the disk", "it is in Immediate")
	}
	if got := n.Status().Applied; got != 0 {
		d.Brokenf("applied 0: the snapshot is not installed before Advance", "applied %d", got)
	}
	n.Finish(rd)
	ack(n, append(rd.Messages, n.Settles()...), 9)
	if got := n.Status().Applied; got != 9 {
		d.Brokenf("applied 9", "applied %d", got)
	}
	for _, index := range []uint64{3, 8} {
		if _, err := n.TermOf(index); !errors.Is(err, raft.ErrCompacted) {
			d.Brokenf(fmt.Sprintf("the log does not know entry %d any more: ErrCompacted", index), "%v", err)
		}
	}
	if got, err := n.TermOf(9); got != 3 || err != nil {
		d.Brokenf("it knows that 9 is of term 3", "%d, %v", got, err)
	}
}

// The disk is slow: until the snapshot is durable, what Storage says is about the old log.
func TestOldLogIsGoneAtOnce(t *testing.T) {
	d := open(t, replaces)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1, 2, 2))
	n.Gets(snap(2, 3, snapshotAt(9, 3, voters(1, 2, 3))))
	n.Gets(app(2, 3, 2, 1, 2, entries(2, 2, 2)...))
	n.Gets(app(2, 3, 9, 3, 10, entries(9, 3, 3)...))
	if n.LastIndex() != 11 || n.HardState().Commit != 10 {
		d.Brokenf("the log up to 11, commit 10", "up to %d, commit %d", n.LastIndex(), n.HardState().Commit)
	}
	out := n.Settles()
	if acks := find(out, raft.MsgAppResp); len(acks) == 0 || acks[len(acks)-1].Index != 11 {
		d.Rule = answers
		d.Broken("entry 11 is acknowledged at last", list(out))
	}
	if len(n.Applied) != 1 || n.Applied[0].Index != 10 {
		d.Broken("entry 10 is applied after the snapshot, and nothing else", showEntries(n.Applied))
	}
}

func TestLogGoesOnAtTheFollower(t *testing.T) {
	d := open(t, goesOn)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(snap(2, 1, snapshotAt(8, 1, voters(1, 2, 3))))
	n.Settles()
	n.Gets(app(2, 1, 8, 1, 9, entries(8, 1, 1)...))
	ack(n, n.Settles(), 10)
	n.Gets(app(2, 1, 11, 1, 9, entries(11, 1)...))
	if acks := find(n.Settles(), raft.MsgAppResp); len(acks) != 1 || !acks[0].Reject {
		d.Broken("an append with a gap after 10 is rejected", list(acks))
	}
	if len(n.Applied) != 1 || n.Applied[0].Index != 9 {
		d.Broken("entry 9 is applied", showEntries(n.Applied))
	}
	d.Say("node 1 restarts")
	p := d.Start(1, n.Disk)
	if st := p.Status(); st.LastIndex != 10 || st.HardState.Commit != 9 || st.Applied != 8 {
		d.Brokenf("the log up to 10, commit 9, applied 8: the snapshot", "up to %d, commit %d, applied %d", st.LastIndex,
			st.HardState.Commit, st.Applied)
	}
}

// Entries that were handed out to be written before the snapshot came make nothing durable after it.
func TestSnapshotOvertakesAWrite(t *testing.T) {
	d := open(t, replaces)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)...))
	rd := n.Take()
	n.Gets(snap(3, 2, snapshotAt(5, 2, voters(1, 2, 3))))
	if n.LastIndex() != 5 {
		d.Brokenf("the log ends at 5, with the snapshot", "at %d", n.LastIndex())
	}
	n.Gets(app(3, 2, 5, 2, 7, entries(5, 2, 2)...))
	n.Finish(rd)
	n.Settles()
	last, _ := n.Disk.LastIndex()
	if term, err := n.Disk.Term(last); last != 7 || term != 2 || err != nil {
		d.Brokenf("on the disk: the snapshot at 5/2 and entries up to 7/2", "up to %d/%d (%v)", last, term, err)
	}
	if n.Installed == nil || len(n.Applied) != 2 || n.Status().Applied != 7 {
		d.Brokenf("the snapshot is installed, and entries 6 and 7 are applied", "installed %v, applied %s",
			n.Installed != nil,
			showEntries(n.Applied))
	}
}

func TestOldSnapshotIsAnsweredNotInstalled(t *testing.T) {
	d := open(t, onlyForward)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	n.Gets(app(2, 1, 4, 1, 3))
	n.Settles()
	for _, at := range []uint64{2, 3} {
		n.Gets(snap(2, 1, snapshotAt(at, 1, voters(1, 2))))
		out := n.Settles()
		keeps(n, 3, 1, 1, 1, 1)
		d.Rule = answers
		ack(n, out, 3)
		d.Rule = onlyForward
	}
	if got := n.Status().ConfState.Voters; len(got) != 3 {
		d.Brokenf("the configuration as it was", "voters %v", got)
	}
	d.Say("the same behind a compacted log")
	n = d.Start(1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	n.Gets(app(2, 1, 4, 1, 4))
	n.Settles()
	compacted(n, 3)
	n.Gets(snap(2, 1, snapshotAt(2, 1, voters(1, 2, 3))))
	out := n.Settles()
	keeps(n, 4, 1, 1, 1, 1)
	d.Rule = answers
	ack(n, out, 4)
}

// What follows the last entry of the snapshot is kept if the log holds that entry (§7): it may have been acknowledged.
func TestSnapshotOfAKnownEntryKeepsTheLog(t *testing.T) {
	d := open(t, onlyForward)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	n.Gets(snap(2, 1, snapshotAt(3, 1, voters(1, 2, 3))))
	out := n.Settles()
	keeps(n, 3, 1, 1, 1, 1)
	if len(n.Applied) != 3 {
		d.Broken("entries 1 to 3 are committed, and applied from the log", showEntries(n.Applied))
	}
	d.Rule = answers
	ack(n, out, 3)
	d.Rule = replaces
	d.Say("a log whose entry 3 is of another term")
	n = d.Start(1, logOf(voters(1, 2, 3), 1, 1, 1, 1))
	n.Gets(snap(2, 2, snapshotAt(3, 2, voters(1, 2, 3))))
	n.Settles()
	if n.Installed == nil || n.LastIndex() != 3 {
		d.Brokenf("the snapshot at 3/2 replaces a log with 3/1", "installed %v, log up to %d", n.Installed != nil,
			n.LastIndex())
	}
}

func TestSnapshotOfAnEarlierTermIsRefused(t *testing.T) {
	d := open(t, refuses)
	n := d.Start(1, logOf(voters(1, 2, 3), 5))
	n.Gets(snap(2, 4, snapshotAt(9, 4, voters(1, 2, 3))))
	out := n.Settles()
	keeps(n, 0, 5)
	if n.Term() != 5 || n.Lead() != raft.None {
		d.Brokenf("term 5, no leader known", "term %d, leader %d", n.Term(), n.Lead())
	}
	for _, m := range out {
		if m.Term != 5 || m.Type == raft.MsgAppResp && !m.Reject {
			d.Broken("at most a refusal that tells term 5", list(out))
		}
	}
}

func TestSnapshotOfNothingIsRefused(t *testing.T) {
	d := open(t, refuses)
	n := d.Fresh(1, voters(1, 2, 3))
	for _, c := range []struct {
		name string
		s    *raft.Snapshot
	}{
		{"no snapshot at all", nil},
		{"one of index 0", snapshotAt(0, 1, voters(1, 2))},
		{"one of term 0", snapshotAt(3, 0, voters(1, 2))},
		{"one of a term later than its leader's", snapshotAt(3, 9, voters(1, 2))},
		{"one without a voter", snapshotAt(3, 1, raft.ConfState{})},
		{"one that names a voter twice", snapshotAt(3, 1, voters(1, 1))},
	} {
		d.Say("node 1 gets from node 2, which leads term 7 or 1: %s", c.name)
		var err error
		if got := panics(func() {
			err = n.Step(raft.Message{Type: raft.MsgSnap, From: 2, To: 1, Term: 7, Snapshot: c.s})
			if c.s != nil && c.s.Metadata.Term == 9 {
				err = n.Step(raft.Message{Type: raft.MsgSnap, From: 2, To: 1, Term: 8, Snapshot: c.s})
			}
		}); got != nil {
			d.Brokenf("Step returns ErrBadMessage", "a panic: %v", got)
		}
		if !errors.Is(err, raft.ErrBadMessage) {
			d.Brokenf("Step returns ErrBadMessage", "%v", err)
		}
		if n.HasReady() || n.Term() != 0 || n.LastIndex() != 0 {
			d.Brokenf("nothing changed: not even the term", "HasReady %v, term %d, log up to %d", n.HasReady(), n.Term(),
				n.LastIndex())
		}
	}
}

func TestCandidateThatGetsASnapshotFollows(t *testing.T) {
	d := open(t, replaces)
	n := d.Fresh(1, voters(1, 2, 3), func(c *raft.Config) { c.DisablePreVote = true })
	d.Say("node 1: Campaign")
	if err := n.Campaign(); err != nil {
		d.Brokenf("a voter may campaign", "%v", err)
	}
	n.Settles()
	n.Gets(snap(2, n.Term(), snapshotAt(9, n.Term(), voters(1, 2, 3))))
	n.Settles()
	if st := n.Status(); st.SoftState != (raft.SoftState{Lead: 2}) || st.LastIndex != 9 {
		d.Brokenf("a follower of node 2, with the log up to 9", "%+v, log up to %d", st.SoftState, st.LastIndex)
	}
}

// A snapshot may be older than the change that let this node in: the log after it will bring that change.
func TestSnapshotFromBeforeThisNodeJoined(t *testing.T) {
	d := open(t, replaces)
	n := d.Fresh(4, raft.ConfState{})
	n.Gets(snap(2, 1, snapshotAt(9, 1, voters(1, 2, 3))))
	ack(n, n.Settles(), 9)
	if n.Installed == nil || !slices.Equal(n.Status().ConfState.Voters, []uint64{1, 2, 3}) {
		d.Brokenf("installed, with voters 1 2 3", "installed %v, voters %v", n.Installed != nil, n.Status().ConfState.Voters)
	}
	if err := n.Campaign(); !errors.Is(err, raft.ErrNotPromotable) {
		d.Brokenf("Campaign: ErrNotPromotable, for it is no voter yet", "%v", err)
	}
}

func TestSnapshotsAreNobodyElses(t *testing.T) {
	d := open(t, own)
	n := d.Fresh(1, voters(1, 2, 3))
	s := snapshotAt(9, 1, raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{7}})
	n.Gets(snap(2, 1, s))
	rd := n.Take()
	s.Metadata.ConfState.Voters[2] = 99
	s.Metadata.ConfState.Learners[0] = 98
	s.Metadata.Index = 77
	d.Say("the sender, in the same process, changes its snapshot: voters 1 2 99")
	if meta := rd.Snapshot.Metadata; meta.Index != 9 || meta.ConfState.Voters[2] != 3 || meta.ConfState.Learners[0] != 7 {
		d.Brokenf("the Ready as it was handed out: at 9, voters [1 2 3] learners [7]", "at %d, voters %s", meta.Index,
			rafttest.FormatConf(meta.ConfState))
	}
	n.Finish(rd)
	if got := n.Status().ConfState; got.Voters[2] != 3 || got.Learners[0] != 7 {
		d.Broken("the node's configuration: [1 2 3] learners [7]", rafttest.FormatConf(got))
	}
	conf := voters(1, 2, 3)
	disk := logOf(conf, 1, 1, 1)
	d.Say("CreateSnapshot(2, voters 1 2 3), then the caller changes its list to 1 2 99")
	if err := disk.CreateSnapshot(2, conf, nil); err != nil {
		d.Brokenf("a snapshot", "%v", err)
	}
	conf.Voters[2] = 99
	if got, _ := disk.Snapshot(); got.Metadata.ConfState.Voters[2] != 3 {
		d.Brokenf("voters [1 2 3]", "%v", got.Metadata.ConfState.Voters)
	}
}
