package raft_test

import (
	"errors"
	"testing"

	"tinykv/raft"
)

// Leadership goes to a voter that is up to date at once, without an election timeout (dissertation §3.10).
func TestTransfer(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.TransferLeader(3))
	c.settle()
	if c.peers[2].role() != raft.StateLeader || c.peers[2].Term() != 2 || p.Lead() != 3 {
		t.Errorf("node 3 is %v in term %d", c.peers[2].role(), c.peers[2].Term())
	}
	for _, m := range c.log {
		if m.Type == raft.MsgPreVote && m.From == 3 {
			t.Error("the target asked for pre-votes")
		}
	}
}

// A target that lags is brought up to date first.
func TestTransferToLaggingNode(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	p.must(p.Propose([]byte("x")))
	c.settle()
	p.must(p.TransferLeader(3))
	if ms := p.drain(); len(find(ms, raft.MsgTimeoutNow)) != 0 {
		t.Fatal("told a node that lags to campaign")
	}
	c.heal()
	c.tick(2)
	if c.peers[2].role() != raft.StateLeader || c.peers[2].LastIndex() < 3 {
		t.Errorf("node 3 is %v, log ends at %d", c.peers[2].role(), c.peers[2].LastIndex())
	}
}

// Proposals are dropped during a transfer; it is given up after an election timeout, and they pass again.
func TestTransferTimesOut(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	p.must(p.TransferLeader(3))
	if err := p.Propose(nil); !errors.Is(err, raft.ErrProposalDropped) {
		t.Errorf("a proposal during the transfer: %v", err)
	}
	c.tick(9)
	if p.Status().Transferee != 3 {
		t.Error("given up too early")
	}
	c.tick(1)
	if p.Status().Transferee != raft.None || p.role() != raft.StateLeader {
		t.Errorf("transferee %d, role %v", p.Status().Transferee, p.role())
	}
	p.must(p.Propose(nil))
}

// The wish may be told to any node; it is sent on to the leader.
func TestTransferAskedAtFollower(t *testing.T) {
	c := newCluster(t, 3)
	c.elect(1)
	c.peers[1].must(c.peers[1].TransferLeader(2))
	c.settle()
	if c.peers[1].role() != raft.StateLeader {
		t.Errorf("node 2 is %v", c.peers[1].role())
	}
}

// Who cannot lead is no target; oneself is no change; a second target replaces the first.
func TestTransferTargets(t *testing.T) {
	p := newPeer(t, 1, raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}})
	if err := p.TransferLeader(2); !errors.Is(err, raft.ErrNoLeader) {
		t.Errorf("without a leader: %v", err)
	}
	p.must(p.Campaign())
	p.drain()
	p.step(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 1},
		raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1})
	for _, id := range []uint64{4, 9, 0} {
		if err := p.TransferLeader(id); !errors.Is(err, raft.ErrBadTransfer) {
			t.Errorf("to %d: %v", id, err)
		}
	}
	p.must(p.TransferLeader(1))
	p.must(p.Propose(nil))
	p.must(p.TransferLeader(2))
	p.must(p.TransferLeader(3))
	if got := p.Status().Transferee; got != 3 {
		t.Errorf("transferee %d", got)
	}
}

// TimeoutNow is obeyed by a voter, from the leader of its term, and from nobody else.
func TestTimeoutNow(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}
	tests := []struct {
		name string
		id   uint64
		msg  raft.Message
		want raft.StateType
	}{
		{"from the leader", 1, raft.Message{From: 2, Term: 2}, raft.StateCandidate},
		{"from a leader of earlier", 1, raft.Message{From: 2, Term: 1}, raft.StateFollower},
		{"to a learner", 4, raft.Message{From: 2, Term: 2}, raft.StateFollower},
		{"to a node outside", 7, raft.Message{From: 2, Term: 2}, raft.StateFollower},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, tt.id, conf)
			p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 2})
			tt.msg.Type = raft.MsgTimeoutNow
			p.step(tt.msg)
			if p.role() != tt.want {
				t.Errorf("%v", p.role())
			}
		})
	}
	p := newPeer(t, 1, conf)
	p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 2})
	err := p.Step(raft.Message{Type: raft.MsgTimeoutNow, From: 3, To: 1, Term: 2})
	if !errors.Is(err, raft.ErrBadMessage) {
		t.Errorf("from another node of the term: %v", err)
	}
}

// The target's campaign overrides leader stickiness (dissertation §4.2.3).
func TestForcedVoteOverridesStickiness(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1})
	m := raft.Message{Type: raft.MsgVote, From: 3, Term: 2, Force: true}
	if one(t, p.step(m), raft.MsgVoteResp).Reject {
		t.Error("refused")
	}
}

// A target that is removed is none any more.
func TestTransferToRemovedNode(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	p.must(p.ProposeConfChange(change(removal(3))))
	p.must(p.TransferLeader(3))
	c.settle()
	if got := p.Status().Transferee; got != raft.None {
		t.Errorf("transferee %d", got)
	}
}
