package stage2aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
)

// One vote in a term, and the same again if the answer was lost (figure 2, RequestVote).
func TestOneVoteInATerm(t *testing.T) {
	r := begin(t, oneVote)
	n := r.Fresh(1, upTo(3))
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
		if got := votes(n, raft.MsgVote, ask.from, ask.term, 0, 0); got != ask.want {
			r.Broken(fmt.Sprintf("granted: %v, for %s", ask.want, ask.why), fmt.Sprintf("granted: %v", got))
		}
	}
}

func TestCandidateVotesForNobodyElse(t *testing.T) {
	r := begin(t, oneVote)
	n := r.Fresh(1, upTo(3), plainVotes)
	n.Campaigns()
	if votes(n, raft.MsgVote, 2, 1, 5, 1) {
		r.Broken("a candidate has given its vote of term 1 to itself", "it gave it to node 2 as well")
	}
	n.Is(raft.StateCandidate, 1)
}

// Who knows the leader of a term gives no vote in it, even if it voted for nobody.
func TestTermThatHasALeaderNeedsNoVote(t *testing.T) {
	r := begin(t, oneVote)
	n := r.Fresh(1, upTo(3), stubborn)
	n.Hear(heartbeat(2, 3))
	if votes(n, raft.MsgVote, 3, 3, 9, 3) {
		r.Broken("no vote in term 3, which node 2 leads", "granted")
	}
}

// The vote is on disk before it is told; drain checks the order, here the crash comes.
func TestVoteSurvivesARestart(t *testing.T) {
	r := begin(t, oneVote)
	n := r.Fresh(1, upTo(3))
	if !votes(n, raft.MsgVote, 2, 4, 0, 0) {
		r.Broken("the vote for the first who asks", "refused")
	}
	n = n.Restart()
	if votes(n, raft.MsgVote, 3, 4, 9, 3) {
		r.Broken("the vote of term 4 is still node 2's", "node 3 got it as well")
	}
	if !votes(n, raft.MsgVote, 2, 4, 0, 0) {
		r.Broken("node 2 is told again that it has the vote", "refused")
	}
	n = r.Fresh(1, upTo(3), plainVotes)
	n.Campaigns()
	n = n.Restart()
	if votes(n, raft.MsgVote, 2, 1, 9, 1) {
		r.Broken("a candidate's vote for itself survives as well", "node 2 got it")
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
			n := r.Start(1, logOf(upTo(3), 1, 1, 2))
			if got := votes(n, kind, 2, 5, tt.index, tt.term); got != tt.want {
				r.Broken(fmt.Sprintf("granted: %v. Ours ends at 3/2, the candidate's at %d/%d: %s", tt.want, tt.index, tt.term,
					tt.why), fmt.Sprintf("granted: %v", got))
			}
			if kind == raft.MsgVote && n.Term() != 5 {
				terms.Broken(t, r.Record(), "term 5, granted or not", n.Where())
			}
		}
	}
}

func TestStaleCandidateIsRefused(t *testing.T) {
	r := begin(t, terms)
	disk := logOf(upTo(3), 1, 1)
	disk.SetHardState(raft.HardState{Term: 4})
	n := r.Start(1, disk)
	ms := n.Hear(raft.Message{Type: raft.MsgVote, From: 2, Term: 3, Index: 9, LogTerm: 1})
	for _, m := range find(ms, raft.MsgVoteResp, 2) {
		if !m.Reject || m.Term != 4 {
			r.Broken("a candidate of term 3 is refused by a node in term 4, and told the term", spoken(ms))
		}
	}
	if h := n.Status().HardState; h.Term != 4 || h.Vote != raft.None {
		r.Broken("term 4, no vote given", n.Where())
	}
}

func TestEarlierTermsLeaderIsNotFollowed(t *testing.T) {
	r := begin(t, terms)
	n := r.Start(1, logOf(upTo(3), 1, 4))
	n.Hear(heartbeat(2, 3))
	n.Hear(raft.Message{Type: raft.MsgApp, From: 2, Term: 3, Index: 1, LogTerm: 1, Commit: 2,
		Entries: []raft.Entry{{Term: 3, Index: 2}}})
	if n.Lead() != raft.None || n.Term() != 4 || n.Status().LastTerm != 4 {
		r.Broken("in term 4, the leader of term 3 is not followed", n.Where())
	}
	asked := false
	for range 19 {
		n.Tick()
		asked = asked || len(asks(n.Drain())) > 0
		n.Hear(heartbeat(2, 3))
	}
	if !asked {
		r.Broken("heartbeats of an earlier term do not put an election off", "no campaign within 19 ticks")
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
				n = r.Fresh(1, upTo(3))
			case raft.StatePreCandidate:
				n = r.Fresh(1, upTo(3))
				n.Campaigns()
			case raft.StateCandidate:
				n = r.Fresh(1, upTo(3), plainVotes)
				n.Campaigns()
			default:
				n = r.Cluster(upTo(3)).Elect(1)
			}
			n.Hear(tt.m)
			if n.Role() != raft.StateFollower || n.Term() != 7 || n.Lead() != tt.lead {
				r.Broken(fmt.Sprintf("a %v becomes a follower of term 7 with leader %d", role, tt.lead), n.Where())
			}
			if n.Status().HardState.Vote != raft.None {
				r.Broken("a new term begins without a vote", n.Where())
			}
		}
	}
}

// Terms are compared, and an equal one deposes nobody.
func TestVoteRequestOfTheSameTermDeposesNobody(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes, stubborn}} {
		c := begin(t, stepDown).Cluster(upTo(3), opts...)
		n := c.Elect(1)
		if votes(n, raft.MsgVote, 2, 1, 9, 1) {
			c.Broken("the leader of term 1 gives no vote in it", "granted")
		}
		n.Is(raft.StateLeader, 1)
	}
}

// A leader that works is not to be disturbed (§6; dissertation §4.2.3).
func TestWhoHearsFromALeaderHelpsNobody(t *testing.T) {
	r := begin(t, sticky)
	n := r.Fresh(1, upTo(3))
	n.Hear(heartbeat(2, 1))
	if votes(n, raft.MsgPreVote, 3, 2, 9, 1) {
		r.Broken("no pre-vote against node 2, which leads and was just heard", "granted")
	}
	n.Ticks(9)
	if votes(n, raft.MsgVote, 3, 9, 9, 1) || n.Term() != 1 {
		r.Broken("9 ticks after the leader's word: no vote, and not even a look at the candidate's term", n.Where())
	}
	c := begin(t, sticky).Cluster(upTo(3))
	lead := c.Elect(1)
	if votes(lead, raft.MsgVote, 3, 9, 9, 1) || lead.Term() != 1 {
		c.Broken("a leader sticks to itself", lead.Where())
	}
	if votes(lead, raft.MsgPreVote, 3, 2, 9, 1) {
		c.Broken("a leader grants no pre-vote", "granted")
	}
}

func TestStickinessEnds(t *testing.T) {
	r := begin(t, sticky)
	for _, kind := range []raft.MessageType{raft.MsgPreVote, raft.MsgVote} {
		// a learner: it does not campaign meanwhile
		n := r.Start(4, logOf(raft.ConfState{Voters: voters(3), Learners: []uint64{4}}))
		n.Hear(heartbeat(2, 1))
		n.Ticks(20)
		if !votes(n, kind, 3, 9, 9, 1) {
			r.Broken("20 ticks after the leader's last word: "+kind.String()+" is granted", "refused")
		}
	}
	n := r.Fresh(1, upTo(3), stubborn)
	n.Hear(heartbeat(2, 1))
	if !votes(n, raft.MsgVote, 3, 9, 9, 1) {
		r.Broken("with DisableCheckQuorum nobody sticks: the vote of term 9 is granted", "refused")
	}
}

// A transfer's candidate is wanted by the leader itself.
func TestForceBreaksStickiness(t *testing.T) {
	r := begin(t, sticky)
	n := r.Fresh(1, upTo(3))
	n.Hear(heartbeat(2, 1))
	ms := n.Hear(raft.Message{Type: raft.MsgVote, From: 3, Term: 2, Force: true})
	if m := answer(n, ms, raft.MsgVoteResp, 3); m.Reject || n.Term() != 2 {
		r.Broken("a vote of term 2: the leader itself wished for the election", spoken(ms))
	}
}
