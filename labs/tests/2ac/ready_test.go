// What a Ready holds: each kind of effect, once, when it is due.

package stage2ac_test

import (
	"slices"
	"testing"

	"tinykv/raft"
)

func TestIdleNodeAsksForNothing(t *testing.T) {
	d := open(t, asksOnly)
	n := d.node(1, voters(1, 2, 3))
	if n.HasReady() {
		d.broken("HasReady is false: nothing has happened yet", "true")
	}
	n.Tick()
	d.say("node 1: Tick")
	if n.HasReady() {
		d.broken("HasReady is false: one tick is no election timeout", "true")
	}
	n.gets(app(2, 1, 0, 0, 1, entries(0, 1)...))
	n.settles()
	if n.HasReady() {
		d.broken("HasReady is false: all is done", "true")
	}
	n.idleAsLeader()
}

// idleAsLeader: a leader with nothing to send is idle as well.
func (n *node) idleAsLeader() {
	n.d.t.Helper()
	p := n.d.node(1, voters(1))
	p.leads()
	p.settles()
	if p.HasReady() {
		n.d.broken("HasReady is false: a leader without followers is done when its no-op is applied", "true")
	}
}

// Each kind of effect alone must be noticed.
func TestHasReadySeesEachEffect(t *testing.T) {
	d := open(t, asksOnly)
	due := func(n *node, what string) {
		t.Helper()
		if !n.HasReady() {
			d.broken("HasReady is true: "+what, "false")
		}
	}
	n := d.node(1, voters(1, 2, 3))
	n.gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
	due(n, "there is a vote to be stored and sent")
	n.settles()
	n.gets(app(2, 1, 0, 0, 0, entries(0, 1, 1)...))
	due(n, "there are entries to be stored")
	n.settles()
	n.gets(heartbeat(2, 1, 1))
	due(n, "there is an entry to be applied")
	n.settles()
	n.gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 1, Snapshot: snapshotAt(9, 1)})
	due(n, "there is a snapshot to be stored")
	n.settles()

	d.say("another node 1, whose leader says only that it leads a later term")
	n = d.node(1, voters(1, 2, 3))
	n.gets(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 5, Reject: true})
	due(n, "the term is now 5, and nothing else changed")
	n.settles()

	d.say("another node 1, alone, which leads")
	n = d.node(1, voters(1)).leads()
	n.settles()
	d.say("node 1: ReadIndex(7)")
	if err := n.ReadIndex(7); err != nil {
		d.broken("a leader takes the read", "%v", err)
	}
	due(n, "a read can be answered at once: nobody has to be asked")
	n.settles()
	n.proposes("x")
	due(n, "there is an entry to be stored")

	d.say("another node 1 of three, which leads, and whose disk has all entries")
	n = d.node(1, voters(1, 2, 3)).leads(2, 3)
	n.acknowledged(2, 3)
	n.TellCommit()
	d.say("node 1: TellCommit")
	due(n, "there are appends to be built that tell the commit index")
	n.settles()
	d.say("node 1: ReadIndex(8)")
	if err := n.ReadIndex(8); err != nil {
		d.broken("a leader takes the read", "%v", err)
	}
	due(n, "followers are to be asked whether it still leads")
	round := uint64(0)
	for _, m := range n.settles() {
		round = max(round, m.Context)
	}
	n.gets(raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: n.Term(), Context: round})
	due(n, "a quorum answered, so the read can be")
	n.settles()
	if len(n.reads) != 1 || n.reads[0].RequestID != 8 {
		d.broken("the answer to read 8", "%+v", n.reads)
	}
	d.say("node 1: ticks, and nobody answers")
	for range 200 {
		n.Tick()
		if !n.IsLeader() {
			due(n, "it leads no longer, because it hears from no quorum")
			break
		}
		n.settles()
	}
	d.done = d.done[:0]
}

func snapshotAt(index, term uint64) *raft.Snapshot {
	meta := raft.SnapshotMetadata{Index: index, Term: term, ConfState: voters(1, 2, 3)}
	return &raft.Snapshot{Data: []byte("state"), Metadata: meta}
}

func TestNoReadyWhileOneIsOut(t *testing.T) {
	d := open(t, asksOnly)
	n := d.node(1, voters(1, 2, 3))
	n.gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	rd := n.take()
	n.gets(app(2, 1, 1, 1, 0, entries(1, 1)...))
	if n.HasReady() {
		d.broken("HasReady is false until Advance", "true")
	}
	n.finish(rd)
	if !n.HasReady() {
		d.broken("HasReady is true: entry 2 came in meanwhile", "false")
	}
}

func TestEntriesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3))
	var got []raft.Entry
	at := uint64(0)
	for range 4 {
		n.gets(app(2, 1, at, min(at, 1), 0, entries(at, 1, 1)...))
		at += 2
		got = append(got, n.does().Entries...)
	}
	for n.HasReady() {
		got = append(got, n.does().Entries...)
	}
	want := entries(0, 1, 1, 1, 1, 1, 1, 1, 1)
	if !slices.EqualFunc(got, want, sameEntry) {
		d.broken("to be stored, all Readies together: "+showEntries(want), "%s", showEntries(got))
	}
}

func sameEntry(a, b raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && string(a.Data) == string(b.Data)
}

func TestProposalsShareAReady(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3)).leads(2, 3)
	n.acknowledged(2, 3)
	for range 64 {
		n.proposes("x")
	}
	rd := n.does()
	if len(rd.Entries) != 64 {
		d.broken("one Ready with the 64 entries that were proposed before it", "%d entries", len(rd.Entries))
	}
	if more := n.settles(); len(find(more, raft.MsgApp)) > 64*2 {
		d.broken("at most one append for each entry and follower", "%d appends", len(more))
	}
}

func TestMessagesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3))
	n.gets(app(2, 1, 0, 0, 0, entries(0, 1)...))
	n.gets(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1, Context: 5})
	got := n.settles()
	if acks := find(got, raft.MsgAppResp); len(acks) != 1 || acks[0].Index != 1 || acks[0].Reject {
		d.broken("one acknowledgement of entry 1", "%d acknowledgements among %d messages", len(acks), len(got))
	}
	if answers := find(got, raft.MsgHeartbeatResp); len(answers) != 1 || answers[0].Context != 5 {
		d.broken("one answer to the heartbeat of round 5", "%d answers", len(answers))
	}
	n.gets(app(2, 1, 1, 1, 0, entries(1, 1)...))
	got = n.settles()
	if acks := find(got, raft.MsgAppResp); len(got) != 1 || len(acks) != 1 || acks[0].Index != 2 {
		d.broken("one acknowledgement of entry 2, and nothing else", "%d messages, %d acknowledgements", len(got), len(acks))
	}
}

// A leader's own Ready carries both kinds of message at once.
func TestBothKindsOfMessageInOneReady(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3)).leads(2, 3)
	n.acknowledged(2, 3)
	n.proposes("x")
	n.gets(raft.Message{Type: raft.MsgVote, From: 3, Term: n.Term()})
	rd := n.does()
	if len(rd.Immediate())+len(rd.Deferred()) != len(rd.Messages) {
		d.broken("Immediate and Deferred together are Messages", "%d and %d of %d", len(rd.Immediate()),
			len(rd.Deferred()), len(rd.Messages))
	}
	all := append(rd.Messages, n.settles()...)
	answers, appends := find(all, raft.MsgVoteResp), find(all, raft.MsgApp)
	if len(answers) != 1 || !answers[0].Reject || len(appends) != 2 {
		d.broken("a vote refused to node 3, and one append for each of two followers", "%d answers and %d appends",
			len(answers), len(appends))
	}
}

func TestHardStateIsHandedOutWhenItChanges(t *testing.T) {
	d := open(t, hardState)
	n := d.node(1, voters(1, 2, 3))
	want := func(rd raft.Ready, h raft.HardState, why string) {
		t.Helper()
		if rd.HardState != h {
			d.broken(why+": HardState "+showHard(h), "HardState %s", showHard(rd.HardState))
		}
	}
	n.gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 1})
	want(n.does(), raft.HardState{Term: 1, Vote: 2}, "a new term and a vote")
	n.settles()
	n.gets(app(2, 1, 0, 0, 0, entries(0, 1, 1)...))
	want(n.does(), raft.HardState{}, "nothing of it changed")
	n.gets(heartbeat(2, 1, 1))
	want(n.does(), raft.HardState{Term: 1, Vote: 2, Commit: 1}, "a commit index")
	n.gets(heartbeat(2, 1, 1))
	want(n.does(), raft.HardState{}, "nothing of it changed")
	n.gets(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 4, Reject: true})
	want(n.does(), raft.HardState{Term: 4, Commit: 1}, "a new term, and no vote in it")

	d.say("node 1 restarts")
	n = d.start(1, n.disk)
	if n.HasReady() {
		want(n.does(), raft.HardState{}, "it is what the disk says")
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
	n := d.node(1, voters(1, 2, 3))
	want := func(sync bool, why string) {
		t.Helper()
		if rd := n.does(); rd.MustSync != sync {
			d.broken(why, "MustSync is %v", rd.MustSync)
		}
		n.settles()
	}
	n.gets(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 2, Reject: true})
	want(true, "MustSync is true: a term that is forgotten can be voted in twice")
	n.gets(raft.Message{Type: raft.MsgVote, From: 2, Term: 2})
	want(true, "MustSync is true: a vote that is forgotten can be given twice")
	n.gets(app(2, 2, 0, 0, 0, entries(0, 2, 2)...))
	want(true, "MustSync is true: entries are acknowledged")
	n.gets(heartbeat(2, 2, 1))
	want(false, "MustSync is false: a commit index may be forgotten, the leader tells it again")
	n.gets(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 2, Commit: 1, Context: 9})
	want(false, "MustSync is false: there is only an answer to be sent")
	n.gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	want(true, "MustSync is true: a snapshot is acknowledged")
}

func TestSoftStateTellsRoleAndLeader(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3))
	want := func(soft *raft.SoftState, why string) {
		t.Helper()
		rd := n.does()
		switch {
		case soft == nil && rd.SoftState != nil:
			d.broken("no SoftState: "+why, "%v with leader %d", rd.SoftState.State, rd.SoftState.Lead)
		case soft != nil && (rd.SoftState == nil || *rd.SoftState != *soft):
			d.broken("a SoftState: "+why, "%+v", rd.SoftState)
		}
	}
	n.gets(heartbeat(2, 1, 0))
	want(&raft.SoftState{Lead: 2}, "node 2 is known to lead")
	n.gets(heartbeat(2, 1, 0))
	want(nil, "nothing changed")
	n.gets(heartbeat(3, 2, 0))
	want(&raft.SoftState{Lead: 3}, "node 3 leads a later term")
	n.gets(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 7, Reject: true})
	want(&raft.SoftState{}, "nobody is known to lead term 7")
}

func TestSnapshotIsHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.start(1, logOf(voters(1, 2, 3), 1, 1))
	n.gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	n.gets(app(2, 2, 9, 2, 10, entries(9, 2, 2)...))
	rd := n.take()
	if rd.Snapshot == nil || rd.Snapshot.Metadata.Index != 9 || string(rd.Snapshot.Data) != "state" {
		d.broken("a Ready with the snapshot at 9", "%+v", rd.Snapshot)
	}
	if len(rd.CommittedEntries) != 0 {
		d.rule = inOrder
		d.broken("nothing to apply: the state of the snapshot is not installed yet", "%s", showEntries(rd.CommittedEntries))
	}
	n.finish(rd)
	for n.HasReady() {
		if rd := n.does(); rd.Snapshot != nil {
			d.broken("the snapshot was handed out: no other Ready has it", "a snapshot at %d", rd.Snapshot.Metadata.Index)
		}
	}
	if st := n.Status(); st.Applied != 10 || st.LastIndex != 11 {
		d.rule = durable
		d.broken("applied up to 10: snapshot up to 9, then entry 10; the log ends at 11", "applied %d, last %d", st.Applied,
			st.LastIndex)
	}
	if got := n.applied; len(got) != 1 || got[0].Index != 10 {
		d.rule = inOrder
		d.broken("entry 10 applied after the snapshot", "%s", showEntries(got))
	}
}

// A newer snapshot comes while the one before is being written.
func TestNewerSnapshotReplacesOneThatIsOut(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3))
	n.gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(5, 2)})
	rd := n.take()
	n.gets(raft.Message{Type: raft.MsgSnap, From: 2, Term: 2, Snapshot: snapshotAt(9, 2)})
	n.finish(rd)
	if !n.HasReady() {
		d.broken("HasReady is true: the snapshot at 9 was not handed out", "false")
	}
	n.settles()
	if n.installed == nil || n.installed.Metadata.Index != 9 || n.Status().Applied != 9 {
		d.broken("the snapshot at 9 is installed", "installed %+v, applied %d", n.installed, n.Status().Applied)
	}
}

func TestReadStatesAreHandedOutOnce(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1)).leads()
	n.settles()
	for id := range uint64(3) {
		d.say("node 1: ReadIndex(%d)", id+1)
		if err := n.ReadIndex(id + 1); err != nil {
			d.broken("a leader takes the read", "%v", err)
		}
	}
	n.settles()
	n.proposes("x")
	n.settles()
	seen := map[uint64]int{}
	for _, r := range n.reads {
		seen[r.RequestID]++
	}
	if len(n.reads) != 3 || len(seen) != 3 {
		d.broken("three ReadStates, one for each request", "%+v", n.reads)
	}
}

func TestNumbersCountReadies(t *testing.T) {
	d := open(t, once)
	n := d.node(1, voters(1, 2, 3))
	for want := uint64(1); want <= 3; want++ {
		n.gets(app(2, 1, want-1, min(want-1, 1), 0, entries(want-1, 1)...))
		if rd := n.does(); rd.Number != want {
			d.broken("Readies are numbered from 1", "Ready %d has Number %d", want, rd.Number)
		}
		n.settles()
		n.d.done = n.d.done[:0]
	}
}
