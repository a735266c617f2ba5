package raft_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"tinykv/raft"
)

func add(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddNode, NodeID: id}
}

func learner(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeAddLearner, NodeID: id}
}

func removal(id uint64) raft.ConfChangeSingle {
	return raft.ConfChangeSingle{Type: raft.ConfChangeRemoveNode, NodeID: id}
}

func change(cs ...raft.ConfChangeSingle) raft.ConfChange { return raft.ConfChange{Changes: cs} }

// join adds a node that knows nothing to the cluster's network.
func (c *cluster) join(id uint64, opts ...option) *peer {
	p := newPeer(c.t, id, raft.ConfState{}, opts...)
	c.peers = append(c.peers, p)
	return p
}

// A node is added while the cluster works, and gets the log (dissertation §4.1).
func TestAddVoter(t *testing.T) {
	c := newGrowingCluster(t, 3)
	p := c.elect(1)
	q := c.join(4)
	p.must(p.Propose([]byte("before")))
	p.must(p.ProposeConfChange(change(add(4))))
	c.settle()
	p.must(p.Propose([]byte("after")))
	c.tick(2)
	if got := q.payloads(); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("the new node applied %q", got)
	}
	if got := q.Status().ConfState.Voters; !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Errorf("voters %v", got)
	}
}

// A node that was told no configuration does not guess one from the changes it sees.
func TestNoConfigurationFromNothing(t *testing.T) {
	p := newPeer(t, 4, raft.ConfState{})
	if _, err := p.ApplyConfChange(change(add(4))); !errors.Is(err, raft.ErrBadConfChange) {
		t.Errorf("founded a cluster of its own: %v", err)
	}
}

// From the moment it is applied the new configuration decides: 2 of 4 commit nothing.
func TestNewConfigurationDecides(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.ProposeConfChange(change(add(4))))
	c.settle()
	before := p.Status().HardState.Commit
	c.isolate(3)
	p.must(p.Propose([]byte("x")))
	c.settle()
	if got := p.Status().HardState.Commit; got != before {
		t.Errorf("committed %d with 2 of 4", got)
	}
}

// With a smaller quorum, entries that waited are committed when the removal is applied.
func TestRemovalCommitsWhatWaits(t *testing.T) {
	c := newCluster(t, 2)
	p := c.elect(1)
	p.must(p.ProposeConfChange(change(removal(2))))
	p.must(p.Propose([]byte("x")))
	ms := p.drain()
	p.step(raft.Message{Type: raft.MsgAppResp, From: 2, Term: 1, Index: 2}) // the removal, not what follows
	if got := p.payloads(); !slices.Equal(got, []string{"x"}) {
		t.Errorf("applied %q after %v", got, brief(ms))
	}
}

// A leader that is removed finishes the removal, and then hands over (dissertation §4.2.2).
func TestLeaderRemovesItself(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.ProposeConfChange(change(removal(1))))
	c.settle()
	if err := p.Propose(nil); !errors.Is(err, raft.ErrProposalDropped) {
		t.Errorf("a leader that was removed took a proposal: %v", err)
	}
	for _, q := range c.peers[1:] {
		if got := q.Status().ConfState.Voters; !slices.Equal(got, []uint64{2, 3}) {
			t.Errorf("node %d knows voters %v", q.cfg.ID, got)
		}
	}
	if c.peers[1].role() != raft.StateLeader {
		t.Error("leadership was not handed over at once")
	}
	c.tick(40)
	if l := c.peers[1].Lead(); l != 2 && l != 3 {
		t.Errorf("leader %d", l)
	}
	if p.Term() != 2 || p.role() != raft.StateFollower {
		t.Errorf("the removed node is %v in term %d", p.role(), p.Term())
	}
}

// One change at a time (§6): until the last one is applied, none is appended; a new leader assumes that there is one.
func TestOneChangeAtATime(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.ProposeConfChange(change(add(4))))
	if err := p.ProposeConfChange(change(add(5))); !errors.Is(err, raft.ErrConfChangePending) {
		t.Errorf("second change: %v", err)
	}
	c.settle()
	p.must(p.ProposeConfChange(change(add(5))))

	c = newCluster(t, 3)
	c.cut = func(m raft.Message) bool { return m.Type == raft.MsgApp }
	p = c.elect(1)
	p.must(p.Propose(nil))
	c.settle()
	c.cut = nil
	p = startPeer(t, 1, p.disk)
	c.peers[0] = p
	c.cut = func(m raft.Message) bool { return m.Type == raft.MsgApp }
	c.elect(1)
	if err := p.ProposeConfChange(change(add(4))); !errors.Is(err, raft.ErrConfChangePending) {
		t.Errorf("change while the log of earlier terms is not applied: %v", err)
	}
}

// What a configuration can become, and what it cannot.
func TestConfChanges(t *testing.T) {
	base := raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}
	joint := raft.ConfState{Voters: []uint64{1, 2, 5}, VotersOutgoing: []uint64{1, 2, 3}, LearnersNext: []uint64{3}}
	tests := []struct {
		name string
		from raft.ConfState
		cc   raft.ConfChange
		want raft.ConfState
		bad  bool
	}{
		{"add", base, change(add(5)), raft.ConfState{Voters: []uint64{1, 2, 3, 5}, Learners: []uint64{4}}, false},
		{"add twice", base, change(add(3)), base, false},
		{"promote", base, change(add(4)), voters(1, 2, 3, 4), false},
		{"demote", base, change(learner(3)), raft.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3, 4}}, false},
		{"remove", base, change(removal(2)), raft.ConfState{Voters: []uint64{1, 3}, Learners: []uint64{4}}, false},
		{"remove a stranger", base, change(removal(9)), base, false},
		{"remove a learner", base, change(removal(4)), voters(1, 2, 3), false},
		{"swap goes through a joint configuration", base, change(add(5), removal(3)),
			raft.ConfState{Voters: []uint64{1, 2, 5}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{4},
				AutoLeave: true}, false},
		{"explicit joint", base, raft.ConfChange{Transition: raft.ConfChangeJointExplicit,
			Changes: []raft.ConfChangeSingle{learner(3), add(5)}},
			raft.ConfState{Voters: []uint64{1, 2, 5}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{4},
				LearnersNext: []uint64{3}}, false},
		{"leave", joint, change(), raft.ConfState{Voters: []uint64{1, 2, 5}, Learners: []uint64{3}}, false},
		{"leave what was not entered", base, change(), base, true},
		{"change inside of a joint one", joint, change(add(7)), joint, true},
		{"no voter left", voters(1), change(removal(1)), voters(1), true},
		{"no voter left in the joint one", base, change(removal(1), removal(2), removal(3)), base, true},
		{"nobody", base, change(add(0)), base, true},
		{"unknown kind", base, change(raft.ConfChangeSingle{Type: 9, NodeID: 5}), base, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, 1, tt.from)
			got, err := p.ApplyConfChange(tt.cc)
			if errors.Is(err, raft.ErrBadConfChange) != tt.bad || !sameConf(got, tt.want) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func sameConf(a, b raft.ConfState) bool {
	return slices.Equal(a.Voters, b.Voters) && slices.Equal(a.VotersOutgoing, b.VotersOutgoing) &&
		slices.Equal(a.Learners, b.Learners) && slices.Equal(a.LearnersNext, b.LearnersNext) && a.AutoLeave == b.AutoLeave
}

// What is impossible is refused when it is proposed, and never reaches the log.
func TestImpossibleChangeIsRefused(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	p.must(p.Campaign())
	p.drain()
	last := p.LastIndex()
	for _, cc := range []raft.ConfChange{change(removal(1)), change(add(0)), change()} {
		if err := p.ProposeConfChange(cc); !errors.Is(err, raft.ErrBadConfChange) {
			t.Errorf("%+v: %v", cc, err)
		}
	}
	if p.LastIndex() != last {
		t.Error("the log grew")
	}
}

// A change encodes to bytes and back; other bytes are refused.
func TestConfChangeEncoding(t *testing.T) {
	for _, cc := range []raft.ConfChange{{}, change(add(1)), change(add(1<<60), removal(2), learner(300)),
		{Transition: raft.ConfChangeJointExplicit, Changes: []raft.ConfChangeSingle{add(1)}, Context: []byte("ctx")},
		{Context: []byte("leave")}} {
		got, err := raft.DecodeConfChange(cc.Encode())
		if err != nil || !reflect.DeepEqual(got, cc) {
			t.Errorf("%+v became %+v, %v", cc, got, err)
		}
	}
	for _, b := range [][]byte{{9}, {0}, {0, 5, 1}, {0, 1, 1}, {0, 1, 1, 0x80}, {0, 0xff, 0xff, 0xff}} {
		if _, err := raft.DecodeConfChange(b); !errors.Is(err, raft.ErrBadConfChange) {
			t.Errorf("%v: %v", b, err)
		}
	}
}

// In a joint configuration both majorities are needed, to commit and to be elected (§6).
func TestJointNeedsBothMajorities(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}
	votes := func(from ...uint64) raft.StateType {
		p := newPeer(t, 1, conf, noPreVote)
		p.must(p.Campaign())
		p.drain()
		for _, id := range from {
			p.step(raft.Message{Type: raft.MsgVoteResp, From: id, Term: 1})
		}
		return p.role()
	}
	for _, tt := range []struct {
		from []uint64
		want raft.StateType
	}{
		{[]uint64{2, 3}, raft.StateCandidate},
		{[]uint64{4, 5}, raft.StateCandidate},
		{[]uint64{2, 4}, raft.StateLeader},
	} {
		if got := votes(tt.from...); got != tt.want {
			t.Errorf("votes of %v make a %v", tt.from, got)
		}
	}
	p := newPeer(t, 1, conf, noPreVote)
	p.must(p.Campaign())
	p.drain()
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1}, raft.Message{Type: raft.MsgVoteResp, From: 4, Term: 1})
	ack := func(id uint64) uint64 {
		p.step(raft.Message{Type: raft.MsgAppResp, From: id, Term: 1, Index: 1})
		return p.Status().HardState.Commit
	}
	if ack(4) != 0 || ack(5) != 0 || ack(2) != 1 {
		t.Error("committed without both majorities, or not with them")
	}
}

// The leader leaves a joint configuration by itself, and the cluster ends up in the new one (§6).
func TestJointConsensusSwapsTwo(t *testing.T) {
	c := newGrowingCluster(t, 3)
	p := c.elect(1)
	c.join(4)
	c.join(5)
	p.must(p.ProposeConfChange(change(add(4), add(5), removal(2), removal(3))))
	c.tick(3)
	for _, id := range []uint64{1, 4, 5} {
		got := c.peer(id).Status().ConfState
		if !slices.Equal(got.Voters, []uint64{1, 4, 5}) || len(got.VotersOutgoing) > 0 {
			t.Errorf("node %d: %+v", id, got)
		}
	}
}

// A learner gets the log and counts in no quorum; promoted, it does (dissertation §4.2.1).
func TestLearner(t *testing.T) {
	c := newGrowingCluster(t, 3)
	p := c.elect(1)
	q := c.join(4)
	p.must(p.ProposeConfChange(change(learner(4))))
	c.settle()
	c.isolate(2, 3)
	p.must(p.Propose([]byte("x")))
	c.tick(1)
	if len(p.payloads()) != 0 {
		t.Error("a learner's copy counted")
	}
	if q.LastIndex() != p.LastIndex() {
		t.Error("the learner lags")
	}
	c.heal()
	c.tick(2)
	p.must(p.ProposeConfChange(change(add(4))))
	c.settle()
	c.isolate(3)
	p.must(p.Propose([]byte("y")))
	c.tick(1)
	if !slices.Equal(p.payloads(), []string{"x", "y"}) {
		t.Errorf("applied %q", p.payloads())
	}
}

// A node with a committed change it has not applied does not campaign: its configuration is outdated.
func TestNoCampaignWithUnappliedChange(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	cc := change(removal(1))
	e := raft.Entry{Term: 1, Index: 1, Type: raft.EntryConfChange, Data: cc.Encode()}
	p.must(p.Step(raft.Message{Type: raft.MsgApp, From: 2, To: 1, Term: 1, Commit: 1, Entries: []raft.Entry{e}}))
	if err := p.Campaign(); !errors.Is(err, raft.ErrNotPromotable) {
		t.Errorf("Campaign: %v", err)
	}
}

// A candidate whose election is decided by a change that is applied meanwhile takes office.
func TestChangeDecidesElection(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2), noPreVote)
	p.must(p.Campaign())
	p.drain()
	if _, err := p.ApplyConfChange(change(removal(2))); err != nil || p.role() != raft.StateLeader {
		t.Errorf("%v, %v", p.role(), err)
	}
}

// A node that knows of its removal, and whose log is longer than those of nodes that do not know, is needed: without it
// nobody could be elected. It brings them up to date and hands over (dissertation §4.2.2, figure 4.6).
func TestRemovedNodeIsStillNeeded(t *testing.T) {
	c := newCluster(t, 2)
	p := c.elect(1)
	p.must(p.ProposeConfChange(change(removal(1))))
	p.must(p.Propose([]byte("tail")))
	c.cut = func(m raft.Message) bool { // node 2 gets the change, and never hears that it is committed
		return m.To == 2 && (m.Commit > 1 || len(m.Entries) > 1 || m.Type == raft.MsgTimeoutNow)
	}
	ms := p.drain()
	short := find(ms, raft.MsgApp)[0]
	short.Entries = short.Entries[:1]
	ack := one(t, c.peers[1].step(short), raft.MsgAppResp)
	p.step(ack)
	c.tick(21) // both give up
	if p.role() == raft.StateLeader || c.peers[1].Status().HardState.Commit != 1 {
		t.Fatalf("node 1 is %v, node 2 committed %d", p.role(), c.peers[1].Status().HardState.Commit)
	}
	c.heal()
	c.tick(60)
	if q := c.peers[1]; q.role() != raft.StateLeader || !slices.Equal(q.payloads(), []string{"tail"}) {
		t.Errorf("node 2 is %v and applied %q", q.role(), q.payloads())
	}
}
