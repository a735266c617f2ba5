package stage2aa_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// The first act in office (§5.2, §8).
func TestLeaderOpensItsTerm(t *testing.T) {
	r := begin(t, office)
	conf := raft.ConfState{Voters: voters(3), Learners: []uint64{4}}
	n := r.start(1, diskOf(conf, 1, 1), plainVotes)
	n.campaign()
	ms := n.step(vote(3, 2, true))
	n.is(raft.StateLeader, 2)
	if n.Lead() != 1 {
		r.broken("a leader that knows who leads", n.where())
	}
	ents, err := n.disk.Entries(3, 4, 1<<20)
	if err != nil || len(ents) != 1 || ents[0].Term != 2 || ents[0].Type != raft.EntryNormal || len(ents[0].Data) > 0 {
		r.broken("the leader's log goes on with an empty entry 3 of term 2", fmt.Sprintf("entries %v, %v", ents, err))
	}
	if last := n.Status().LastIndex; last != 3 {
		r.broken("one entry opens the term", n.where())
	}
	for _, to := range []uint64{2, 3, 4} {
		if len(find(ms, raft.MsgApp, to)) == 0 {
			r.broken(fmt.Sprintf("a MsgApp to member %d: it shall know its leader, and have the entry", to), spoken(ms))
		}
	}
}

// What an earlier term knew of the followers may be wrong by now (§5.3).
func TestNewLeaderBelievesNothingOld(t *testing.T) {
	r := begin(t, office)
	n := r.fresh(1, 3, plainVotes)
	n.campaign()
	n.step(vote(3, 1, true), raft.Message{Type: raft.MsgAppResp, From: 3, Term: 1, Index: 1})
	n.step(heartbeat(2, 2))
	n.is(raft.StateFollower, 2)
	n.campaign()
	n.step(vote(2, 3, true))
	n.is(raft.StateLeader, 3)
	for _, p := range n.Status().Progress {
		if p.ID != 1 && (p.Match != 0 || p.Next < 1) {
			r.broken("of a member that has not answered in this term nothing is known to match",
				fmt.Sprintf("node %d: match %d, next %d", p.ID, p.Match, p.Next))
		}
	}
}

// A cluster elects one leader, and all know it.
func TestClusterElectsOneLeader(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		for _, opts := range [][]option{nil, {plainVotes}} {
			c := begin(t, progress).cluster(size, opts...)
			c.tick(100)
			if got := c.leaders(); len(got) != 1 {
				c.broken("one leader after 100 ticks", fmt.Sprintf("%d\n%s", len(got), c.where()))
			}
			lead := c.leaders()[0]
			for _, n := range c.nodes {
				if n.Lead() != lead.id || n.Term() != lead.Term() {
					c.broken(fmt.Sprintf("all follow node %d", lead.id), c.where())
				}
			}
			term := lead.Term()
			c.tick(100)
			lead.is(raft.StateLeader, term)
		}
	}
}

// The leader is gone: the others elect a new one, in a later term.
func TestNewLeaderReplacesALostOne(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		c := begin(t, progress).cluster(3, opts...)
		c.elect(1)
		c.tick(5)
		c.away = []uint64{1}
		c.tick(200)
		got := c.leaders()
		if len(got) != 1 || got[0].Term() < 2 {
			c.broken("node 1 was cut off: one of the others leads a later term", c.where())
		}
		c.away = nil
		c.tick(50)
		if got := c.leaders(); len(got) != 1 || c.nodes[0].Lead() != got[0].id {
			c.broken("node 1 is back: all follow one leader", c.where())
		}
	}
}

// Two candidates, one vote each, again and again: chance ends it (§5.2).
func TestSplitVotesEnd(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		r := begin(t, progress)
		own := func(cfg *raft.Config) { cfg.Rand = rand.New(rand.NewPCG(seed, cfg.ID)) }
		c := r.cluster(2, plainVotes, own)
		c.settle(append(c.nodes[0].campaign(), c.nodes[1].campaign()...)...)
		if len(c.leaders()) > 0 {
			oneVote.Broken(t, lines(r.steps), "two candidates of one term have one vote each, and none wins", c.where())
		}
		c.tick(300)
		if got := c.leaders(); len(got) != 1 {
			r.broken("after a split vote, one leader within 300 ticks", c.where())
		}
	}
}

// A node that was cut off comes back, and nobody notices (dissertation §9.6).
func TestReturningNodeDisturbsNobody(t *testing.T) {
	c := begin(t, preVote).cluster(3)
	n := c.elect(1)
	c.away = []uint64{3}
	c.tick(200)
	if term := c.nodes[2].Term(); term != 1 {
		c.broken("a node that nobody answers stays in term 1, however often it asks", c.nodes[2].where())
	}
	c.away = nil
	c.tick(20)
	n.is(raft.StateLeader, 1)
	if c.nodes[2].Lead() != 1 {
		c.broken("the node that is back follows node 1", c.where())
	}
}

// A node in a later term whose log is too old must not keep the others from having a leader.
func TestUnfitCandidateIsFreed(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		c := begin(t, progress).cluster(3, opts...)
		c.elect(1)
		c.tick(3)
		late := diskOf(raft.ConfState{Voters: voters(3)})
		late.SetHardState(raft.HardState{Term: 9})
		c.nodes[2] = c.start(3, late, opts...)
		c.tick(150)
		if got := c.leaders(); len(got) != 1 || got[0].id == 3 || c.nodes[2].Lead() != got[0].id {
			c.broken("node 3, in term 9 with an empty log, follows node 1 or 2", c.where())
		}
	}
}

// broke translates what rafttest finds.
var broke = map[string]string{
	"election-safety":      oneLeader.Message("a cluster under faults", "at most one leader in each term", "two"),
	"monotone":             terms.Message("a cluster under faults", "terms that never fall", "one that fell"),
	"persist-before-send":  oneVote.Message("a cluster under faults", "votes and terms durable before they are sent", "not so"),
	"leader-completeness":  upToDate.Message("a cluster under faults", "leaders that have all that was committed", "not so"),
	"state-machine-safety": upToDate.Message("a cluster under faults", "all nodes apply the same", "not so"),
	"liveness":             progress.Message("a cluster under faults, then healed", "progress", "none"),
}

// Everything at once: delay, loss, repetition, partitions, crashes, restarts.
func TestElectionsUnderFaults(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Name: "three nodes", Seeds: 30, Rules: broke,
		Must: []string{"crash", "partition", "message repeated", "stepped down"}})
	rafttest.Seeds(t, rafttest.World{Name: "five nodes, no pre-vote", Seeds: 30, Rules: broke,
		Options: rafttest.Options{Nodes: 5, Config: raft.Config{DisablePreVote: true, DisableCheckQuorum: true}},
		Must:    []string{"crash", "one-way cut", "stepped down"}})
}

// Restarts within one term are where votes get lost.
func TestElectionsUnderRestarts(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 30, Rules: broke, Must: []string{"crash"},
		Options: rafttest.Options{Favour: rafttest.FavourRestarts, Config: raft.Config{DisablePreVote: true}}})
}
