// A change on its way: proposed, replicated, applied, and what follows.

package stage3ab_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

func (n *node) conf() raft.ConfState { return n.Status().ConfState }

func (n *node) committed() uint64 { return n.Status().HardState.Commit }

// join adds a node that knows nothing to the network.
func (d *desk) join(ids ...uint64) {
	for _, id := range ids {
		d.start(id, raft.NewMemoryStorage())
	}
}

// everybody breaks the rule unless the nodes are in a configuration.
func (d *desk) everybody(want raft.ConfState, ids ...uint64) {
	d.t.Helper()
	for _, id := range ids {
		got := d.node(id).conf()
		d.check(same(got, want), fmt.Sprintf("node %d: %s", id, show(want)), "%s", show(got))
	}
}

// refuses breaks the rule unless the leader refuses a change by name and keeps its log.
func (n *node) refuses(want error, cc raft.ConfChange) {
	n.d.t.Helper()
	last := n.LastIndex()
	err := n.ProposeConfChange(cc)
	n.d.tell("node %d: ProposeConfChange(%v)", n.id, cc.Changes)
	n.d.check(errors.Is(err, want), "error: "+want.Error(), "%s", explain.Error(err))
	n.d.check(n.LastIndex() == last, "a log that does not grow", "it grew from %d to %d", last, n.LastIndex())
}

// A node comes, gets all there is, and counts (dissertation §4.1).
func TestVoterJoins(t *testing.T) {
	d := newDesk(t, outside, 3)
	p := d.elect(1)
	p.propose("before")
	d.join(4)
	p.change(add(4))
	d.run()
	p.propose("after")
	d.tick(2)
	d.everybody(voters(1, 2, 3, 4), 1, 2, 3, 4)
	d.check(slices.Equal(d.node(4).payloads(), []string{"after"}) || len(d.node(4).payloads()) == 2,
		"node 4 applies what was written", "it applied %q", d.node(4).payloads())
	d.isolate(3)
	p.propose("with 4")
	d.tick(1)
	d.check(slices.Contains(p.payloads(), "with 4"), "1, 2 and 4 are a majority of four", "applied %q", p.payloads())
}

// The change itself is committed by the old configuration, and until it is applied nothing else counts.
func TestOldConfigurationDecidesUntilThen(t *testing.T) {
	d := newDesk(t, whenApplied, 3)
	p := d.elect(1)
	p.change(add(4))
	d.everybody(voters(1, 2, 3), 1)
	index := p.LastIndex()
	p.drain()
	p.get(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.check(p.committed() == index, "1 and 2, a majority of three, commit the change", "committed %d of %d", p.committed(), index)
	d.everybody(voters(1, 2, 3, 4), 1)

	d = newDesk(t, whenApplied, 3)
	p = d.elect(1)
	p.change(removal(3))
	p.propose("x")
	p.drain()
	d.everybody(voters(1, 2, 3), 1)
	d.check(len(p.payloads()) == 0, "nothing is committed yet: 1 alone is no majority of anything", "applied %q", p.payloads())
}

// From then on the new one decides: 2 of 4 are no majority.
func TestNewConfigurationDecides(t *testing.T) {
	d := newDesk(t, whenApplied, 3)
	p := d.elect(1)
	p.change(add(4))
	d.run()
	before := p.committed()
	d.isolate(3)
	p.propose("x")
	d.run()
	d.check(p.committed() == before, "2 of 4 commit nothing", "committed %d, was %d", p.committed(), before)
}

// One change at a time (§6): committed is not enough, it must be applied.
func TestOneChangeAtATime(t *testing.T) {
	d := newDesk(t, oneAtATime, 3)
	p := d.elect(1)
	p.change(add(4))
	p.refuses(raft.ErrConfChangePending, change(add(5)))
	index := p.LastIndex()
	p.drain()
	if err := p.Step(raft.Message{Type: raft.MsgAppResp, From: 2, To: 1, Term: p.Term(), Index: index}); err != nil {
		d.broken("the answer is taken", explain.Error(err))
	}
	d.tell("node 2 acknowledges the change: it is committed, and not applied")
	p.refuses(raft.ErrConfChangePending, change(add(5)))
	p.propose("commands pass")
	d.run()
	p.change(add(5))
}

// A new leader does not know what is in its log beyond what it applied: it waits until it has applied all of it.
func TestNewLeaderAssumesAChange(t *testing.T) {
	d := newDesk(t, oneAtATime, 3)
	p := d.elect(1)
	d.lost = func(m raft.Message) bool { return m.Type == raft.MsgAppResp } // so that nothing is committed
	p.change(removal(3))
	d.run()
	d.tell("node 1 starts anew, with the change in its log, not committed")
	p = d.start(1, p.disk)
	d.lost = func(m raft.Message) bool { return m.Type == raft.MsgAppResp }
	d.tick(20)
	p = nil
	for _, n := range d.nodes {
		if n.role() == raft.StateLeader {
			p = n
		}
	}
	if p == nil {
		p = d.elect(2)
	}
	p.refuses(raft.ErrConfChangePending, change(removal(2)))
	d.heal()
	d.tick(3)
	d.check(p.role() != raft.StateLeader || same(p.conf(), voters(1, 2)), "then the change of the earlier leader is applied",
		"%s", show(p.conf()))
}

// A leader that has applied its whole log may change at once.
func TestNewLeaderMayChange(t *testing.T) {
	d := newDesk(t, oneAtATime, 3)
	p := d.elect(1)
	p.propose("x")
	d.run()
	p.change(removal(3))
	d.tick(2)
	d.everybody(voters(1, 2), 1, 2)
}

// What is impossible never reaches a log.
func TestImpossibleChangeIsRefused(t *testing.T) {
	d := newDesk(t, refused, 1)
	p := d.elect(1)
	for _, cc := range []raft.ConfChange{change(removal(1)), change(learner(1)), change(add(raft.None)), change()} {
		p.refuses(raft.ErrBadConfChange, cc)
	}
	err := p.Step(raft.Message{Type: raft.MsgProp, From: 2, To: 1, Entries: []raft.Entry{{Type: raft.EntryConfChange,
		Data: change(removal(1)).Encode()}}})
	d.check(err != nil, "an error, for a forwarded one too", "none")
	p.change(add(2)) // and the refused ones are not pending
}

// With fewer voters, what waits may be committed already.
func TestRemovalCommitsWhatWaits(t *testing.T) {
	d := newDesk(t, follows, 2)
	p := d.elect(1)
	p.change(removal(2))
	index := p.LastIndex()
	p.propose("x")
	p.drain()
	d.tell("node 2 acknowledges its removal, and not what follows")
	p.get(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.check(slices.Equal(p.payloads(), []string{"x"}), "x is committed: node 1 is alone now", "applied %q", p.payloads())
}

// With fewer voters, a read that waits may be confirmed already.
func TestRemovalConfirmsReads(t *testing.T) {
	d := newDesk(t, follows, 2)
	p := d.elect(1)
	p.change(removal(2))
	index := p.LastIndex()
	p.drain()
	p.must("ReadIndex(7)", p.ReadIndex(7))
	p.drain()
	d.check(len(p.reads) == 0, "the read waits for node 2", "it was served")
	p.get(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.check(len(p.reads) == 1, "the read is served: node 1 is alone now", "it still waits")
}

// With fewer voters, a candidate may have won already; and who has no vote any more is no candidate.
func TestChangeDecidesAnElection(t *testing.T) {
	n := alone(t, follows, voters(1, 2))
	n.must("Campaign()", n.Campaign())
	n.drain()
	_, err := n.ApplyConfChange(change(removal(2)))
	n.must("ApplyConfChange(remove 2)", err)
	n.drain()
	n.d.check(n.role() == raft.StateLeader, "node 1 leads: it has the votes of all one voters", "it is a %v", n.role())

	n = alone(t, outside, voters(1, 2, 3))
	n.must("Campaign()", n.Campaign())
	n.drain()
	_, err = n.ApplyConfChange(change(removal(1)))
	n.must("ApplyConfChange(remove 1)", err)
	n.drain()
	n.d.check(n.role() == raft.StateFollower, "node 1, without a vote, is no candidate", "it is a %v", n.role())
	err = n.Campaign()
	n.d.check(errors.Is(err, raft.ErrNotPromotable), "ErrNotPromotable", "%s", explain.Error(err))
}

var joint = raft.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}

// Both majorities elect (§6).
func TestJointElection(t *testing.T) {
	for _, c := range []struct {
		from []uint64
		want bool
	}{{[]uint64{2, 3}, false}, {[]uint64{4, 5}, false}, {[]uint64{2, 4}, true}, {[]uint64{5, 3}, true}} {
		n := alone(t, both, joint)
		n.d.opts.DisablePreVote = true
		disk := raft.NewMemoryStorage()
		disk.SetConfState(joint)
		n = n.d.start(1, disk)
		n.must("Campaign()", n.Campaign())
		n.drain()
		for _, id := range c.from {
			n.get(raft.Message{Type: raft.MsgVoteResp, From: id, Term: n.Term()})
		}
		n.d.check((n.role() == raft.StateLeader) == c.want, fmt.Sprintf("elected by %v: %v", c.from, c.want), "it is a %v",
			n.role())
	}
}

// Both majorities commit (§6).
func TestJointCommit(t *testing.T) {
	for _, c := range []struct {
		cut  []uint64
		want bool
	}{{[]uint64{2, 3}, false}, {[]uint64{4, 5}, false}, {[]uint64{3, 5}, true}, {[]uint64{2}, true}} {
		d := newDeskOf(t, both, joint)
		p := d.elect(1)
		before := p.committed()
		d.isolate(c.cut...)
		p.propose("x")
		d.run()
		d.check((p.committed() > before) == c.want, fmt.Sprintf("committed without %v: %v", c.cut, c.want), "committed %d, was %d",
			p.committed(), before)
	}
}

// countLeaves returns how many empty changes are in a node's applied log.
func (n *node) countLeaves() int {
	leaves := 0
	for _, e := range n.applied {
		if cc, err := raft.DecodeConfChange(e.Data); e.Type == raft.EntryConfChange && err == nil && len(cc.Changes) == 0 {
			leaves++
		}
	}
	return leaves
}

// Two go, two come. The leader takes the second step by itself, once.
func TestSwapOfTwoVoters(t *testing.T) {
	d := newDesk(t, leaves, 3)
	p := d.elect(1)
	d.join(4, 5)
	p.change(add(4), add(5), removal(2), removal(3))
	d.tick(4)
	d.everybody(voters(1, 4, 5), 1, 4, 5)
	d.check(p.countLeaves() == 1, "the joint configuration is left once", "%d times", p.countLeaves())
	d.isolate(2, 3, 5)
	p.propose("x")
	d.tick(1)
	d.check(slices.Contains(p.payloads(), "x"), "1 and 4 are a majority of the new voters", "applied %q", p.payloads())
}

// The leader that entered it may be gone: the next one leaves it.
func TestNextLeaderLeaves(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 4}, VotersOutgoing: []uint64{1, 2, 3}, AutoLeave: true}
	d := newDeskOf(t, leaves, conf)
	p := d.elect(2)
	d.tick(3)
	d.everybody(voters(1, 2, 4), 1, 2, 4)
	d.check(p.countLeaves() == 1, "the joint configuration is left once", "%d times", p.countLeaves())
}

// It is left only when it was applied, and while that is under way not again.
func TestJointIsNotLeftTwice(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 4}, VotersOutgoing: []uint64{1, 2, 3}, AutoLeave: true}
	d := newDeskOf(t, leaves, conf)
	d.lost = func(m raft.Message) bool { // changes do not arrive
		return slices.ContainsFunc(m.Entries, func(e raft.Entry) bool { return e.Type == raft.EntryConfChange })
	}
	p := d.elect(1)
	for range 5 {
		d.tick(1)
		p.propose("commands pass")
		p.refuses(raft.ErrConfChangePending, change(add(7)))
	}
	d.heal()
	d.tick(3)
	d.everybody(voters(1, 2, 4), 1, 2)
	d.check(p.countLeaves() == 1, "the joint configuration is left once", "%d times", p.countLeaves())
}

// An explicit one stays until it is told.
func TestExplicitJointStays(t *testing.T) {
	d := newDesk(t, leaves, 3)
	p := d.elect(1)
	p.must("ProposeConfChange(explicit joint, make 3 a learner)", p.ProposeConfChange(raft.ConfChange{
		Transition: raft.ConfChangeJointExplicit, Changes: []raft.ConfChangeSingle{learner(3)}}))
	d.tick(5)
	d.everybody(raft.ConfState{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{1, 2, 3}, LearnersNext: []uint64{3}}, 1, 2, 3)
	p.change()
	d.tick(2)
	d.everybody(raft.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}, 1, 2, 3)
}

// A learner has the log and no voice, until it is promoted (dissertation §4.2.1).
func TestLearner(t *testing.T) {
	d := newDesk(t, noVote, 3)
	p := d.elect(1)
	d.join(4)
	p.change(learner(4))
	d.tick(2)
	d.isolate(2, 3)
	p.propose("x")
	d.tick(1)
	d.check(len(p.payloads()) == 0, "1 and a learner commit nothing", "applied %q", p.payloads())
	d.check(d.node(4).LastIndex() == p.LastIndex(), "the learner has the log", "its log ends at %d", d.node(4).LastIndex())
	err := d.node(4).Campaign()
	d.check(errors.Is(err, raft.ErrNotPromotable), "a learner is no candidate: ErrNotPromotable", "%s", explain.Error(err))
	d.heal()
	d.tick(2)
	p.change(add(4))
	d.run()
	d.isolate(3)
	p.propose("y")
	d.tick(1)
	d.check(slices.Equal(p.payloads(), []string{"x", "y"}), "three of four voters commit", "applied %q", p.payloads())
}

// Who left is sent nothing any more, and a transfer to it is over.
func TestWhoLeavesIsForgotten(t *testing.T) {
	d := newDesk(t, outside, 3)
	p := d.elect(1)
	d.isolate(3)
	p.change(removal(3))
	p.must("TransferLeader(3)", p.TransferLeader(3))
	d.run()
	p.propose("the transfer is over")
	d.heal()
	d.sent = nil
	d.tick(3)
	for _, m := range d.sent {
		d.check(m.From != 1 || m.To != 3, "nothing is sent to node 3", "%s", rafttest.FormatMessage(&m))
	}
	for _, s := range p.Status().Progress {
		d.check(s.ID != 3, "the leader knows members 1 and 2", "it knows node %d", s.ID)
	}
}

// A change leaves what the leader knows of the others as it is.
func TestWhoStaysIsKnownAsBefore(t *testing.T) {
	d := newDesk(t, outside, 3)
	p := d.elect(1)
	p.propose("x")
	d.run()
	before := p.Status().Progress
	_, err := p.ApplyConfChange(change(add(4)))
	p.must("ApplyConfChange(add 4)", err)
	after := p.Status().Progress
	d.check(len(after) == 4 && slices.Equal(after[:3], before), fmt.Sprintf("%+v and a fourth", before), "%+v", after)
	d.check(after[3].ID == 4 && after[3].Match == 0, "nothing is known of node 4", "%+v", after[3])
}

// A node that just came has not answered yet. That is no reason to step down: it has the time of an election timeout.
func TestNewNodeIsGivenTime(t *testing.T) {
	d := newDesk(t, outside, 1)
	p := d.elect(1)
	d.tick(5)
	p.change(add(2))
	d.tick(8)
	d.check(p.role() == raft.StateLeader, "node 1 leads on, while node 2 starts", "it is a %v", p.role())
}

// A lease was granted by the quorum of a configuration, and goes with it.
func TestLeaseGoesWithItsConfiguration(t *testing.T) {
	d := newDesk(t, follows, 3, raft.Config{ReadMode: raft.ReadLease})
	p := d.elect(1)
	d.tick(2)
	d.check(p.InLease(), "node 1 is in its lease", "InLease is false")
	_, err := p.ApplyConfChange(change(add(4)))
	p.must("ApplyConfChange(add 4)", err)
	d.check(!p.InLease(), "the lease is over: another quorum decides", "InLease is true")
}

// A leader that removes itself sees it through, and another leads (dissertation §4.2.2).
func TestLeaderRemovesItself(t *testing.T) {
	d := newDesk(t, outside, 3)
	p := d.elect(1)
	p.change(removal(1))
	d.run()
	lead := d.node(2).Lead()
	d.check(lead == 2 || lead == 3, "node 2 or 3 leads at once", "node %d", lead)
	d.tick(3)
	d.everybody(voters(2, 3), 2, 3)
	d.tick(40)
	d.check(p.role() == raft.StateFollower && p.Term() <= d.node(2).Term(), "node 1 disturbs nobody",
		"it is a %v in term %d", p.role(), p.Term())
}

// Changes all the time, while nodes crash and the network fails.
func TestChangesUnderFaults(t *testing.T) {
	rules := map[string]string{}
	for _, invariant := range []string{"election-safety", "log-matching", "leader-completeness", "state-machine-safety",
		"monotone", "persist-before-send", "durable-quorum", "linearizable-read", "liveness", "one-answer", "panic"} {
		rules[invariant] = safety.ID + " is broken: " + safety.Says + ": " + invariant
	}
	for _, w := range []rafttest.World{
		{Name: "changing", Options: rafttest.Options{Spares: 3, Ticks: 800}, Must: []string{"configuration changed",
			"joint configuration"}},
		{Name: "restarts", Options: rafttest.Options{Nodes: 4, Spares: 2, Favour: rafttest.FavourRestarts},
			Must: []string{"configuration changed"}},
		{Name: "lease", Options: rafttest.Options{Spares: 2, Ticks: 600, Config: raft.Config{ReadMode: raft.ReadLease}},
			Must: []string{"configuration changed"}},
	} {
		w.Seeds, w.Rules = 40, rules
		rafttest.Seeds(t, w)
	}
}
