// The leader's side of a transfer: whom it tells to campaign, when, and what it does meanwhile.

package stage3aa_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
)

// transfer asks a node for a transfer that must be accepted.
func (n *node) transfer(to uint64) {
	n.d.t.Helper()
	n.must(fmt.Sprintf("TransferLeader(%d)", to), n.TransferLeader(to))
}

// leads breaks the rule unless a node leads, in a term.
func (d *desk) leads(id, term uint64) {
	d.t.Helper()
	n := d.node(id)
	d.check(n.role() == raft.StateLeader && n.Term() == term, fmt.Sprintf("node %d leads term %d", id, term),
		"node %d is a %v in term %d", id, n.role(), n.Term())
}

// dropsProposals breaks the rule unless the leader refuses a proposal, and keeps its log as it is.
func (n *node) dropsProposals() {
	n.d.t.Helper()
	last := n.LastIndex()
	err := n.Propose([]byte("meanwhile"))
	n.d.tell("node %d: Propose(\"meanwhile\")", n.id)
	n.d.check(errors.Is(err, raft.ErrProposalDropped), "ErrProposalDropped", "%s", explain.Error(err))
	n.d.check(n.LastIndex() == last, "a log that does not grow", "it grew from %d to %d", last, n.LastIndex())
}

// A node that has the whole log leads at once: not a tick passes (dissertation §3.10).
func TestLeadershipGoesWhereItIsWanted(t *testing.T) {
	d := newDesk(t, goes, 3)
	p := d.elect(1)
	term := p.Term()
	p.propose("x")
	d.run()
	p.transfer(3)
	d.run()
	d.leads(3, term+1)
	d.check(p.role() == raft.StateFollower && p.Lead() == 3, "node 1 follows node 3", "it is a %v that follows %d",
		p.role(), p.Lead())
	d.node(3).propose("y")
	d.tick(2)
	for _, n := range d.nodes {
		d.check(slices.Equal(n.payloads(), []string{"x", "y"}), "every node applies x and y", "node %d applied %q",
			n.id, n.payloads())
	}
}

// The last append was lost. The leader need not wait for a heartbeat to find that out: the target is asked at once.
func TestCatchUpBeginsAtOnce(t *testing.T) {
	d := newDesk(t, wholeLog, 3)
	p := d.elect(1)
	term := p.Term()
	d.isolate(3)
	p.propose("lost")
	d.run()
	d.heal()
	p.transfer(3)
	d.run()
	d.leads(3, term+1)
}

// A target that lacks a part of the log is not told to campaign: it could not win, or worse, would win a term for nobody.
func TestLaggingTargetIsBroughtUpToDateFirst(t *testing.T) {
	d := newDesk(t, wholeLog, 3)
	p := d.elect(1)
	term := p.Term()
	d.isolate(3)
	for i := range 5 {
		p.propose(fmt.Sprint("entry ", i))
		d.run()
	}
	p.transfer(3)
	d.run()
	p.tellsOnlyWhoHasAll(d, 3)
	d.heal()
	d.tick(3)
	d.leads(3, term+1)
	got := d.node(3).payloads()
	d.check(len(got) == 5, "the new leader has all five entries", "it applied %q", got)
}

// tellsOnlyWhoHasAll makes the network look at each TimeoutNow as it passes.
func (n *node) tellsOnlyWhoHasAll(d *desk, target uint64) {
	lost, last := d.lost, n.LastIndex()
	d.lost = func(m raft.Message) bool {
		if m.Type == raft.MsgTimeoutNow && d.node(m.To).LastIndex() < last {
			d.broken(fmt.Sprintf("no TimeoutNow before node %d has the log up to %d", target, last),
				fmt.Sprintf("TimeoutNow to node %d, whose log ends at %d", m.To, d.node(m.To).LastIndex()))
		}
		return lost != nil && lost(m)
	}
}

// Acknowledgements come one by one. Only the one of the last entry makes the target a candidate, and no other node's.
func TestTimeoutNowWaitsForTheLastEntry(t *testing.T) {
	d := newDesk(t, wholeLog, 3)
	p := d.elect(1)
	p.propose("a")
	p.propose("b")
	d.tell("node 1 sends both entries, and the answers are on their way")
	p.drain()
	last := p.LastIndex()
	p.transfer(3)
	ms := p.drain()
	d.check(len(of(ms, raft.MsgTimeoutNow)) == 0, "no TimeoutNow before node 3 has acknowledged the log", "%v", ms)
	for _, step := range []struct {
		from, index uint64
		want        int
	}{{3, last - 1, 0}, {2, last, 0}, {3, last, 1}} {
		ms = p.get(raft.Message{Type: raft.MsgAppResp, From: step.from, Term: p.Term(), Index: step.index})
		got := of(ms, raft.MsgTimeoutNow)
		d.check(len(got) == step.want, fmt.Sprintf("%d TimeoutNow after this answer; the log ends at %d", step.want, last),
			"%d", len(got))
		if len(got) > 0 {
			d.check(got[0].To == 3 && got[0].Term == p.Term(), "TimeoutNow to node 3, in the leader's term", "to %d in term %d",
				got[0].To, got[0].Term)
		}
	}
}

// Commands, changes of the configuration, forwarded commands: the log stands still, for the target is to have all of it.
func TestNoProposalsWhileLeadershipMoves(t *testing.T) {
	d := newDesk(t, noProposals, 3)
	p := d.elect(1)
	p.propose("before")
	d.run()
	d.isolate(3)
	p.transfer(3)
	p.dropsProposals()
	last := p.LastIndex()
	err := p.ProposeConfChange(change(add(4)))
	d.tell("node 1: ProposeConfChange(add 4)")
	d.check(errors.Is(err, raft.ErrProposalDropped), "ErrProposalDropped", "%s", explain.Error(err))
	d.node(2).propose("forwarded")
	d.run()
	d.check(p.LastIndex() == last, fmt.Sprintf("the leader's log ends at %d", last), "it ends at %d", p.LastIndex())
}

// Nothing but a transfer stops proposals.
func TestProposalsPassWithoutATransfer(t *testing.T) {
	d := newDesk(t, noProposals, 3)
	p := d.elect(1)
	p.propose("a")
	d.run()
	d.node(2).propose("b")
	d.tick(2)
	d.check(slices.Equal(p.payloads(), []string{"a", "b"}), "a leader that hands nothing over takes proposals", "applied %q",
		p.payloads())
}

// A target that does not answer must not stop the cluster for longer than an election would have.
func TestTransferIsGivenUp(t *testing.T) {
	for _, ticks := range []int{10, 16} {
		d := newDesk(t, givenUp, 3, raft.Config{ElectionTicks: ticks})
		p := d.elect(1)
		d.isolate(3)
		p.transfer(3)
		d.tick(ticks - 1)
		p.dropsProposals()
		d.tick(1)
		d.check(p.role() == raft.StateLeader, "node 1 still leads", "it is a %v", p.role())
		p.propose("after")
		d.tick(1)
		d.check(slices.Contains(p.payloads(), "after"), "what is proposed then is committed", "applied %q", p.payloads())
		d.heal()
		d.tick(3)
		d.check(p.role() == raft.StateLeader && p.Status().Transferee == raft.None,
			"a transfer that was given up does not happen later", "node 1 is a %v", p.role())
	}
}

// Each transfer has the whole time, also the second one.
func TestEachTransferHasItsOwnTime(t *testing.T) {
	d := newDesk(t, givenUp, 5)
	p := d.elect(1)
	d.isolate(4, 5)
	p.transfer(4)
	d.tick(10)
	p.propose("between")
	d.run()
	p.transfer(5)
	d.tick(9)
	p.dropsProposals()
	d.tick(1)
	p.propose("after")
}

// The same wish again changes nothing. It does not win time either, else a client that repeats it stops the cluster.
func TestSameWishGainsNoTime(t *testing.T) {
	d := newDesk(t, wishes, 3)
	p := d.elect(1)
	d.isolate(3)
	p.transfer(3)
	for range 9 {
		d.tick(1)
		p.transfer(3)
	}
	p.dropsProposals()
	d.tick(1)
	p.propose("after")
}

// Another wish replaces the first, with the whole time.
func TestLastWishCounts(t *testing.T) {
	d := newDesk(t, wishes, 5)
	p := d.elect(1)
	term := p.Term()
	d.isolate(4, 5)
	p.transfer(4)
	d.tick(5)
	p.transfer(5)
	d.tick(9)
	d.check(p.Status().Transferee == 5, "the second transfer has its whole time", "node %d is the target",
		p.Status().Transferee)
	p.transfer(2)
	d.run()
	d.leads(2, term+1)
	d.heal()
	d.tick(3)
	d.leads(2, term+1)
}

// Whoever leads may be asked to go on.
func TestLeaderAsTargetEndsATransfer(t *testing.T) {
	d := newDesk(t, wishes, 3)
	p := d.elect(1)
	term := p.Term()
	p.transfer(1)
	p.propose("a")
	d.run()
	d.isolate(3)
	p.propose("makes node 3 lag")
	d.run()
	p.transfer(3)
	p.transfer(1)
	p.propose("b")
	d.heal()
	d.tick(3)
	d.leads(1, term)
	d.check(slices.Contains(p.payloads(), "b"), "node 1 takes proposals", "applied %q", p.payloads())
}

// Learners, strangers and nobody are no targets; asking for them leaves a transfer that is under way alone.
func TestOnlyAVoterIsATarget(t *testing.T) {
	d := newDeskOf(t, targets, raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}})
	p := d.elect(1)
	for _, id := range []uint64{4, 9, raft.None} {
		err := p.TransferLeader(id)
		d.tell("node 1: TransferLeader(%d)", id)
		d.check(errors.Is(err, raft.ErrBadTransfer), "ErrBadTransfer: the node has no vote", "%s", explain.Error(err))
		p.propose("goes on")
	}
	d.run()
	d.isolate(3)
	p.transfer(3)
	_ = p.TransferLeader(4)
	d.tell("node 1: TransferLeader(4)")
	d.check(p.Status().Transferee == 3, "the transfer to node 3 goes on", "node %d is the target", p.Status().Transferee)
}

// Without a leader there is nobody to ask.
func TestWishWithoutALeaderIsRefused(t *testing.T) {
	d := newDesk(t, targets, 3)
	err := d.node(2).TransferLeader(3)
	d.tell("node 2, which knows no leader: TransferLeader(3)")
	d.check(errors.Is(err, raft.ErrNoLeader), "ErrNoLeader", "%s", explain.Error(err))

	d = newDesk(t, targets, 3, raft.Config{DisableForwarding: true})
	term := d.elect(1).Term()
	err = d.node(2).TransferLeader(3)
	d.tell("node 2, which must not forward: TransferLeader(3)")
	d.check(errors.Is(err, raft.ErrNoLeader), "ErrNoLeader", "%s", explain.Error(err))
	d.run()
	d.leads(1, term)
}

// The wish may be told to any node that knows the leader.
func TestFollowerPassesTheWishOn(t *testing.T) {
	for _, to := range []uint64{2, 3} {
		d := newDesk(t, passed, 3)
		term := d.elect(1).Term()
		d.node(2).transfer(to)
		d.check(d.node(2).role() == raft.StateFollower, "node 2 only asks", "it is a %v", d.node(2).role())
		d.run()
		asked := d.sentOf(raft.MsgTransferLeader)
		d.check(len(asked) == 1 && asked[0].To == 1 && asked[0].Context == to,
			fmt.Sprintf("one TransferLeader to node 1, for node %d", to), "%d of them: %+v", len(asked), asked)
		d.leads(to, term+1)
	}
}
