package stage2aa_test

import (
	"fmt"
	"testing"

	"tinykv/raft"
)

// The range of the timeout (§5.2).
func TestElectionTimeoutLiesInItsRange(t *testing.T) {
	seen := map[int]bool{}
	for id := uint64(1); id <= 80; id++ {
		r := begin(t, timeouts)
		n := r.Start(id, logOf(raft.ConfState{Voters: []uint64{id, 500, 501}}))
		ticks := untilItAsks(n, 40)
		r.Say("nobody is heard of for %d ticks", ticks)
		if ticks < 10 || ticks > 19 {
			r.Broken("with ElectionTicks 10, a campaign after 10 to 19 ticks", fmt.Sprintf("after %d (41: never)", ticks))
		}
		seen[ticks] = true
	}
	if len(seen) < 6 {
		timeouts.Broken(t, "80 nodes with different sources of chance wait for their first election",
			"waits of most lengths from 10 to 19", fmt.Sprintf("only these: %v", seen),
			"note: nodes that wait equally long split the vote for ever")
	}
}

// One node's waits differ from each other, and each is drawn once (§5.2).
func TestElectionTimeoutIsDrawnAnew(t *testing.T) {
	for _, opts := range [][]option{{manyTicks}, {manyTicks, plainVotes}} {
		r := begin(t, timeouts)
		n := r.Fresh(1, upTo(3), opts...)
		short, long := 1000, 0
		for range 60 {
			ticks := untilItAsks(n, 400)
			if ticks < 100 || ticks > 199 {
				r.Broken("with ElectionTicks 100, each wait is of 100 to 199 ticks", fmt.Sprintf("a wait of %d ticks", ticks))
			}
			short, long = min(short, ticks), max(long, ticks)
		}
		r.Done = []string{"a node whose questions nobody answers campaigns 60 times"}
		if short > 135 || long < 165 {
			r.Broken("waits all over the range from 100 to 199", fmt.Sprintf("all of them between %d and %d", short, long),
				"a length drawn once for ever, or anew at each tick, lies in a corner of the range")
		}
	}
}

// What begins the wait again, and what does not (§5.2).
func TestWordOfTheLeaderPutsTheElectionOff(t *testing.T) {
	r := begin(t, timeouts)
	n := r.Fresh(1, upTo(3))
	for i := range 50 {
		ms := append(n.Ticks(9), n.Hear(heartbeat(2, 1))...)
		if got := asks(ms); len(got) > 0 {
			r.Broken("no campaign while node 2, the leader of term 1, is heard every 9 ticks",
				fmt.Sprintf("after %d heartbeats: %s", i, spoken(got)))
		}
	}
}

func TestGivenVotePutsTheElectionOff(t *testing.T) {
	r := begin(t, timeouts)
	n := r.Fresh(1, upTo(5), plainVotes, stubborn)
	for term := uint64(1); term <= 30; term++ {
		n.Hear(vote(2, term, false)) // the term begins; its vote is still free
		n.Ticks(9)
		if !votes(n, raft.MsgVote, 2+term%4, term, 0, 0) {
			r.Broken("the free vote of a term for the first candidate", "refused")
		}
		if got := asks(n.Ticks(9)); len(got) > 0 {
			r.Broken("no campaign within 10 ticks of a vote that was given", spoken(got))
		}
	}
}

// A candidate whose log is too old must not keep one from campaigning whose log is not.
func TestRefusedVoteDoesNotPutTheElectionOff(t *testing.T) {
	r := begin(t, timeouts)
	n := r.Start(1, logOf(upTo(3), 1, 1), plainVotes)
	n.Hear(vote(2, 2, false)) // all that happens in term 2
	for i := range 19 {
		n.Tick()
		if len(asks(n.Drain())) > 0 {
			return
		}
		votes(n, raft.MsgVote, 3, 2, 1, 1)
		if i == 18 {
			r.Broken("a campaign within 19 ticks, although node 3 asks for votes it can't be given", "no campaign")
		}
	}
}

// A node alone is its own majority.
func TestAloneElectsItself(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		r := begin(t, progress)
		n := r.Fresh(1, upTo(1), opts...)
		n.Ticks(19)
		n.Is(raft.StateLeader, 1)
		if s := n.Status(); s.HardState.Vote != 1 {
			r.Broken("a leader that has voted for itself", n.Where())
		}
	}
}

// Who may not campaign.
func TestOnlyVotersCampaign(t *testing.T) {
	r := begin(t, electable)
	n := r.Start(4, logOf(raft.ConfState{Voters: voters(3), Learners: []uint64{4}}))
	if ms := asks(n.Ticks(60)); len(ms) > 0 {
		r.Broken("a learner never campaigns", spoken(ms))
	}
	if votes(n, raft.MsgVote, 1, 1, 0, 0) == false {
		r.Broken("a learner gives its vote: it may be a voter by now and not know it (§6)", "refused")
	}
}

func TestLeaderDoesNotCampaign(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		c := begin(t, electable).Cluster(upTo(3), opts...)
		n := c.Elect(1)
		term := n.Term()
		if ms := asks(n.Campaigns()); len(ms) > 0 {
			c.Broken("a leader that is asked to campaign does nothing", spoken(ms))
		}
		n.Is(raft.StateLeader, term)
		c.Tick(50)
		n.Is(raft.StateLeader, term)
	}
}
