package stage2aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
)

// What a candidate does first (figure 2, Candidates).
func TestCandidateAsksEveryOtherVoter(t *testing.T) {
	r := begin(t, asking)
	conf := raft.ConfState{Voters: []uint64{1, 2, 3, 5}, Learners: []uint64{4}}
	n := r.start(1, diskOf(conf, 1, 1, 3), plainVotes)
	ms := n.campaign()
	n.is(raft.StateCandidate, 4)
	if vote := n.Status().HardState.Vote; vote != 1 {
		r.broken("a candidate votes for itself", n.where())
	}
	for _, to := range []uint64{2, 3, 5} {
		got := find(ms, raft.MsgVote, to)
		if len(got) == 0 {
			r.broken(fmt.Sprintf("a MsgVote to voter %d", to), spoken(ms))
		}
		if m := got[0]; m.Term != 4 || m.Index != 3 || m.LogTerm != 3 || m.Force {
			r.broken("a question for term 4 by a node whose log ends at 3/3, without Force", spoken(got))
		}
	}
	if got := append(find(ms, raft.MsgVote, 1), find(ms, raft.MsgVote, 4)...); len(got) > 0 {
		r.broken("no question to itself or to the learner 4", spoken(got))
	}
}

// Asking first (dissertation §9.6).
func TestPreVoteAsksWithoutChangingAnything(t *testing.T) {
	r := begin(t, preVote)
	n := r.start(1, diskOf(raft.ConfState{Voters: voters(3)}, 1, 1, 3))
	before := n.Status().HardState
	ms := n.campaign()
	for _, to := range []uint64{2, 3} {
		got := find(ms, raft.MsgPreVote, to)
		if len(got) == 0 || got[0].Term != 4 || got[0].Index != 3 || got[0].LogTerm != 3 {
			r.broken(fmt.Sprintf("a MsgPreVote to node %d for term 4, log ends at 3/3", to), spoken(ms))
		}
	}
	if now := n.Status().HardState; now != before || n.role() != raft.StatePreCandidate {
		r.broken("a pre-candidate with the hard state of before: "+hardState(before), n.where())
	}
	n.tick(60)
	if now := n.Status().HardState; now != before {
		r.broken("however often nobody answers, still "+hardState(before), n.where())
	}
	// A quorum says that it could win: now it is serious.
	n = n.restart()
	n.campaign()
	ms = n.step(raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 4})
	n.is(raft.StateCandidate, 4)
	if got := find(ms, raft.MsgVote, 0); len(got) != 2 || got[0].Force {
		r.broken("after a quorum of pre-votes, a MsgVote to each of the others", spoken(ms))
	}
}

// The other side of a pre-vote.
func TestPreVoteBindsNobody(t *testing.T) {
	r := begin(t, preVote)
	n := r.fresh(1, 5)
	before := n.Status().HardState
	for _, from := range []uint64{3, 4, 5} {
		ms := n.step(raft.Message{Type: raft.MsgPreVote, From: from, Term: 1})
		if m := n.answer(ms, raft.MsgPreVoteResp, from); m.Reject || m.Term != 1 {
			r.broken("a pre-vote for each who could win, in the term that was asked about", spoken(ms))
		}
	}
	if now := n.Status().HardState; now != before {
		r.broken("nothing to remember: "+hardState(before), n.where())
	}
	if !n.votes(raft.MsgVote, 2, 1, 0, 0) {
		r.broken("the vote is still free for node 2", "refused")
	}
}

// The pre-candidate that asks about a term that is over learns it.
func TestRefusedPreVoteTellsTheTerm(t *testing.T) {
	r := begin(t, terms)
	disk := diskOf(raft.ConfState{Voters: voters(3)}, 1, 1)
	disk.SetHardState(raft.HardState{Term: 6})
	n := r.start(1, disk)
	for _, asked := range []uint64{5, 6} {
		ms := n.step(raft.Message{Type: raft.MsgPreVote, From: 2, Term: asked, Index: 9, LogTerm: 1})
		for _, m := range find(ms, raft.MsgPreVoteResp, 2) {
			if !m.Reject || m.Term != 6 {
				r.broken("a refusal that bears term 6", spoken(ms))
			}
		}
	}
	late := r.start(2, diskOf(raft.ConfState{Voters: voters(3)}, 1))
	late.campaign()
	late.step(raft.Message{Type: raft.MsgPreVoteResp, From: 1, Term: 6, Reject: true})
	late.is(raft.StateFollower, 6)
}

// Answers to another question than ours.
func TestPreVotesOfAnotherTermDoNotCount(t *testing.T) {
	r := begin(t, majority)
	n := r.fresh(1, 5)
	n.campaign()
	n.step(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 9},
		raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 9})
	if n.role() != raft.StatePreCandidate || n.Term() != 0 {
		r.broken("pre-votes for term 9 do not help a node that asks about term 1", n.where())
	}
	n.step(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 1})
	if n.role() != raft.StatePreCandidate {
		r.broken("2 pre-votes of 5 voters are no quorum", n.where())
	}
	n.step(raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 1})
	n.is(raft.StateCandidate, 1)
	n.step(raft.Message{Type: raft.MsgPreVoteResp, From: 4, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 5, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 4, Term: 2})
	if n.role() != raft.StateCandidate {
		r.broken("pre-votes are no votes", n.where())
	}
}

// Counting, for every size and every sequence that matters (§5.2).
func TestQuorumOfVotesMakesALeader(t *testing.T) {
	for size := 2; size <= 6; size++ {
		for refusals := 0; refusals < size; refusals++ {
			r := begin(t, majority)
			n := r.fresh(1, size, plainVotes)
			n.campaign()
			granted, refused := 1, 0
			for id := 2; id <= size; id++ {
				grant := id > 1+refusals
				n.step(vote(uint64(id), 1, grant))
				if grant {
					granted++
				} else {
					refused++
				}
				want := raft.StateCandidate
				switch quorum := size/2 + 1; {
				case granted >= quorum:
					want = raft.StateLeader
				case size-refused < quorum:
					want = raft.StateFollower
				}
				if n.role() != want {
					r.broken(fmt.Sprintf("with %d of %d votes granted and %d refused: %v", granted, size, refused, want), n.where())
				}
				if want != raft.StateCandidate {
					break
				}
			}
		}
	}
}

func TestRepeatedVoteCountsOnce(t *testing.T) {
	r := begin(t, majority)
	n := r.fresh(1, 5, plainVotes)
	n.campaign()
	n.step(vote(2, 1, true), vote(2, 1, true), vote(2, 1, true))
	if n.role() != raft.StateCandidate {
		r.broken("2 of 5 votes, one of them told three times: still a candidate", n.where())
	}
	n.step(vote(3, 1, false), vote(3, 1, false), vote(3, 1, false))
	if n.role() != raft.StateCandidate {
		r.broken("one refusal told three times: still a candidate", n.where())
	}
	n.step(vote(4, 1, true))
	n.is(raft.StateLeader, 1)
}

func TestVotesThatDoNotCount(t *testing.T) {
	r := begin(t, majority)
	conf := raft.ConfState{Voters: voters(3), Learners: []uint64{4}}
	n := r.start(1, diskOf(conf), plainVotes)
	n.campaign()
	n.campaign()
	n.is(raft.StateCandidate, 2)
	n.step(vote(2, 1, true))
	n.is(raft.StateCandidate, 2)
	n.step(vote(4, 2, true), vote(9, 2, true))
	n.is(raft.StateCandidate, 2)
	n.step(vote(1, 2, true))
	n.is(raft.StateCandidate, 2)
	n.step(vote(2, 2, true))
	n.is(raft.StateLeader, 2)
}

// A new campaign counts from nothing.
func TestVotesOfAnEarlierCampaignAreForgotten(t *testing.T) {
	r := begin(t, majority)
	n := r.fresh(1, 5, plainVotes)
	n.campaign()
	n.step(vote(2, 1, true))
	n.campaign()
	n.step(vote(3, 2, true))
	if n.role() != raft.StateCandidate {
		r.broken("in term 2 there are 2 votes of 5: still a candidate", n.where())
	}
	n.step(vote(2, 2, true))
	n.is(raft.StateLeader, 2)
}

// Two majorities while the configuration changes (§6).
func TestJointConfigurationNeedsBothMajorities(t *testing.T) {
	r := begin(t, majority)
	conf := raft.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}
	n := r.start(1, diskOf(conf), plainVotes)
	n.campaign()
	n.step(vote(2, 1, true), vote(3, 1, true))
	if n.role() != raft.StateCandidate {
		r.broken("the outgoing voters alone elect nobody", n.where())
	}
	n.step(vote(4, 1, true))
	n.is(raft.StateLeader, 1)
	n = r.start(1, diskOf(conf), plainVotes)
	n.campaign()
	n.step(vote(2, 1, false), vote(3, 1, false))
	if n.role() != raft.StateFollower {
		r.broken("an election that one of the two majorities refused is lost", n.where())
	}
}

func TestCandidateYieldsToTheLeaderOfItsTerm(t *testing.T) {
	for _, kind := range []raft.MessageType{raft.MsgHeartbeat, raft.MsgApp} {
		r := begin(t, stepDown)
		n := r.fresh(1, 3, plainVotes)
		n.campaign()
		n.step(raft.Message{Type: kind, From: 3, Term: 1})
		n.is(raft.StateFollower, 1)
		if n.Lead() != 3 {
			r.broken("a follower of node 3", n.where())
		}
		n.step(vote(2, 1, true), vote(3, 1, true))
		if n.role() != raft.StateFollower {
			r.broken("votes that arrive after that mean nothing", n.where())
		}
	}
}

// A lost election is not the last one.
func TestLoserTriesAgain(t *testing.T) {
	for _, opts := range [][]option{{plainVotes}, nil} {
		r := begin(t, stepDown)
		n := r.start(1, diskOf(raft.ConfState{Voters: voters(3)}, 1), opts...)
		no := vote(0, 2, false)
		if ms := n.campaign(); len(find(ms, raft.MsgPreVote, 0)) > 0 {
			no = raft.Message{Type: raft.MsgPreVoteResp, Term: 1, Reject: true}
		}
		for _, from := range []uint64{2, 3} {
			no.From = from
			n.step(no)
		}
		n.is(raft.StateFollower, no.Term)
		if ticks := n.untilItAsks(19); ticks > 19 || ticks < 10 {
			r.broken("the next campaign after 10 to 19 ticks", fmt.Sprintf("after %d (20: none)", ticks))
		}
	}
}
