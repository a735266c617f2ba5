package raft_test

import (
	"errors"
	"testing"

	"tinykv/raft"
)

func noPreVote(c *raft.Config)     { c.DisablePreVote = true }
func noCheckQuorum(c *raft.Config) { c.DisableCheckQuorum = true }

// logOf gives a disk the entries with these terms, and a hard state that fits them.
func logOf(conf raft.ConfState, terms ...uint64) *raft.MemoryStorage {
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	var ents []raft.Entry
	for i, term := range terms {
		ents = append(ents, raft.Entry{Term: term, Index: uint64(i + 1)})
	}
	if err := disk.Append(ents); err != nil {
		panic(err)
	}
	if n := len(terms); n > 0 {
		disk.SetHardState(raft.HardState{Term: terms[n-1]})
	}
	return disk
}

// A follower that hears nothing asks for pre-votes after ElectionTicks at the earliest, less than twice that (§5.2).
func TestElectionTimeoutLiesInItsRange(t *testing.T) {
	seen := map[int]bool{}
	for id := uint64(1); id <= 60; id++ {
		p := newPeer(t, id, voters(id, 100, 101))
		n := 0
		for len(p.drain()) == 0 {
			p.Tick()
			n++
		}
		if n < 10 || n > 19 {
			t.Errorf("node %d campaigned after %d ticks", id, n)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("timeouts are hardly random: %v", seen)
	}
}

// The wait is drawn anew for each election, or two nodes could collide for ever (§5.2).
func TestElectionTimeoutIsDrawnAnew(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	seen := map[int]bool{}
	for range 40 {
		n := 0
		for len(p.drain()) == 0 {
			p.Tick()
			n++
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("waits: %v", seen)
	}
}

// A heartbeat puts the election off (§5.2).
func TestHeartbeatPutsElectionOff(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	for range 100 {
		for range 9 {
			p.Tick()
		}
		p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1})
	}
	if p.role() != raft.StateFollower || p.Term() != 1 {
		t.Errorf("%v in term %d", p.role(), p.Term())
	}
}

// A node alone elects itself and commits (§5.2: a majority of one).
func TestSingleNodeElectsItself(t *testing.T) {
	p := newPeer(t, 1, voters(1))
	for range 20 {
		p.Tick()
	}
	p.drain()
	if p.role() != raft.StateLeader || len(p.done) != 1 {
		t.Fatalf("%v, applied %v", p.role(), p.done)
	}
}

// A pre-vote changes nothing that would have to be remembered, on neither side (dissertation §9.6).
func TestPreVoteChangesNoState(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	p.must(p.Campaign())
	ms := p.drain()
	if len(find(ms, raft.MsgPreVote)) != 2 || p.Term() != 0 || ms[0].Term != 1 {
		t.Fatalf("campaign sent %v in term %d", brief(ms), p.Term())
	}
	q := newPeer(t, 2, voters(1, 2, 3))
	resp := one(t, q.step(ms[0]), raft.MsgPreVoteResp)
	if resp.Reject || resp.Term != 1 || !q.Status().HardState.IsEmpty() {
		t.Fatalf("answer %v, state %+v", resp, q.Status().HardState)
	}
	ms = p.step(resp)
	if p.role() != raft.StateCandidate || len(find(ms, raft.MsgVote)) != 2 || p.Term() != 1 {
		t.Fatalf("after a quorum of pre-votes: %v, %v", p.role(), brief(ms))
	}
}

// Whoever hears from a leader grants no pre-vote (dissertation §9.6) and no vote (§6, leader stickiness), and does
// not even look at the term.
func TestLeaderStickiness(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	p.step(raft.Message{Type: raft.MsgHeartbeat, From: 2, Term: 1})
	resp := one(t, p.step(raft.Message{Type: raft.MsgPreVote, From: 3, Term: 2}), raft.MsgPreVoteResp)
	if !resp.Reject {
		t.Error("granted a pre-vote against a leader that is alive")
	}
	if ms := p.step(raft.Message{Type: raft.MsgVote, From: 3, Term: 9}); len(ms) != 0 || p.Term() != 1 {
		t.Errorf("a vote request during the lease had an effect: %v, term %d", brief(ms), p.Term())
	}
	for range 10 {
		p.Tick()
	}
	ms := p.step(raft.Message{Type: raft.MsgVote, From: 3, Term: 9})
	if one(t, ms, raft.MsgVoteResp).Reject {
		t.Error("refused a vote an election timeout after the last word of the leader")
	}
}

// One vote in a term, and the same one again if the answer was lost (figure 2, RequestVote).
func TestOneVotePerTerm(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3))
	ask := func(from, term uint64) bool {
		return !one(t, p.step(raft.Message{Type: raft.MsgVote, From: from, Term: term}), raft.MsgVoteResp).Reject
	}
	if !ask(2, 1) {
		t.Error("no vote for the first who asks")
	}
	if ask(3, 1) {
		t.Error("two votes in one term")
	}
	if !ask(2, 1) {
		t.Error("no vote for the same candidate again")
	}
	if !ask(3, 2) {
		t.Error("no vote in the next term")
	}
	p = startPeer(t, 1, p.disk)
	if ask(2, 2) {
		t.Error("the vote was forgotten in a restart")
	}
}

// The up-to-date rule, all its cases (§5.4.1): the later last term wins, then the longer log.
func TestVoteNeedsUpToDateLog(t *testing.T) {
	tests := []struct {
		name        string
		index, term uint64
		want        bool
	}{
		{"same", 3, 2, true},
		{"longer, same term", 4, 2, true},
		{"shorter, same term", 2, 2, false},
		{"shorter, later term", 1, 3, true},
		{"longer, earlier term", 9, 1, false},
		{"empty", 0, 0, false},
	}
	for _, kind := range []raft.MessageType{raft.MsgVote, raft.MsgPreVote} {
		for _, tt := range tests {
			t.Run(kind.String()+"/"+tt.name, func(t *testing.T) {
				p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 1, 2))
				ms := p.step(raft.Message{Type: kind, From: 2, Term: 5, Index: tt.index, LogTerm: tt.term})
				if got := !ms[len(ms)-1].Reject; got != tt.want {
					t.Errorf("granted %v, want %v", got, tt.want)
				}
			})
		}
	}
}

// A request of an earlier term is refused, and the candidate told the term (§5.1).
func TestStaleCandidateIsRefused(t *testing.T) {
	p := startPeer(t, 1, logOf(voters(1, 2, 3), 1, 4))
	resp := one(t, p.step(raft.Message{Type: raft.MsgVote, From: 2, Term: 3, Index: 9, LogTerm: 3}), raft.MsgVoteResp)
	if !resp.Reject || resp.Term != 4 {
		t.Errorf("answer %+v", resp)
	}
}

// A voter's answer counts once, however often it arrives.
func TestDuplicateVotesCountOnce(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3, 4, 5), noPreVote)
	p.must(p.Campaign())
	p.drain()
	for range 3 {
		p.step(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1})
	}
	if p.role() != raft.StateCandidate {
		t.Fatalf("%v with 2 votes of 5", p.role())
	}
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 1})
	if p.role() != raft.StateLeader {
		t.Fatalf("%v with 3 votes of 5", p.role())
	}
}

// Answers of an earlier term, of nodes without a vote, and to another question do not count.
func TestVotesThatDoNotCount(t *testing.T) {
	conf := raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}
	p := newPeer(t, 1, conf, noPreVote)
	p.must(p.Campaign())
	p.drain()
	p.must(p.Campaign())
	p.drain() // term 2
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1})
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 4, Term: 2})
	p.step(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 2})
	if p.role() != raft.StateCandidate {
		t.Fatalf("elected by votes that do not count: %v", p.role())
	}
	err := p.Step(raft.Message{Type: raft.MsgVoteResp, From: 9, To: 1, Term: 2})
	if !errors.Is(err, raft.ErrUnknownPeer) {
		t.Errorf("a stranger's vote: %v", err)
	}
}

// A quorum of refusals ends the candidacy; a leader of the same term does too (§5.2).
func TestCandidateGivesUp(t *testing.T) {
	p := newPeer(t, 1, voters(1, 2, 3), noPreVote)
	p.must(p.Campaign())
	p.drain()
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 2, Term: 1, Reject: true})
	p.step(raft.Message{Type: raft.MsgVoteResp, From: 3, Term: 1, Reject: true})
	if p.role() != raft.StateFollower || p.Term() != 1 {
		t.Errorf("%v in term %d after refusals", p.role(), p.Term())
	}
	p.must(p.Campaign())
	p.drain()
	p.step(raft.Message{Type: raft.MsgApp, From: 3, Term: 2})
	if p.role() != raft.StateFollower || p.Lead() != 3 {
		t.Errorf("%v after an append of the leader of the term", p.role())
	}
}

// A vote request of the same term does not make a candidate or leader step down.
func TestVoteRequestOfSameTermDeposesNobody(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	resp := one(t, p.step(raft.Message{Type: raft.MsgVote, From: 2, Term: 1, Index: 9, LogTerm: 1}), raft.MsgVoteResp)
	if !resp.Reject || p.role() != raft.StateLeader {
		t.Errorf("answer %+v, role %v", resp, p.role())
	}
}

// A leader that hears a later term becomes a follower (§5.1).
func TestLaterTermDeposesLeader(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.step(raft.Message{Type: raft.MsgAppResp, From: 2, Term: 7, Reject: true})
	if p.role() != raft.StateFollower || p.Term() != 7 || p.Lead() != raft.None {
		t.Errorf("%v in term %d, leader %d", p.role(), p.Term(), p.Lead())
	}
}

// Campaign does nothing on a leader.
func TestLeaderDoesNotCampaign(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	p.must(p.Campaign())
	c.settle()
	if p.Term() != 1 || p.role() != raft.StateLeader {
		t.Errorf("%v in term %d", p.role(), p.Term())
	}
}

// A leader without a quorum steps down after an election timeout (dissertation §6.2), in its own term.
func TestCheckQuorum(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(1)
	c.tick(21, 1)
	if p.role() == raft.StateLeader || p.Term() != 1 {
		t.Errorf("%v in term %d without a quorum", p.role(), p.Term())
	}
	c = newCluster(t, 3, noCheckQuorum)
	p = c.elect(1)
	c.isolate(1)
	c.tick(50, 1)
	if p.role() != raft.StateLeader {
		t.Errorf("without check quorum: %v", p.role())
	}
}

// A node that was cut off and comes back does not disturb the leader: it could not raise its term (§9.6).
func TestReturningNodeDoesNotDisturb(t *testing.T) {
	c := newCluster(t, 3)
	p := c.elect(1)
	c.isolate(3)
	c.tick(100)
	c.heal()
	c.tick(10)
	if p.role() != raft.StateLeader || p.Term() != 1 {
		t.Errorf("%v in term %d", p.role(), p.Term())
	}
}

// Without pre-vote the same node returns with a high term, and the leader must follow it to be able to lead again.
func TestReturningNodeWithoutPreVote(t *testing.T) {
	c := newCluster(t, 3, noPreVote)
	c.elect(1)
	c.isolate(3)
	c.tick(100)
	c.heal()
	c.tick(60)
	leaders := 0
	for _, p := range c.peers {
		if p.role() == raft.StateLeader {
			leaders++
		}
	}
	if leaders != 1 {
		t.Errorf("%d leaders", leaders)
	}
}

// A candidate that has a later term but the shorter log must not keep the cluster from a leader.
func TestStuckCandidateIsFreed(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.elect(1)
	stuck := logOf(voters(1, 2, 3))
	stuck.SetHardState(raft.HardState{Term: 9})
	c.peers[2] = startPeer(t, 3, stuck)
	c.tick(60)
	leader.drain()
	terms := map[uint64]bool{}
	for _, p := range c.peers {
		terms[p.Term()] = true
		if p.Lead() == raft.None {
			t.Errorf("node %d knows no leader", p.cfg.ID)
		}
	}
	if len(terms) != 1 {
		t.Errorf("terms %v", terms)
	}
}

// Nobody but voters campaigns; and everybody votes, for it may have become a voter without knowing (§6).
func TestLearnerVotesButDoesNotCampaign(t *testing.T) {
	p := newPeer(t, 4, raft.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}})
	for range 60 {
		p.Tick()
	}
	if ms := p.drain(); len(ms) != 0 {
		t.Errorf("a learner campaigned: %v", brief(ms))
	}
	if err := p.Campaign(); !errors.Is(err, raft.ErrNotPromotable) {
		t.Errorf("Campaign: %v", err)
	}
	if one(t, p.step(raft.Message{Type: raft.MsgVote, From: 1, Term: 1}), raft.MsgVoteResp).Reject {
		t.Error("a learner refused its vote")
	}
}

// Of two nodes that ask for pre-votes at the same time, one goes first: they do not split the vote.
func TestSimultaneousPreCandidatesDoNotSplit(t *testing.T) {
	c := newCluster(t, 3)
	c.isolate(1)
	c.peers[1].must(c.peers[1].Campaign())
	c.peers[2].must(c.peers[2].Campaign())
	c.settle()
	if c.peers[2].role() != raft.StateLeader || c.peers[2].Term() != 1 {
		t.Errorf("node 3 is %v in term %d", c.peers[2].role(), c.peers[2].Term())
	}
}
