package stage2aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
)

// One vote in a term, and the same again if the answer was lost (figure 2, RequestVote).
func TestOneVoteInATerm(t *testing.T) {
	r := begin(t, oneVote)
	n := r.fresh(1, 3)
	for _, ask := range []struct {
		from, term uint64
		want       bool
		why        string
	}{
		{2, 1, true, "nobody has the vote of term 1 yet"},
		{3, 1, false, "the vote of term 1 is node 2's"},
		{2, 1, true, "node 2 has it; its answer may have been lost"},
		{3, 2, true, "a new term, a new vote"},
		{2, 2, false, "the vote of term 2 is node 3's"},
		{2, 1, false, "term 1 is over"},
	} {
		if got := n.votes(raft.MsgVote, ask.from, ask.term, 0, 0); got != ask.want {
			r.broken(fmt.Sprintf("granted: %v, for %s", ask.want, ask.why), fmt.Sprintf("granted: %v", got))
		}
	}
}

func TestCandidateVotesForNobodyElse(t *testing.T) {
	r := begin(t, oneVote)
	n := r.fresh(1, 3, plainVotes)
	n.campaign()
	if n.votes(raft.MsgVote, 2, 1, 5, 1) {
		r.broken("a candidate has given its vote of term 1 to itself", "it gave it to node 2 as well")
	}
	n.is(raft.StateCandidate, 1)
}

// Who knows the leader of a term gives no vote in it, even if it voted for nobody.
func TestTermThatHasALeaderNeedsNoVote(t *testing.T) {
	r := begin(t, oneVote)
	n := r.fresh(1, 3, stubborn)
	n.step(heartbeat(2, 3))
	if n.votes(raft.MsgVote, 3, 3, 9, 3) {
		r.broken("no vote in term 3, which node 2 leads", "granted")
	}
}

// The vote is on disk before it is told; drain checks the order, here the crash comes.
func TestVoteSurvivesARestart(t *testing.T) {
	r := begin(t, oneVote)
	n := r.fresh(1, 3)
	if !n.votes(raft.MsgVote, 2, 4, 0, 0) {
		r.broken("the vote for the first who asks", "refused")
	}
	n = n.restart()
	if n.votes(raft.MsgVote, 3, 4, 9, 3) {
		r.broken("the vote of term 4 is still node 2's", "node 3 got it as well")
	}
	if !n.votes(raft.MsgVote, 2, 4, 0, 0) {
		r.broken("node 2 is told again that it has the vote", "refused")
	}
	n = r.fresh(1, 3, plainVotes)
	n.campaign()
	n = n.restart()
	if n.votes(raft.MsgVote, 2, 1, 9, 1) {
		r.broken("a candidate's vote for itself survives as well", "node 2 got it")
	}
}

// The whole of §5.4.1: the later last term wins; in equal terms the longer log.
func TestVoteNeedsAnUpToDateLog(t *testing.T) {
	tests := []struct {
		index, term uint64
		want        bool
		why         string
	}{
		{3, 2, true, "the same end"},
		{4, 2, true, "longer, last term equal"},
		{2, 2, false, "shorter, last term equal"},
		{1, 3, true, "shorter, but of a later last term"},
		{3, 1, false, "as long, but of an earlier last term"},
		{9, 1, false, "longer, but of an earlier last term"},
		{0, 0, false, "empty"},
	}
	for _, kind := range []raft.MessageType{raft.MsgVote, raft.MsgPreVote} {
		for _, tt := range tests {
			r := begin(t, upToDate)
			n := r.start(1, diskOf(raft.ConfState{Voters: voters(3)}, 1, 1, 2))
			if got := n.votes(kind, 2, 5, tt.index, tt.term); got != tt.want {
				r.broken(fmt.Sprintf("granted: %v. Ours ends at 3/2, the candidate's at %d/%d: %s", tt.want, tt.index, tt.term,
					tt.why), fmt.Sprintf("granted: %v", got))
			}
			if kind == raft.MsgVote && n.Term() != 5 {
				terms.Broken(t, lines(r.steps), "term 5, granted or not", n.where())
			}
		}
	}
}

func TestStaleCandidateIsRefused(t *testing.T) {
	r := begin(t, terms)
	disk := diskOf(raft.ConfState{Voters: voters(3)}, 1, 1)
	disk.SetHardState(raft.HardState{Term: 4})
	n := r.start(1, disk)
	ms := n.step(raft.Message{Type: raft.MsgVote, From: 2, Term: 3, Index: 9, LogTerm: 1})
	for _, m := range find(ms, raft.MsgVoteResp, 2) {
		if !m.Reject || m.Term != 4 {
			r.broken("a candidate of term 3 is refused by a node in term 4, and told the term", spoken(ms))
		}
	}
	if h := n.Status().HardState; h.Term != 4 || h.Vote != raft.None {
		r.broken("term 4, no vote given", n.where())
	}
}

func TestEarlierTermsLeaderIsNotFollowed(t *testing.T) {
	r := begin(t, terms)
	n := r.start(1, diskOf(raft.ConfState{Voters: voters(3)}, 1, 4))
	n.step(heartbeat(2, 3))
	n.step(raft.Message{Type: raft.MsgApp, From: 2, Term: 3, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []raft.Entry{{Term: 3, Index: 2}}})
	if n.Lead() != raft.None || n.Term() != 4 || n.Status().LastTerm != 4 {
		r.broken("in term 4, the leader of term 3 is not followed", n.where())
	}
	asked := false
	for range 19 {
		n.Tick()
		asked = asked || len(asks(n.drain())) > 0
		n.step(heartbeat(2, 3))
	}
	if !asked {
		r.broken("heartbeats of an earlier term do not put an election off", "no campaign within 19 ticks")
	}
}

// Whoever hears of a later term enters it (§5.1), whatever it was.
func TestLaterTermMakesAFollower(t *testing.T) {
	messages := []struct {
		m    raft.Message
		lead uint64
	}{
		{heartbeat(2, 7), 2},
		{raft.Message{Type: raft.MsgApp, From: 2, Term: 7}, 2},
		{raft.Message{Type: raft.MsgAppResp, From: 2, Term: 7, Reject: true}, raft.None},
		{vote(2, 7, false), raft.None},
		{raft.Message{Type: raft.MsgPreVoteResp, From: 2, Term: 7, Reject: true}, raft.None},
		{raft.Message{Type: raft.MsgHeartbeatResp, From: 2, Term: 7}, raft.None},
	}
	for _, role := range []raft.StateType{raft.StateFollower, raft.StatePreCandidate, raft.StateCandidate,
		raft.StateLeader} {
		for _, tt := range messages {
			r := begin(t, terms)
			var n *node
			switch role {
			case raft.StateFollower:
				n = r.fresh(1, 3)
			case raft.StatePreCandidate:
				n = r.fresh(1, 3)
				n.campaign()
			case raft.StateCandidate:
				n = r.fresh(1, 3, plainVotes)
				n.campaign()
			default:
				n = r.cluster(3).elect(1)
			}
			n.step(tt.m)
			if n.role() != raft.StateFollower || n.Term() != 7 || n.Lead() != tt.lead {
				r.broken(fmt.Sprintf("a %v becomes a follower of term 7 with leader %d", role, tt.lead), n.where())
			}
			if n.Status().HardState.Vote != raft.None {
				r.broken("a new term begins without a vote", n.where())
			}
		}
	}
}

// Terms are compared, and an equal one deposes nobody.
func TestVoteRequestOfTheSameTermDeposesNobody(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes, stubborn}} {
		c := begin(t, stepDown).cluster(3, opts...)
		n := c.elect(1)
		if n.votes(raft.MsgVote, 2, 1, 9, 1) {
			c.broken("the leader of term 1 gives no vote in it", "granted")
		}
		n.is(raft.StateLeader, 1)
	}
}

// A leader that works is not to be disturbed (§6; dissertation §4.2.3).
func TestWhoHearsFromALeaderHelpsNobody(t *testing.T) {
	r := begin(t, sticky)
	n := r.fresh(1, 3)
	n.step(heartbeat(2, 1))
	if n.votes(raft.MsgPreVote, 3, 2, 9, 1) {
		r.broken("no pre-vote against node 2, which leads and was just heard", "granted")
	}
	n.tick(9)
	if n.votes(raft.MsgVote, 3, 9, 9, 1) || n.Term() != 1 {
		r.broken("9 ticks after the leader's word: no vote, and not even a look at the candidate's term", n.where())
	}
	c := begin(t, sticky).cluster(3)
	lead := c.elect(1)
	if lead.votes(raft.MsgVote, 3, 9, 9, 1) || lead.Term() != 1 {
		c.broken("a leader sticks to itself", lead.where())
	}
	if lead.votes(raft.MsgPreVote, 3, 2, 9, 1) {
		c.broken("a leader grants no pre-vote", "granted")
	}
}

func TestStickinessEnds(t *testing.T) {
	r := begin(t, sticky)
	for _, kind := range []raft.MessageType{raft.MsgPreVote, raft.MsgVote} {
		// a learner: it does not campaign meanwhile
		n := r.start(4, diskOf(raft.ConfState{Voters: voters(3), Learners: []uint64{4}}))
		n.step(heartbeat(2, 1))
		n.tick(20)
		if !n.votes(kind, 3, 9, 9, 1) {
			r.broken("20 ticks after the leader's last word: "+kind.String()+" is granted", "refused")
		}
	}
	n := r.fresh(1, 3, stubborn)
	n.step(heartbeat(2, 1))
	if !n.votes(raft.MsgVote, 3, 9, 9, 1) {
		r.broken("with DisableCheckQuorum nobody sticks: the vote of term 9 is granted", "refused")
	}
}

// A transfer's candidate is wanted by the leader itself.
func TestForceBreaksStickiness(t *testing.T) {
	r := begin(t, sticky)
	n := r.fresh(1, 3)
	n.step(heartbeat(2, 1))
	ms := n.step(raft.Message{Type: raft.MsgVote, From: 3, Term: 2, Force: true})
	if m := n.answer(ms, raft.MsgVoteResp, 3); m.Reject || n.Term() != 2 {
		r.broken("a vote of term 2: the leader itself wished for the election", spoken(ms))
	}
}
