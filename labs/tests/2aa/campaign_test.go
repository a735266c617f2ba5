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
	n := r.Start(1, logOf(conf, 1, 1, 3), plainVotes)
	ms := n.Campaigns()
	n.Is(raft.StateCandidate, 4)
	if vote := n.Status().HardState.Vote; vote != 1 {
		r.Broken("a candidate votes for itself", n.Where())
	}
	for _, to := range []uint64{2, 3, 5} {
		got := find(ms, raft.MsgVote, to)
		if len(got) == 0 {
			r.Broken(fmt.Sprintf("a MsgVote to voter %d", to), spoken(ms))
		}
		if m := got[0]; m.Term != 4 || m.Index != 3 || m.LogTerm != 3 || m.Force {
			r.Broken("a question for term 4 by a node whose log ends at 3/3, without Force", spoken(got))
		}
	}
	if got := append(find(ms, raft.MsgVote, 1), find(ms, raft.MsgVote, 4)...); len(got) > 0 {
		r.Broken("no question to itself or to the learner 4", spoken(got))
	}
}

// Asking first (dissertation §9.6).
func TestPreVoteAsksWithoutChangingAnything(t *testing.T) {
	r := begin(t, preVote)
	n := r.Start(1, logOf(upTo(3), 1, 1, 3))
	before := n.Status().HardState
	ms := n.Campaigns()
	for _, to := range []uint64{2, 3} {
		got := find(ms, raft.MsgPreVote, to)
		if len(got) == 0 || got[0].Term != 4 || got[0].Index != 3 || got[0].LogTerm != 3 {
			r.Broken(fmt.Sprintf("a MsgPreVote to node %d for term 4, log ends at 3/3", to), spoken(ms))
		}
	}
	if now := n.Status().HardState; now != before || n.Role() != raft.StatePreCandidate {
		r.Broken("a pre-candidate with the hard state of before: "+hardState(before), n.Where())
	}
	n.Ticks(60)
	if now := n.Status().HardState; now != before {
		r.Broken("however often nobody answers, still "+hardState(before), n.Where())
	}
	// A quorum says that it could win: now it is serious.
	n = n.Restart()
	n.Campaigns()
	ms = n.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 4})
	n.Is(raft.StateCandidate, 4)
	if got := find(ms, raft.MsgVote); len(got) != 2 || got[0].Force {
		r.Broken("after a quorum of pre-votes, a MsgVote to each of the others", spoken(ms))
	}
}

// The other side of a pre-vote.
func TestPreVoteBindsNobody(t *testing.T) {
	r := begin(t, preVote)
	n := r.Fresh(1, upTo(5))
	before := n.Status().HardState
	for _, from := range []uint64{3, 4, 5} {
		ms := n.Hear(raft.Message{Type: raft.MsgPreVote, From: from, Term: 1})
		if m := answer(n, ms, raft.MsgPreVoteResp, from); m.Reject || m.Term != 1 {
			r.Broken("a pre-vote for each who could win, in the term that was asked about", spoken(ms))
		}
	}
	if now := n.Status().HardState; now != before {
		r.Broken("nothing to remember: "+hardState(before), n.Where())
	}
	if !votes(n, raft.MsgVote, 2, 1, 0, 0) {
		r.Broken("the vote is still free for node 2", "refused")
	}
}

// The pre-candidate that asks about a term that is over learns it.
func TestRefusedPreVoteTellsTheTerm(t *testing.T) {
	r := begin(t, terms)
	disk := logOf(upTo(3), 1, 1)
	disk.SetHardState(raft.HardState{Term: 6})
	n := r.Start(1, disk)
	for _, asked := range []uint64{5, 6} {
		ms := n.Hear(raft.Message{Type: raft.MsgPreVote, From: 2, Term: asked, Index: 9, LogTerm: 1})
		for _, m := range find(ms, raft.MsgPreVoteResp, 2) {
			if !m.Reject || m.Term != 6 {
				r.Broken("a refusal that bears term 6", spoken(ms))
			}
		}
	}
	late := r.Start(2, logOf(upTo(3), 1))
	late.Campaigns()
	late.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 1, Term: 6, Reject: true})
	late.Is(raft.StateFollower, 6)
}

// Answers to another question than ours.
func TestPreVotesOfAnotherTermDoNotCount(t *testing.T) {
	r := begin(t, majority)
	n := r.Fresh(1, upTo(5))
	n.Campaigns()
	n.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 9},
		raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 9})
	if n.Role() != raft.StatePreCandidate || n.Term() != 0 {
		r.Broken("pre-votes for term 9 do not help a node that asks about term 1", n.Where())
	}
	n.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 1})
	if n.Role() != raft.StatePreCandidate {
		r.Broken("2 pre-votes of 5 voters are no quorum", n.Where())
	}
	n.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 3, Term: 1})
	n.Is(raft.StateCandidate, 1)
	n.Hear(raft.Message{Type: raft.MsgPreVoteResp, From: 4, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 5, Term: 1},
		raft.Message{Type: raft.MsgPreVoteResp, From: 4, Term: 2})
	if n.Role() != raft.StateCandidate {
		r.Broken("pre-votes are no votes", n.Where())
	}
}

// Counting, for every size and every sequence that matters (§5.2).
func TestQuorumOfVotesMakesALeader(t *testing.T) {
	for size := 2; size <= 6; size++ {
		for refusals := 0; refusals < size; refusals++ {
			r := begin(t, majority)
			n := r.Fresh(1, upTo(size), plainVotes)
			n.Campaigns()
			granted, refused := 1, 0
			for id := 2; id <= size; id++ {
				grant := id > 1+refusals
				n.Hear(vote(uint64(id), 1, grant))
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
				if n.Role() != want {
					r.Broken(fmt.Sprintf("with %d of %d votes granted and %d refused: %v", granted, size, refused, want), n.Where())
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
	n := r.Fresh(1, upTo(5), plainVotes)
	n.Campaigns()
	n.Hear(vote(2, 1, true), vote(2, 1, true), vote(2, 1, true))
	if n.Role() != raft.StateCandidate {
		r.Broken("2 of 5 votes, one of them told three times: still a candidate", n.Where())
	}
	n.Hear(vote(3, 1, false), vote(3, 1, false), vote(3, 1, false))
	if n.Role() != raft.StateCandidate {
		r.Broken("one refusal told three times: still a candidate", n.Where())
	}
	n.Hear(vote(4, 1, true))
	n.Is(raft.StateLeader, 1)
}

func TestVotesThatDoNotCount(t *testing.T) {
	r := begin(t, majority)
	conf := raft.ConfState{Voters: voters(3), Learners: []uint64{4}}
	n := r.Start(1, logOf(conf), plainVotes)
	n.Campaigns()
	n.Campaigns()
	n.Is(raft.StateCandidate, 2)
	n.Hear(vote(2, 1, true))
	n.Is(raft.StateCandidate, 2)
	n.Hear(vote(4, 2, true), vote(9, 2, true))
	n.Is(raft.StateCandidate, 2)
	n.Hear(vote(1, 2, true))
	n.Is(raft.StateCandidate, 2)
	n.Hear(vote(2, 2, true))
	n.Is(raft.StateLeader, 2)
}

// A new campaign counts from nothing.
func TestVotesOfAnEarlierCampaignAreForgotten(t *testing.T) {
	r := begin(t, majority)
	n := r.Fresh(1, upTo(5), plainVotes)
	n.Campaigns()
	n.Hear(vote(2, 1, true))
	n.Campaigns()
	n.Hear(vote(3, 2, true))
	if n.Role() != raft.StateCandidate {
		r.Broken("in term 2 there are 2 votes of 5: still a candidate", n.Where())
	}
	n.Hear(vote(2, 2, true))
	n.Is(raft.StateLeader, 2)
}

// Two majorities while the configuration changes (§6).
func TestJointConfigurationNeedsBothMajorities(t *testing.T) {
	r := begin(t, majority)
	conf := raft.ConfState{Voters: []uint64{1, 4, 5}, VotersOutgoing: []uint64{1, 2, 3}}
	n := r.Start(1, logOf(conf), plainVotes)
	n.Campaigns()
	n.Hear(vote(2, 1, true), vote(3, 1, true))
	if n.Role() != raft.StateCandidate {
		r.Broken("the outgoing voters alone elect nobody", n.Where())
	}
	n.Hear(vote(4, 1, true))
	n.Is(raft.StateLeader, 1)
	n = r.Start(1, logOf(conf), plainVotes)
	n.Campaigns()
	n.Hear(vote(2, 1, false), vote(3, 1, false))
	if n.Role() != raft.StateFollower {
		r.Broken("an election that one of the two majorities refused is lost", n.Where())
	}
}

func TestCandidateYieldsToTheLeaderOfItsTerm(t *testing.T) {
	for _, kind := range []raft.MessageType{raft.MsgHeartbeat, raft.MsgApp} {
		r := begin(t, stepDown)
		n := r.Fresh(1, upTo(3), plainVotes)
		n.Campaigns()
		n.Hear(raft.Message{Type: kind, From: 3, Term: 1})
		n.Is(raft.StateFollower, 1)
		if n.Lead() != 3 {
			r.Broken("a follower of node 3", n.Where())
		}
		n.Hear(vote(2, 1, true), vote(3, 1, true))
		if n.Role() != raft.StateFollower {
			r.Broken("votes that arrive after that mean nothing", n.Where())
		}
	}
}

// A lost election is not the last one.
func TestLoserTriesAgain(t *testing.T) {
	for _, opts := range [][]option{{plainVotes}, nil} {
		r := begin(t, stepDown)
		n := r.Start(1, logOf(upTo(3), 1), opts...)
		no := vote(0, 2, false)
		if ms := n.Campaigns(); len(find(ms, raft.MsgPreVote)) > 0 {
			no = raft.Message{Type: raft.MsgPreVoteResp, Term: 1, Reject: true}
		}
		for _, from := range []uint64{2, 3} {
			no.From = from
			n.Hear(no)
		}
		n.Is(raft.StateFollower, no.Term)
		if ticks := untilItAsks(n, 19); ticks > 19 || ticks < 10 {
			r.Broken("the next campaign after 10 to 19 ticks", fmt.Sprintf("after %d (20: none)", ticks))
		}
	}
}
