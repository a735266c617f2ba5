// What a Ready holds: each kind of effect, once, when it is due.

package stage2ac_test

import (
	"slices"
	"testing"

	"tinykv/raft"
)

func TestIdleNodeAsksForNothing(t *testing.T) {
	d := open(t, asksOnly)
	n := d.Fresh(1, voters(1, 2, 3))
	if n.HasReady() {
		d.Broken("HasReady is false: nothing has happened yet", "true")
	}
	n.Tick()
	d.Say("node 1: Tick")
	if n.HasReady() {
		d.Broken("HasReady is false: one tick is no election timeout", "true")
	}
	n.Gets(app(2, 1, 0, 0, 1, entries(0, 1)...))
	n.Settles()
	if n.HasReady() {
		d.Broken("HasReady is false: all is done", "true")
	}
	idleAsLeader(n)
}

// idleAsLeader: a leader with nothing to send is idle as well.
func idleAsLeader(n *node) {
	n.D.T.Helper()
	p := n.D.Fresh(1, voters(1))
	p.Leads()
	p.Settles()
	if p.HasReady() {
		n.D.Broken("HasReady is false: a leader without followers is done when its no-op is applied", "true")
	}
}

// Each kind of effect alone must be noticed.
func TestHasReadySeesEachEffect(t *testing.T) {
	d := open(t, asksOnly)
	due := func(n *node, what string) {
		t.Helper()
		if !n.HasReady() {
			d.Broken("HasReady is true: "+what, "false")
		}
	}
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
	due(n, "there is a vote to be stored and sent")
	n.Settles()
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1, 1)...))
	due(n, "there are entries to be stored")
	n.Settles()
	n.Gets(heartbeat(2, 1, 1))
	due(n, "there is an entry to be applied")
	n.Settles()
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 1, Snapshot: snapshotAt(9, 1)})
	due(n, "there is a snapshot to be stored")
	n.Settles()

	d.Say("another node 1, whose leader says only that it leads a later term")
	n = d.Fresh(1, voters(1, 2, 3))
	n.Gets(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 5, Reject: true})
	due(n, "the term is now 5, and nothing else changed")
	n.Settles()

	d.Say("another node 1, alone, which leads")
	n = d.Fresh(1, voters(1)).Leads()
	n.Settles()
	d.Say("node 1: ReadIndex(7)")
	if err := n.ReadIndex(7); err != nil {
		d.Brokenf("a leader takes the read", "%v", err)
	}
	due(n, "a read can be answered at once: nobody has to be asked")
	n.Settles()
	n.Proposes("x")
	due(n, "there is an entry to be stored")

	d.Say("another node 1 of three, which leads, and whose disk has all entries")
	n = d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	n.Acknowledged(2, 3)
	n.TellCommit()
	d.Say("node 1: TellCommit")
	due(n, "there are appends to be built that tell the commit index")
	n.Settles()
	d.Say("node 1: ReadIndex(8)")
	if err := n.ReadIndex(8); err != nil {
		d.Brokenf("a leader takes the read", "%v", err)
	}
	due(n, "followers are to be asked whether it still leads")
	round := uint64(0)
	for _, m := range n.Settles() {
		round = max(round, m.Context)
	}
	n.Gets(raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: n.Term(), Context: round})
	due(n, "a quorum answered, so the read can be")
	n.Settles()
	if len(n.Reads) != 1 || n.Reads[0].RequestID != 8 {
		d.Brokenf("the answer to read 8", "%+v", n.Reads)
	}
	d.Say("node 1: ticks, and nobody answers")
	for range 200 {
		n.Tick()
		if !n.IsLeader() {
			due(n, "it leads no longer, because it hears from no quorum")
			break
		}
		n.Settles()
	}
	d.Done = d.Done[:0]
}

func snapshotAt(index, term uint64) *raft.Snapshot {
	meta := raft.SnapshotMetadata{Index: index, Term: term, ConfState: voters(1, 2, 3)}
	return &raft.Snapshot{Data: []byte("state"), Metadata: meta}
}

func TestNoReadyWhileOneIsOut(t *testing.T) {
	d := open(t, asksOnly)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd := n.Take()
	n.Gets(app(2, 1, 1, 1, 0, entries(1, 1)...))
	if n.HasReady() {
		d.Broken("HasReady is false until Advance", "true")
	}
	n.Finish(rd)
	if !n.HasReady() {
		d.Broken("HasReady is true: entry 2 came in meanwhile", "false")
	}
}

func TestEntriesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3))
	var got []raft.Entry
	at := uint64(0)
	for range 4 {
		n.Gets(app(2, 1, at, min(at, 1), 0, entries(at, 1, 1)...))
		at += 2
		got = append(got, n.Does().Entries...)
	}
	for n.HasReady() {
		got = append(got, n.Does().Entries...)
	}
	want := entries(0, 1, 1, 1, 1, 1, 1, 1, 1)
	if !slices.EqualFunc(got, want, sameEntry) {
		d.Broken("to be stored, all Readies together: "+showEntries(want), showEntries(got))
	}
}

func sameEntry(a, b raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && string(a.Data) == string(b.Data)
}

func TestProposalsShareAReady(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	n.Acknowledged(2, 3)
	for range 64 {
		n.Proposes("x")
	}
	rd := n.Does()
	if len(rd.Entries) != 64 {
		d.Brokenf("one Ready with the 64 entries that were proposed before it", "%d entries", len(rd.Entries))
	}
	if more := n.Settles(); len(find(more, raft.MsgApp)) > 64*2 {
		d.Brokenf("at most one append for each entry and follower", "%d appends", len(more))
	}
}

func TestMessagesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	n.Gets(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1, Context: 5})
	got := n.Settles()
	if acks := find(got, raft.MsgAppResp); len(acks) != 1 || acks[0].Index != 1 || acks[0].Reject {
		d.Brokenf("one acknowledgement of entry 1", "%d acknowledgements among %d messages", len(acks), len(got))
	}
	if answers := find(got, raft.MsgHeartbeatResp); len(answers) != 1 || answers[0].Context != 5 {
		d.Brokenf("one answer to the heartbeat of round 5", "%d answers", len(answers))
	}
	n.Gets(app(2, 1, 1, 1, 0, entries(1, 1)...))
	got = n.Settles()
	if acks := find(got, raft.MsgAppResp); len(got) != 1 || len(acks) != 1 || acks[0].Index != 2 {
		d.Brokenf("one acknowledgement of entry 2, and nothing else", "%d messages, %d acknowledgements", len(got), len(acks))
	}
}

// A leader's own Ready carries both kinds of message at once.
func TestBothKindsOfMessageInOneReady(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3)).Leads(2, 3)
	n.Acknowledged(2, 3)
	n.Proposes("x")
	n.Gets(raft.Message{Type: raft.MsgVote, From: 3, Term: n.Term()})
	rd := n.Does()
	if len(rd.Immediate())+len(rd.Deferred()) != len(rd.Messages) {
		d.Brokenf("Immediate and Deferred together are Messages", "%d and %d of %d", len(rd.Immediate()),
			len(rd.Deferred()), len(rd.Messages))
	}
	all := append(rd.Messages, n.Settles()...)
	answers, appends := find(all, raft.MsgVoteResp), find(all, raft.MsgApp)
	if len(answers) != 1 || !answers[0].Reject || len(appends) != 2 {
		d.Brokenf("a vote refused to node 3, and one append for each of two followers", "%d answers and %d appends",
			len(answers), len(appends))
	}
}

func TestHardStateIsHandedOutWhenItChanges(t *testing.T) {
	d := open(t, hardState)
	n := d.Fresh(1, voters(1, 2, 3))
	want := func(rd raft.Ready, h raft.HardState, why string) {
		t.Helper()
		if rd.HardState != h {
			d.Brokenf(why+": HardState "+showHard(h), "HardState %s", showHard(rd.HardState))
		}
	}
	n.Gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
	want(n.Does(), raft.HardState{Term: 1, Vote: 2}, "a new term and a vote")
	n.Settles()
	n.Gets(app(2, 1, 0, 0, 0, entries(0, 1, 1)...))
	want(n.Does(), raft.HardState{}, "nothing of it changed")
	n.Gets(heartbeat(2, 1, 1))
	want(n.Does(), raft.HardState{Term: 1, Vote: 2, Commit: 1}, "a commit index")
	n.Gets(heartbeat(2, 1, 1))
	want(n.Does(), raft.HardState{}, "nothing of it changed")
	n.Gets(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 4, Reject: true})
	want(n.Does(), raft.HardState{Term: 4, Commit: 1}, "a new term, and no vote in it")

	d.Say("node 1 restarts")
	n = d.Start(1, n.Disk)
	if n.HasReady() {
		want(n.Does(), raft.HardState{}, "it is what the disk says")
	}
}

func showHard(h raft.HardState) string {
	if h.IsEmpty() {
		return "empty"
	}
	rd := raft.Ready{HardState: h}
	return show(&rd)
}

func TestMustSyncSaysWhenToFlush(t *testing.T) {
	d := open(t, mustSync)
	n := d.Fresh(1, voters(1, 2, 3))
	want := func(sync bool, why string) {
		t.Helper()
		if rd := n.Does(); rd.MustSync != sync {
			d.Brokenf(why, "MustSync is %v", rd.MustSync)
		}
		n.Settles()
	}
	n.Gets(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 2, Reject: true})
	want(true, "MustSync is true: a term that is forgotten can be voted in twice")
	n.Gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 2})
	want(true, "MustSync is true: a vote that is forgotten can be given twice")
	n.Gets(app(2, 2, 0, 0, 0, entries(0, 2, 2)...))
	want(true, "MustSync is true: entries are acknowledged")
	n.Gets(heartbeat(2, 2, 1))
	want(false, "MustSync is false: a commit index may be forgotten, the leader tells it again")
	n.Gets(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 2, Commit: 1, Context: 9})
	want(false, "MustSync is false: there is only an answer to be sent")
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	want(true, "MustSync is true: a snapshot is acknowledged")
}

func TestSoftStateTellsRoleAndLeader(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3))
	want := func(soft *raft.SoftState, why string) {
		t.Helper()
		rd := n.Does()
		switch {
		case soft == nil && rd.SoftState != nil:
			d.Brokenf("no SoftState: "+why, "%v with leader %d", rd.SoftState.State, rd.SoftState.Lead)
		case soft != nil && (rd.SoftState == nil || *rd.SoftState != *soft):
			d.Brokenf("a SoftState: "+why, "%+v", rd.SoftState)
		}
	}
	n.Gets(heartbeat(2, 1, 0))
	want(&raft.SoftState{Lead: 2}, "node 2 is known to lead")
	n.Gets(heartbeat(2, 1, 0))
	want(nil, "nothing changed")
	n.Gets(heartbeat(3, 2, 0))
	want(&raft.SoftState{Lead: 3}, "node 3 leads a later term")
	n.Gets(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 7, Reject: true})
	want(&raft.SoftState{}, "nobody is known to lead term 7")
}

func TestSnapshotIsHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.Start(1, logOf(voters(1, 2, 3), 1, 1))
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	n.Gets(app(2, 2, 9, 2, 10, entries(9, 2, 2)...))
	rd := n.Take()
	if rd.Snapshot == nil || rd.Snapshot.Metadata.Index != 9 || string(rd.Snapshot.Data) != "state" {
		d.Brokenf("a Ready with the snapshot at 9", "%+v", rd.Snapshot)
	}
	if len(rd.CommittedEntries) != 0 {
		d.Rule = inOrder
		d.Broken("nothing to apply: the state of the snapshot is not installed yet", showEntries(rd.CommittedEntries))
	}
	n.Finish(rd)
	for n.HasReady() {
		if rd := n.Does(); rd.Snapshot != nil {
			d.Brokenf("the snapshot was handed out: no other Ready has it", "a snapshot at %d", rd.Snapshot.Metadata.Index)
		}
	}
	if st := n.Status(); st.Applied != 10 || st.LastIndex != 11 {
		d.Rule = durable
		d.Brokenf("applied up to 10: snapshot up to 9, then entry 10; the log ends at 11", "applied %d, last %d", st.Applied,
			st.LastIndex)
	}
	if got := n.Applied; len(got) != 1 || got[0].Index != 10 {
		d.Rule = inOrder
		d.Broken("entry 10 applied after the snapshot", showEntries(got))
	}
}

// A newer snapshot comes while the one before is being written.
func TestNewerSnapshotReplacesOneThatIsOut(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3))
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(5, 2)})
	rd := n.Take()
	n.Gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	n.Finish(rd)
	if !n.HasReady() {
		d.Broken("HasReady is true: the snapshot at 9 was not handed out", "false")
	}
	n.Settles()
	if n.Installed == nil || n.Installed.Metadata.Index != 9 || n.Status().Applied != 9 {
		d.Brokenf("the snapshot at 9 is installed", "installed %+v, applied %d", n.Installed, n.Status().Applied)
	}
}

func TestReadStatesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1)).Leads()
	n.Settles()
	for id := range uint64(3) {
		d.Say("node 1: ReadIndex(%d)", id+1)
		if err := n.ReadIndex(id + 1); err != nil {
			d.Brokenf("a leader takes the read", "%v", err)
		}
	}
	n.Settles()
	n.Proposes("x")
	n.Settles()
	seen := map[uint64]int{}
	for _, r := range n.Reads {
		seen[r.RequestID]++
	}
	if len(n.Reads) != 3 || len(seen) != 3 {
		d.Brokenf("three ReadStates, one for each request", "%+v", n.Reads)
	}
}

func TestNumbersCountReadies(t *testing.T) {
	d := open(t, once)
	n := d.Fresh(1, voters(1, 2, 3))
	for want := uint64(1); want <= 3; want++ {
		n.Gets(app(2, 1, want-1, min(want-1, 1), 0, entries(want-1, 1)...))
		if rd := n.Does(); rd.Number != want {
			d.Brokenf("Readies are numbered from 1", "Ready %d has Number %d", want, rd.Number)
		}
		n.Settles()
		n.D.Done = n.D.Done[:0]
	}
}
