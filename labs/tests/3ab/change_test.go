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

func conf(n *node) raft.ConfState { return n.Status().ConfState }

func committed(n *node) uint64 { return n.Status().HardState.Commit }

// join adds a node that knows nothing to the network.
func join(d *desk, ids ...uint64) {
	for _, id := range ids {
		d.Start(id, raft.NewMemoryStorage())
	}
}

// everybody breaks the rule unless the nodes are in a configuration.
func everybody(d *desk, want raft.ConfState, ids ...uint64) {
	d.T.Helper()
	for _, id := range ids {
		got := conf(d.Node(id))
		d.Check(same(got, want), fmt.Sprintf("node %d: %s", id, show(want)), "%s", show(got))
	}
}

// refuses breaks the rule unless the leader refuses a change by name and keeps its log.
func refuses(n *node, want error, cc raft.ConfChange) {
	n.D.T.Helper()
	last := n.LastIndex()
	err := n.ProposeConfChange(cc)
	n.D.Say("node %d: ProposeConfChange(%v)", n.ID, cc.Changes)
	n.D.Check(errors.Is(err, want), "error: "+want.Error(), "%s", explain.Error(err))
	n.D.Check(n.LastIndex() == last, "a log that does not grow", "it grew from %d to %d", last, n.LastIndex())
}

// A node comes, gets all there is, and counts (dissertation §4.1).
func TestVoterJoins(t *testing.T) {
	d := cluster(t, outside, upTo(3))
	p := d.Elect(1)
	p.Proposes("before")
	join(d, 4)
	p.Changes(add(4))
	d.Run()
	p.Proposes("after")
	d.Tick(2)
	everybody(d, voters(1, 2, 3, 4), 1, 2, 3, 4)
	d.Check(slices.Equal(d.Node(4).Payloads(), []string{"after"}) || len(d.Node(4).Payloads()) == 2,
		"node 4 applies what was written", "it applied %q", d.Node(4).Payloads())
	d.Isolate(3)
	p.Proposes("with 4")
	d.Tick(1)
	d.Check(slices.Contains(p.Payloads(), "with 4"), "1, 2 and 4 are a majority of four", "applied %q", p.Payloads())
}

// The change itself is committed by the old configuration, and until it is applied nothing else counts.
func TestOldConfigurationDecidesUntilThen(t *testing.T) {
	d := cluster(t, whenApplied, upTo(3))
	p := d.Elect(1)
	p.Changes(add(4))
	everybody(d, voters(1, 2, 3), 1)
	index := p.LastIndex()
	p.Drain()
	p.Hear(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.Check(committed(p) == index, "1 and 2, a majority of three, commit the change", "committed %d of %d", committed(p),
		index)
	everybody(d, voters(1, 2, 3, 4), 1)

	d = cluster(t, whenApplied, upTo(3))
	p = d.Elect(1)
	p.Changes(removal(3))
	p.Proposes("x")
	p.Drain()
	everybody(d, voters(1, 2, 3), 1)
	d.Check(len(p.Payloads()) == 0, "nothing is committed yet: 1 alone is no majority of anything", "applied %q",
		p.Payloads())
}

// From then on the new one decides: 2 of 4 are no majority.
func TestNewConfigurationDecides(t *testing.T) {
	d := cluster(t, whenApplied, upTo(3))
	p := d.Elect(1)
	p.Changes(add(4))
	d.Run()
	before := committed(p)
	d.Isolate(3)
	p.Proposes("x")
	d.Run()
	d.Check(committed(p) == before, "2 of 4 commit nothing", "committed %d, was %d", committed(p), before)
}

// One change at a time (§6): committed is not enough, it must be applied.
func TestOneChangeAtATime(t *testing.T) {
	d := cluster(t, oneAtATime, upTo(3))
	p := d.Elect(1)
	p.Changes(add(4))
	refuses(p, raft.ErrConfChangePending, change(add(5)))
	index := p.LastIndex()
	p.Drain()
	if err := p.Step(raft.Message{Type: raft.MsgAppResp, From: 2, To: 1, Term: p.Term(), Index: index}); err != nil {
		d.Broken("the answer is taken", explain.Error(err))
	}
	d.Say("node 2 acknowledges the change: it is committed, and not applied")
	refuses(p, raft.ErrConfChangePending, change(add(5)))
	p.Proposes("commands pass")
	d.Run()
	p.Changes(add(5))
}

// A new leader does not know what is in its log beyond what it applied: it waits until it has applied all of it.
func TestNewLeaderAssumesAChange(t *testing.T) {
	d := cluster(t, oneAtATime, upTo(3))
	p := d.Elect(1)
	d.Lost = func(m raft.Message) bool { return m.Type == raft.MsgAppResp } // so that nothing is committed
	p.Changes(removal(3))
	d.Run()
	d.Say("node 1 starts anew, with the change in its log, not committed")
	p = d.Start(1, p.Disk)
	d.Lost = func(m raft.Message) bool { return m.Type == raft.MsgAppResp }
	d.Tick(20)
	p = nil
	for _, n := range d.Nodes {
		if n.Role() == raft.StateLeader {
			p = n
		}
	}
	if p == nil {
		p = d.Elect(2)
	}
	refuses(p, raft.ErrConfChangePending, change(removal(2)))
	d.Heal()
	d.Tick(3)
	d.Check(p.Role() != raft.StateLeader || same(conf(p), voters(1, 2)),
		"then the change of the earlier leader is applied",
		"%s", show(conf(p)))
}

// A leader that has applied its whole log may change at once.
func TestNewLeaderMayChange(t *testing.T) {
	d := cluster(t, oneAtATime, upTo(3))
	p := d.Elect(1)
	p.Proposes("x")
	d.Run()
	p.Changes(removal(3))
	d.Tick(2)
	everybody(d, voters(1, 2), 1, 2)
}

// What is impossible never reaches a log.
func TestImpossibleChangeIsRefused(t *testing.T) {
	d := cluster(t, refused, upTo(1))
	p := d.Elect(1)
	for _, cc := range []raft.ConfChange{change(removal(1)), change(learner(1)), change(add(raft.None)), change()} {
		refuses(p, raft.ErrBadConfChange, cc)
	}
	err := p.Step(raft.Message{Type: raft.MsgProp, From: 2, To: 1, Entries: []raft.Entry{{Type: raft.EntryConfChange,
		Data: change(removal(1)).Encode()}}})
	d.Check(err != nil, "an error, for a forwarded one too", "none")
	p.Changes(add(2)) // and the refused ones are not pending
}

// With fewer voters, what waits may be committed already.
func TestRemovalCommitsWhatWaits(t *testing.T) {
	d := cluster(t, follows, upTo(2))
	p := d.Elect(1)
	p.Changes(removal(2))
	index := p.LastIndex()
	p.Proposes("x")
	p.Drain()
	d.Say("node 2 acknowledges its removal, and not what follows")
	p.Hear(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.Check(slices.Equal(p.Payloads(), []string{"x"}), "x is committed: node 1 is alone now", "applied %q", p.Payloads())
}

// With fewer voters, a read that waits may be confirmed already.
func TestRemovalConfirmsReads(t *testing.T) {
	d := cluster(t, follows, upTo(2))
	p := d.Elect(1)
	p.Changes(removal(2))
	index := p.LastIndex()
	p.Drain()
	p.Must("ReadIndex(7)", p.ReadIndex(7))
	p.Drain()
	d.Check(len(p.Reads) == 0, "the read waits for node 2", "it was served")
	p.Hear(raft.Message{Type: raft.MsgAppResp, From: 2, Term: p.Term(), Index: index})
	d.Check(len(p.Reads) == 1, "the read is served: node 1 is alone now", "it still waits")
}

// With fewer voters, a candidate may have won already; and who has no vote any more is no candidate.
func TestChangeDecidesAnElection(t *testing.T) {
	n := alone(t, follows, voters(1, 2))
	n.Must("Campaign()", n.Campaign())
	n.Drain()
	_, err := n.ApplyConfChange(change(removal(2)))
	n.Must("ApplyConfChange(remove 2)", err)
	n.Drain()
	n.D.Check(n.Role() == raft.StateLeader, "node 1 leads: it has the votes of all one voters", "it is a %v", n.Role())

	n = alone(t, outside, voters(1, 2, 3))
	n.Must("Campaign()", n.Campaign())
	n.Drain()
	_, err = n.ApplyConfChange(change(removal(1)))
	n.Must("ApplyConfChange(remove 1)", err)
	n.Drain()
	n.D.Check(n.Role() == raft.StateFollower, "node 1, without a vote, is no candidate", "it is a %v", n.Role())
	err = n.Campaign()
	n.D.Check(errors.Is(err, raft.ErrNotPromotable), "ErrNotPromotable", "%s", explain.Error(err))
}

var joint = raft.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}

// Both majorities elect (§6).
func TestJointElection(t *testing.T) {
	for _, c := range []struct {
		from []uint64
		want bool
	}{{[]uint64{2, 3}, false}, {[]uint64{4, 5}, false}, {[]uint64{2, 4}, true}, {[]uint64{5, 3}, true}} {
		n := alone(t, both, joint, with(raft.Config{DisablePreVote: true}))
		n.Must("Campaign()", n.Campaign())
		n.Drain()
		for _, id := range c.from {
			n.Hear(raft.Message{Type: raft.MsgVoteResp, From: id, Term: n.Term()})
		}
		n.D.Check((n.Role() == raft.StateLeader) == c.want, fmt.Sprintf("elected by %v: %v", c.from, c.want), "it is a %v",
			n.Role())
	}
}

// Both majorities commit (§6).
func TestJointCommit(t *testing.T) {
	for _, c := range []struct {
		cut  []uint64
		want bool
	}{{[]uint64{2, 3}, false}, {[]uint64{4, 5}, false}, {[]uint64{3, 5}, true}, {[]uint64{2}, true}} {
		d := cluster(t, both, joint)
		p := d.Elect(1)
		before := committed(p)
		d.Isolate(c.cut...)
		p.Proposes("x")
		d.Run()
		d.Check((committed(p) > before) == c.want, fmt.Sprintf("committed without %v: %v", c.cut, c.want),
			"committed %d, was %d",
			committed(p), before)
	}
}

// countLeaves returns how many empty changes are in a node's applied log.
func countLeaves(n *node) int {
	leaves := 0
	for _, e := range n.Applied {
		if cc, err := raft.DecodeConfChange(e.Data); e.Type == raft.EntryConfChange && err == nil && len(cc.Changes) == 0 {
			leaves++
		}
	}
	return leaves
}

// Two go, two come. The leader takes the second step by itself, once.
func TestSwapOfTwoVoters(t *testing.T) {
	d := cluster(t, leaves, upTo(3))
	p := d.Elect(1)
	join(d, 4, 5)
	p.Changes(add(4), add(5), removal(2), removal(3))
	d.Tick(4)
	everybody(d, voters(1, 4, 5), 1, 4, 5)
	d.Check(countLeaves(p) == 1, "the joint configuration is left once", "%d times", countLeaves(p))
	d.Isolate(2, 3, 5)
	p.Proposes("x")
	d.Tick(1)
	d.Check(slices.Contains(p.Payloads(), "x"), "1 and 4 are a majority of the new voters", "applied %q", p.Payloads())
}

// The leader that entered it may be gone: the next one leaves it.
func TestNextLeaderLeaves(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 4}, VotersOutgoing: []uint64{1, 2, 3}, AutoLeave: true}
	d := cluster(t, leaves, conf)
	p := d.Elect(2)
	d.Tick(3)
	everybody(d, voters(1, 2, 4), 1, 2, 4)
	d.Check(countLeaves(p) == 1, "the joint configuration is left once", "%d times", countLeaves(p))
}

// It is left only when it was applied, and while that is under way not again.
func TestJointIsNotLeftTwice(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 4}, VotersOutgoing: []uint64{1, 2, 3}, AutoLeave: true}
	d := cluster(t, leaves, conf)
	d.Lost = func(m raft.Message) bool { // changes do not arrive
		return slices.ContainsFunc(m.Entries, func(e raft.Entry) bool { return e.Type == raft.EntryConfChange })
	}
	p := d.Elect(1)
	for range 5 {
		d.Tick(1)
		p.Proposes("commands pass")
		refuses(p, raft.ErrConfChangePending, change(add(7)))
	}
	d.Heal()
	d.Tick(3)
	everybody(d, voters(1, 2, 4), 1, 2)
	d.Check(countLeaves(p) == 1, "the joint configuration is left once", "%d times", countLeaves(p))
}

// An explicit one stays until it is told.
func TestExplicitJointStays(t *testing.T) {
	d := cluster(t, leaves, upTo(3))
	p := d.Elect(1)
	p.Must("ProposeConfChange(explicit joint, make 3 a learner)", p.ProposeConfChange(raft.ConfChange{
		Transition: raft.ConfChangeJointExplicit, Changes: []raft.ConfChangeSingle{learner(3)}}))
	d.Tick(5)
	everybody(d, raft.ConfState{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{1, 2, 3}, LearnersNext: []uint64{3}}, 1,
		2, 3)
	p.Changes()
	d.Tick(2)
	everybody(d, raft.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}, 1, 2, 3)
}

// A learner has the log and no voice, until it is promoted (dissertation §4.2.1).
func TestLearner(t *testing.T) {
	d := cluster(t, noVote, upTo(3))
	p := d.Elect(1)
	join(d, 4)
	p.Changes(learner(4))
	d.Tick(2)
	d.Isolate(2, 3)
	p.Proposes("x")
	d.Tick(1)
	d.Check(len(p.Payloads()) == 0, "1 and a learner commit nothing", "applied %q", p.Payloads())
	d.Check(d.Node(4).LastIndex() == p.LastIndex(), "the learner has the log", "its log ends at %d", d.Node(4).LastIndex())
	err := d.Node(4).Campaign()
	d.Check(errors.Is(err, raft.ErrNotPromotable), "a learner is no candidate: ErrNotPromotable", "%s", explain.Error(err))
	d.Heal()
	d.Tick(2)
	p.Changes(add(4))
	d.Run()
	d.Isolate(3)
	p.Proposes("y")
	d.Tick(1)
	d.Check(slices.Equal(p.Payloads(), []string{"x", "y"}), "three of four voters commit", "applied %q", p.Payloads())
}

// Who left is sent nothing any more, and a transfer to it is over.
func TestWhoLeavesIsForgotten(t *testing.T) {
	d := cluster(t, outside, upTo(3))
	p := d.Elect(1)
	d.Isolate(3)
	p.Changes(removal(3))
	p.Must("TransferLeader(3)", p.TransferLeader(3))
	d.Run()
	p.Proposes("the transfer is over")
	d.Heal()
	d.Sent = nil
	d.Tick(3)
	for _, m := range d.Sent {
		d.Check(m.From != 1 || m.To != 3, "nothing is sent to node 3", "%s", rafttest.FormatMessage(&m))
	}
	for _, s := range p.Status().Progress {
		d.Check(s.ID != 3, "the leader knows members 1 and 2", "it knows node %d", s.ID)
	}
}

// A change leaves what the leader knows of the others as it is.
func TestWhoStaysIsKnownAsBefore(t *testing.T) {
	d := cluster(t, outside, upTo(3))
	p := d.Elect(1)
	p.Proposes("x")
	d.Run()
	before := p.Status().Progress
	_, err := p.ApplyConfChange(change(add(4)))
	p.Must("ApplyConfChange(add 4)", err)
	after := p.Status().Progress
	d.Check(len(after) == 4 && slices.Equal(after[:3], before), fmt.Sprintf("%+v and a fourth", before), "%+v", after)
	d.Check(after[3].ID == 4 && after[3].Match == 0, "nothing is known of node 4", "%+v", after[3])
}

// A node that just came has not answered yet. That is no reason to step down: it has the time of an election timeout.
func TestNewNodeIsGivenTime(t *testing.T) {
	d := cluster(t, outside, upTo(1))
	p := d.Elect(1)
	d.Tick(5)
	p.Changes(add(2))
	d.Tick(8)
	d.Check(p.Role() == raft.StateLeader, "node 1 leads on, while node 2 starts", "it is a %v", p.Role())
}

// A lease was granted by the quorum of a configuration, and goes with it.
func TestLeaseGoesWithItsConfiguration(t *testing.T) {
	d := cluster(t, follows, upTo(3), with(raft.Config{ReadMode: raft.ReadLease}))
	p := d.Elect(1)
	d.Tick(2)
	d.Check(p.InLease(), "node 1 is in its lease", "InLease is false")
	_, err := p.ApplyConfChange(change(add(4)))
	p.Must("ApplyConfChange(add 4)", err)
	d.Check(!p.InLease(), "the lease is over: another quorum decides", "InLease is true")
}

// A leader that removes itself sees it through, and another leads (dissertation §4.2.2).
func TestLeaderRemovesItself(t *testing.T) {
	d := cluster(t, outside, upTo(3))
	p := d.Elect(1)
	p.Changes(removal(1))
	d.Run()
	lead := d.Node(2).Lead()
	d.Check(lead == 2 || lead == 3, "node 2 or 3 leads at once", "node %d", lead)
	d.Tick(3)
	everybody(d, voters(2, 3), 2, 3)
	d.Tick(40)
	d.Check(p.Role() == raft.StateFollower && p.Term() <= d.Node(2).Term(), "node 1 disturbs nobody",
		"it is a %v in term %d", p.Role(), p.Term())
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
