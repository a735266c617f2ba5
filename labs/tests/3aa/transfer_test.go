// The leader's side of a transfer: whom it tells to campaign, when, and what it does meanwhile.

package stage3aa_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
	"tinykv/raft"
)

// transfer asks a node for a transfer that must be accepted.
func transfer(n *node, to uint64) {
	n.D.T.Helper()
	n.Must(fmt.Sprintf("TransferLeader(%d)", to), n.TransferLeader(to))
}

// leads breaks the rule unless a node leads, in a term.
func leads(d *desk, id, term uint64) {
	d.T.Helper()
	n := d.Node(id)
	d.Check(n.Role() == raft.StateLeader && n.Term() == term, fmt.Sprintf("node %d leads term %d", id, term),
		"node %d is a %v in term %d", id, n.Role(), n.Term())
}

// dropsProposals breaks the rule unless the leader refuses a proposal, and keeps its log as it is.
func dropsProposals(n *node) {
	n.D.T.Helper()
	last := n.LastIndex()
	err := n.Propose([]byte("meanwhile"))
	n.D.Say("node %d: Propose(\"meanwhile\")", n.ID)
	n.D.Check(errors.Is(err, raft.ErrProposalDropped), "ErrProposalDropped", "%s", explain.Error(err))
	n.D.Check(n.LastIndex() == last, "a log that does not grow", "it grew from %d to %d", last, n.LastIndex())
}

// A node that has the whole log leads at once: not a tick passes (dissertation §3.10).
func TestLeadershipGoesWhereItIsWanted(t *testing.T) {
	d := cluster(t, goes, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	p.Proposes("x")
	d.Run()
	transfer(p, 3)
	d.Run()
	leads(d, 3, term+1)
	d.Check(p.Role() == raft.StateFollower && p.Lead() == 3, "node 1 follows node 3", "it is a %v that follows %d",
		p.Role(), p.Lead())
	d.Node(3).Proposes("y")
	d.Tick(2)
	for _, n := range d.Nodes {
		d.Check(slices.Equal(n.Payloads(), []string{"x", "y"}), "every node applies x and y", "node %d applied %q",
			n.ID, n.Payloads())
	}
}

// The last append was lost. The leader need not wait for a heartbeat to find that out: the target is asked at once.
func TestCatchUpBeginsAtOnce(t *testing.T) {
	d := cluster(t, wholeLog, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	d.Isolate(3)
	p.Proposes("lost")
	d.Run()
	d.Heal()
	transfer(p, 3)
	d.Run()
	leads(d, 3, term+1)
}

// A target that lacks a part of the log is not told to campaign: it could not win, or worse, would win a term for
// nobody.
func TestLaggingTargetIsBroughtUpToDateFirst(t *testing.T) {
	d := cluster(t, wholeLog, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	d.Isolate(3)
	for i := range 5 {
		p.Proposes(fmt.Sprint("entry ", i))
		d.Run()
	}
	transfer(p, 3)
	d.Run()
	tellsOnlyWhoHasAll(p, d, 3)
	d.Heal()
	d.Tick(3)
	leads(d, 3, term+1)
	got := d.Node(3).Payloads()
	d.Check(len(got) == 5, "the new leader has all five entries", "it applied %q", got)
}

// tellsOnlyWhoHasAll makes the network look at each TimeoutNow as it passes.
func tellsOnlyWhoHasAll(n *node, d *desk, target uint64) {
	lost, last := d.Lost, n.LastIndex()
	d.Lost = func(m raft.Message) bool {
		if m.Type == raft.MsgTimeoutNow && d.Node(m.To).LastIndex() < last {
			d.Broken(fmt.Sprintf("no TimeoutNow before node %d has the log up to %d", target, last),
				fmt.Sprintf("TimeoutNow to node %d, whose log ends at %d", m.To, d.Node(m.To).LastIndex()))
		}
		return lost != nil && lost(m)
	}
}

// Acknowledgements come one by one. Only the one of the last entry makes the target a candidate, and no other node's.
func TestTimeoutNowWaitsForTheLastEntry(t *testing.T) {
	d := cluster(t, wholeLog, upTo(3))
	p := d.Elect(1)
	p.Proposes("a")
	p.Proposes("b")
	d.Say("node 1 sends both entries, and the answers are on their way")
	p.Drain()
	last := p.LastIndex()
	transfer(p, 3)
	ms := p.Drain()
	d.Check(len(find(ms, raft.MsgTimeoutNow)) == 0, "no TimeoutNow before node 3 has acknowledged the log", "%s",
		raftdesk.Spoken(ms))
	for _, step := range []struct {
		from, index uint64
		want        int
	}{{3, last - 1, 0}, {2, last, 0}, {3, last, 1}} {
		ms = p.Hear(raft.Message{Type: raft.MsgAppResp, From: step.from, Term: p.Term(), Index: step.index})
		got := find(ms, raft.MsgTimeoutNow)
		d.Check(len(got) == step.want, fmt.Sprintf("%d TimeoutNow after this answer; the log ends at %d", step.want, last),
			"%d", len(got))
		if len(got) > 0 {
			d.Check(got[0].To == 3 && got[0].Term == p.Term(), "TimeoutNow to node 3, in the leader's term", "to %d in term %d",
				got[0].To, got[0].Term)
		}
	}
}

// Commands, changes of the configuration, forwarded commands: the log stands still, for the target is to have all of
// it.
func TestNoProposalsWhileLeadershipMoves(t *testing.T) {
	d := cluster(t, noProposals, upTo(3))
	p := d.Elect(1)
	p.Proposes("before")
	d.Run()
	d.Isolate(3)
	transfer(p, 3)
	dropsProposals(p)
	last := p.LastIndex()
	err := p.ProposeConfChange(change(add(4)))
	d.Say("node 1: ProposeConfChange(add 4)")
	d.Check(errors.Is(err, raft.ErrProposalDropped), "ErrProposalDropped", "%s", explain.Error(err))
	d.Node(2).Proposes("forwarded")
	d.Run()
	d.Check(p.LastIndex() == last, fmt.Sprintf("the leader's log ends at %d", last), "it ends at %d", p.LastIndex())
}

// Nothing but a transfer stops proposals.
func TestProposalsPassWithoutATransfer(t *testing.T) {
	d := cluster(t, noProposals, upTo(3))
	p := d.Elect(1)
	p.Proposes("a")
	d.Run()
	d.Node(2).Proposes("b")
	d.Tick(2)
	d.Check(slices.Equal(p.Payloads(), []string{"a", "b"}), "a leader that hands nothing over takes proposals",
		"applied %q",
		p.Payloads())
}

// A target that does not answer must not stop the cluster for longer than an election would have.
func TestTransferIsGivenUp(t *testing.T) {
	for _, ticks := range []int{10, 16} {
		d := cluster(t, givenUp, upTo(3), with(raft.Config{ElectionTicks: ticks}))
		p := d.Elect(1)
		d.Isolate(3)
		transfer(p, 3)
		d.Tick(ticks - 1)
		dropsProposals(p)
		d.Tick(1)
		d.Check(p.Role() == raft.StateLeader, "node 1 still leads", "it is a %v", p.Role())
		p.Proposes("after")
		d.Tick(1)
		d.Check(slices.Contains(p.Payloads(), "after"), "what is proposed then is committed", "applied %q", p.Payloads())
		d.Heal()
		d.Tick(3)
		d.Check(p.Role() == raft.StateLeader && p.Status().Transferee == raft.None,
			"a transfer that was given up does not happen later", "node 1 is a %v", p.Role())
	}
}

// Each transfer has the whole time, also the second one.
func TestEachTransferHasItsOwnTime(t *testing.T) {
	d := cluster(t, givenUp, upTo(5))
	p := d.Elect(1)
	d.Isolate(4, 5)
	transfer(p, 4)
	d.Tick(10)
	p.Proposes("between")
	d.Run()
	transfer(p, 5)
	d.Tick(9)
	dropsProposals(p)
	d.Tick(1)
	p.Proposes("after")
}

// The same wish again changes nothing. It does not win time either, else a client that repeats it stops the cluster.
func TestSameWishGainsNoTime(t *testing.T) {
	d := cluster(t, wishes, upTo(3))
	p := d.Elect(1)
	d.Isolate(3)
	transfer(p, 3)
	for range 9 {
		d.Tick(1)
		transfer(p, 3)
	}
	dropsProposals(p)
	d.Tick(1)
	p.Proposes("after")
}

// Another wish replaces the first, with the whole time.
func TestLastWishCounts(t *testing.T) {
	d := cluster(t, wishes, upTo(5))
	p := d.Elect(1)
	term := p.Term()
	d.Isolate(4, 5)
	transfer(p, 4)
	d.Tick(5)
	transfer(p, 5)
	d.Tick(9)
	d.Check(p.Status().Transferee == 5, "the second transfer has its whole time", "node %d is the target",
		p.Status().Transferee)
	transfer(p, 2)
	d.Run()
	leads(d, 2, term+1)
	d.Heal()
	d.Tick(3)
	leads(d, 2, term+1)
}

// Whoever leads may be asked to go on.
func TestLeaderAsTargetEndsATransfer(t *testing.T) {
	d := cluster(t, wishes, upTo(3))
	p := d.Elect(1)
	term := p.Term()
	transfer(p, 1)
	p.Proposes("a")
	d.Run()
	d.Isolate(3)
	p.Proposes("makes node 3 lag")
	d.Run()
	transfer(p, 3)
	transfer(p, 1)
	p.Proposes("b")
	d.Heal()
	d.Tick(3)
	leads(d, 1, term)
	d.Check(slices.Contains(p.Payloads(), "b"), "node 1 takes proposals", "applied %q", p.Payloads())
}

// Learners, strangers and nobody are no targets; asking for them leaves a transfer that is under way alone.
func TestOnlyAVoterIsATarget(t *testing.T) {
	d := cluster(t, targets, raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}})
	p := d.Elect(1)
	for _, id := range []uint64{4, 9, raft.None} {
		err := p.TransferLeader(id)
		d.Say("node 1: TransferLeader(%d)", id)
		d.Check(errors.Is(err, raft.ErrBadTransfer), "ErrBadTransfer: the node has no vote", "%s", explain.Error(err))
		p.Proposes("goes on")
	}
	d.Run()
	d.Isolate(3)
	transfer(p, 3)
	_ = p.TransferLeader(4)
	d.Say("node 1: TransferLeader(4)")
	d.Check(p.Status().Transferee == 3, "the transfer to node 3 goes on", "node %d is the target", p.Status().Transferee)
}

// Without a leader there is nobody to ask.
func TestWishWithoutALeaderIsRefused(t *testing.T) {
	d := cluster(t, targets, upTo(3))
	err := d.Node(2).TransferLeader(3)
	d.Say("node 2, which knows no leader: TransferLeader(3)")
	d.Check(errors.Is(err, raft.ErrNoLeader), "ErrNoLeader", "%s", explain.Error(err))

	d = cluster(t, targets, upTo(3), with(raft.Config{DisableForwarding: true}))
	term := d.Elect(1).Term()
	err = d.Node(2).TransferLeader(3)
	d.Say("node 2, which must not forward: TransferLeader(3)")
	d.Check(errors.Is(err, raft.ErrNoLeader), "ErrNoLeader", "%s", explain.Error(err))
	d.Run()
	leads(d, 1, term)
}

// The wish may be told to any node that knows the leader.
func TestFollowerPassesTheWishOn(t *testing.T) {
	for _, to := range []uint64{2, 3} {
		d := cluster(t, passed, upTo(3))
		term := d.Elect(1).Term()
		transfer(d.Node(2), to)
		d.Check(d.Node(2).Role() == raft.StateFollower, "node 2 only asks", "it is a %v", d.Node(2).Role())
		d.Run()
		asked := d.SentOf(raft.MsgTransferLeader)
		d.Check(len(asked) == 1 && asked[0].To == 1 && asked[0].Context == to,
			fmt.Sprintf("one TransferLeader to node 1, for node %d", to), "%d of them: %+v", len(asked), asked)
		leads(d, to, term+1)
	}
}
