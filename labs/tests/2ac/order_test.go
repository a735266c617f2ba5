// The order of effects: what waits for the disk, what waits for Advance, what may come in between.

package stage2ac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// promise tells whether a message must wait for the disk.
func promise(m raft.Message) bool {
	return m.Type == raft.MsgVoteResp || m.Type == raft.MsgAppResp
}

func noPromises(n *node, rd raft.Ready) {
	n.D.T.Helper()
	for _, m := range rd.Immediate() {
		if promise(m) {
			n.D.Broken("deferred until the write is durable: "+rafttest.FormatMessage(&m), "it is in Immediate")
		}
	}
}

func TestPromisesWaitForTheDisk(t *testing.T) {
	d := open(t, promises)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
	rd := n.Does()
	noPromises(n, rd)
	if len(find(rd.Deferred(), raft.MsgVoteResp)) != 1 || rd.HardState.Vote != 2 {
		d.Broken("one Ready with the vote in HardState and the answer in Deferred", show(&rd))
	}
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd = n.Does()
	noPromises(n, rd)
	if len(find(rd.Deferred(), raft.MsgAppResp)) != 1 || len(rd.Entries) != 1 {
		d.Broken("one Ready with the entry and, in Deferred, its acknowledgement", show(&rd))
	}
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 1, Snapshot: snapshotAt(9, 1)})
	rd = n.Does()
	noPromises(n, rd)
	if len(find(rd.Deferred(), raft.MsgAppResp)) != 1 || rd.Snapshot == nil {
		d.Broken("one Ready with the snapshot and, in Deferred, its acknowledgement", show(&rd))
	}
	d.Say("node 1 leads, proposes, and refuses a vote")
	p := d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	p.Acknowledged(2, 3)
	p.Proposes("x")
	p.Gets(raft.Message{Type: raft.MsgVote, From: 3, Term: p.Term()})
	noPromises(p, p.Does())
}

// A term shown before it is durable may be led by two after a crash.
func TestNewTermIsNotShownBeforeItIsDurable(t *testing.T) {
	d := open(t, promises)
	// The only voter is elected at once: its learner must not hear of the term before the disk did.
	n := d.Fresh(1, raft.ConfState{Voters: []uint64{1}, Learners: []uint64{2}})
	d.Say("node 1: Campaign (it is the only voter; node 2 is a learner)")
	if err := n.Campaign(); err != nil {
		d.Brokenf("a voter may campaign", "%v", err)
	}
	before := uint64(0) // the durable term
	sent := 0
	for i := 0; n.HasReady() && i < 20; i++ {
		rd := n.Take()
		for _, m := range rd.Immediate() {
			if m.Term > before {
				d.Brokenf(fmt.Sprintf("the durable term is %d, so this is deferred: %s", before, rafttest.FormatMessage(&m)),
					"it is in Immediate")
			}
		}
		sent += len(find(rd.Messages, raft.MsgApp))
		n.Finish(rd)
		hard, _, _ := n.Disk.InitialState()
		before = hard.Term
	}
	if sent == 0 {
		d.Rule = once
		d.Broken("an append for the learner", "none")
	}
	d.Say("another node 1, of three, campaigns")
	p := d.Fresh(1, voters(1, 2, 3), func(c *raft.Config) { c.DisablePreVote = true })
	if err := p.Campaign(); err != nil {
		d.Brokenf("a voter may campaign", "%v", err)
	}
	rd := p.Does()
	if len(find(rd.Immediate(), raft.MsgVote)) > 0 || rd.HardState.Vote != 1 {
		d.Brokenf("its own vote in HardState, and the requests for votes of term 1 in Deferred", "%s; immediate: %d",
			show(&rd), len(rd.Immediate()))
	}
}

func TestSequentialAppendDefersEverything(t *testing.T) {
	d := open(t, promises)
	n := d.Fresh(1, voters(1, 2, 3), func(c *raft.Config) { c.SequentialAppend = true }).Leads(2, 3)
	n.Acknowledged(2, 3)
	n.Proposes("x")
	rd := n.Does()
	if len(rd.Immediate()) != 0 || len(find(rd.Deferred(), raft.MsgApp)) == 0 {
		d.Brokenf("with SequentialAppend, Immediate is empty and the appends are in Deferred", "%d immediate, %d deferred",
			len(rd.Immediate()), len(rd.Deferred()))
	}
}

// What others acknowledge is not yet on our own disk: the leader counts itself only after Advance.
func TestLeaderCountsItselfAfterAdvance(t *testing.T) {
	d := open(t, durable)
	n := d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	n.Acknowledged(2, 3)
	commit := n.Status().HardState.Commit
	n.Proposes("x")
	rd := n.Take()
	n.Gets(raft.Message{Type: raft.MsgAppResp, From: 2, Term: n.Term(), Index: n.LastIndex()})
	if got := n.Status().HardState.Commit; got != commit {
		d.Brokenf(fmt.Sprintf("commit %d: entry %d is durable on node 2 alone, before Advance", commit, n.LastIndex()),
			"commit %d", got)
	}
	n.Finish(rd)
	if got := n.Status().HardState.Commit; got != n.LastIndex() {
		d.Brokenf(fmt.Sprintf("commit %d: durable on nodes 1 and 2 of three", n.LastIndex()), "commit %d", got)
	}
	n.Settles()
	if got := n.Applied[len(n.Applied)-1]; string(got.Data) != "x" {
		d.Brokenf("x is applied", "the last entry applied is %s", rafttest.FormatEntry(&got))
	}

	d.Say("node 1 is alone: it commits what its disk has, and not before")
	p := d.Fresh(1, voters(1)).Leads()
	p.Settles()
	commit = p.Status().HardState.Commit
	p.Proposes("y")
	rd = p.Take()
	if got := p.Status().HardState.Commit; got != commit || len(rd.CommittedEntries) != 0 {
		d.Brokenf(fmt.Sprintf("commit %d before Advance", commit), "commit %d", got)
	}
	p.Finish(rd)
	p.Settles()
	if got := p.Applied[len(p.Applied)-1]; string(got.Data) != "y" {
		d.Brokenf("y is applied", "the last entry applied is %s", rafttest.FormatEntry(&got))
	}
}

func TestAppliedRisesWithAdvance(t *testing.T) {
	d := open(t, durable)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 2, entries(0, 1, 1, 1)...))
	rd := n.Take()
	if got := n.Status().Applied; got != 0 {
		d.Brokenf("Applied 0: Advance was not called", "Applied %d", got)
	}
	n.Finish(rd)
	n.Settles()
	if got := n.Status().Applied; got != 2 {
		d.Brokenf("Applied 2", "Applied %d", got)
	}
}

func TestInputBetweenReadyAndAdvance(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1)).Leads()
	n.Settles()
	n.Proposes("a")
	rd := n.Take()
	n.Proposes("b")
	n.Finish(rd)
	n.Settles()
	var got []string
	for _, e := range n.Applied {
		if len(e.Data) > 0 {
			got = append(got, string(e.Data))
		}
	}
	if strings.Join(got, "") != "ab" {
		d.Brokenf("a and b are stored and applied, each once", "applied %q", got)
	}
	if last, _ := n.Disk.LastIndex(); last != n.LastIndex() {
		d.Brokenf(fmt.Sprintf("the disk ends at %d like the log", n.LastIndex()), "it ends at %d", last)
	}
	d.Say("a follower that gets a message between Ready and Advance")
	f := d.Fresh(1, voters(1, 2, 3))
	f.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd = f.Take()
	f.Gets(app(2, 1, 1, 1, 0, entries(1, 1)...))
	f.Finish(rd)
	if acks := find(f.Settles(), raft.MsgAppResp); len(acks) != 1 || acks[0].Index != 2 {
		d.Brokenf("the next Ready acknowledges entry 2", "%d acknowledgements", len(acks))
	}
}

// A later leader replaces entries that a Ready has handed out and that are just being written (§5.3).
func TestTruncationBetweenReadyAndAdvance(t *testing.T) {
	d := open(t, durable)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1, 1, 1)...))
	rd := n.Take()
	n.Gets(app(3, 2, 1, 1, 0, entries(1, 2)...))
	n.Finish(rd)
	n.Settles()
	onDisk(n, 1, 2)
	d.Say("the same, with a longer log in its place")
	n = d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd = n.Take()
	n.Gets(app(3, 2, 0, 0, 0, entries(0, 2, 2, 2)...))
	n.Finish(rd)
	n.Settles()
	onDisk(n, 2, 2, 2)
}

// onDisk compares the terms of the durable log.
func onDisk(n *node, want ...uint64) {
	n.D.T.Helper()
	last, _ := n.Disk.LastIndex()
	list, _ := n.Disk.Entries(1, last+1, ^uint64(0))
	if !slices.EqualFunc(list, entries(0, want...), sameEntry) {
		n.D.Broken("on the disk: "+showEntries(entries(0, want...)), showEntries(list))
	}
}

func TestHandedOutNeverChanges(t *testing.T) {
	d := open(t, immutable)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 1, entries(0, 1, 1, 1)...))
	rd := n.Take()
	stored, applied, sent := showEntries(rd.Entries), showEntries(rd.CommittedEntries), show(&rd)
	same := func(when string) {
		t.Helper()
		if got := showEntries(rd.Entries); got != stored {
			d.Brokenf("Entries as they were handed out: "+stored, "after %s: %s", when, got)
		}
		if got := showEntries(rd.CommittedEntries); got != applied {
			d.Brokenf("CommittedEntries as they were handed out: "+applied, "after %s: %s", when, got)
		}
		if got := show(&rd); got != sent {
			d.Brokenf("the Ready as it was handed out: "+sent, "after %s: %s", when, got)
		}
	}
	n.Gets(app(3, 2, 1, 1, 1, entries(1, 2, 2)...))
	same("a truncation")
	// A caller may append to what it got: that must not reach into the log.
	_ = append(rd.Entries, raft.Entry{Term: 99, Index: 99, Data: []byte("the caller's")})
	_ = append(rd.Messages, raft.Message{Type: raft.MsgApp, To: 99})
	_ = append(rd.Immediate(), raft.Message{Type: raft.MsgApp, To: 98})
	same("an append to its slices by the caller")
	n.Finish(rd)
	for i := range uint64(40) {
		n.Gets(app(3, 2, 3+i, 2, 1, entries(3+i, 2)...))
		n.Settles()
	}
	same("forty more entries")

	d.Say("a leader: the caller appends to the entries of a Ready while more are proposed")
	p := d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	p.Acknowledged(2, 3)
	p.Proposes("a")
	rd = p.Take()
	p.Proposes("b")
	_ = append(rd.Entries, raft.Entry{Term: 99, Index: 99, Data: []byte("the caller's")})
	p.Finish(rd)
	if got := p.Does().Entries; len(got) != 1 || string(got[0].Data) != "b" {
		d.Broken("the entry b, as it was proposed", showEntries(got))
	}

	p = d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	p.Acknowledged(2, 3)
	p.Proposes("a")
	rd = p.Take()
	stored, applied, sent = showEntries(rd.Entries), showEntries(rd.CommittedEntries), show(&rd)
	p.Proposes("b")
	p.Gets(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 9, Reject: true})
	p.Gets(app(3, 9, rd.Entries[0].Index-1, p.Term()-8, 0, entries(rd.Entries[0].Index-1, 9)...))
	same("the loss of leadership and a truncation")
	_ = append(rd.Entries, raft.Entry{Term: 99, Index: 99})
	p.Finish(rd)
	p.Settles()
	same("the next Ready")
	if last, _ := p.Disk.LastIndex(); last != rd.Entries[0].Index {
		d.Brokenf(fmt.Sprintf("the log of the new leader, up to %d", rd.Entries[0].Index), "the disk ends at %d", last)
	}
}

func TestOrderOfCallsIsKept(t *testing.T) {
	d := open(t, called)
	n := d.Fresh(1, voters(1, 2, 3))
	if got := panics(n.Advance); got != raft.ErrAdvanceWithoutReady {
		d.Say("node 1: Advance, without a Ready")
		d.Brokenf("a panic with raft.ErrAdvanceWithoutReady", "%v", got)
	}
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd := n.Take()
	if got := panics(func() { _, _ = n.Ready() }); got != raft.ErrReadyTwice {
		d.Say("node 1: Ready again, without Advance")
		d.Brokenf("a panic with raft.ErrReadyTwice", "%v", got)
	}
	n.Finish(rd)
	if got := panics(n.Advance); got != raft.ErrAdvanceWithoutReady {
		d.Say("node 1: Advance again")
		d.Brokenf("a panic with raft.ErrAdvanceWithoutReady", "%v", got)
	}
	if n.Settles(); n.LastIndex() != 1 {
		d.Brokenf("the node goes on", "its log ends at %d", n.LastIndex())
	}
}
