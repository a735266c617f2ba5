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
	n := r.Start(1, logOf(conf, 1, 1), plainVotes)
	n.Campaigns()
	ms := n.Hear(vote(3, 2, true))
	n.Is(raft.StateLeader, 2)
	if n.Lead() != 1 {
		r.Broken("a leader that knows who leads", n.Where())
	}
	ents, err := n.Disk.Entries(3, 4, 1<<20)
	if err != nil || len(ents) != 1 || ents[0].Term != 2 || ents[0].Type != raft.EntryNormal || len(ents[0].Data) > 0 {
		r.Broken("the leader's log goes on with an empty entry 3 of term 2", fmt.Sprintf("entries %v, %v", ents, err))
	}
	if last := n.Status().LastIndex; last != 3 {
		r.Broken("one entry opens the term", n.Where())
	}
	for _, to := range []uint64{2, 3, 4} {
		if len(find(ms, raft.MsgApp, to)) == 0 {
			r.Broken(fmt.Sprintf("a MsgApp to member %d: it shall know its leader, and have the entry", to), spoken(ms))
		}
	}
}

// What an earlier term knew of the followers may be wrong by now (§5.3).
func TestNewLeaderBelievesNothingOld(t *testing.T) {
	r := begin(t, office)
	n := r.Fresh(1, upTo(3), plainVotes)
	n.Campaigns()
	n.Hear(vote(3, 1, true), raft.Message{Type: raft.MsgAppResp, From: 3, Term: 1, Index: 1})
	n.Hear(heartbeat(2, 2))
	n.Is(raft.StateFollower, 2)
	n.Campaigns()
	n.Hear(vote(2, 3, true))
	n.Is(raft.StateLeader, 3)
	for _, p := range n.Status().Progress {
		if p.ID != 1 && (p.Match != 0 || p.Next < 1) {
			r.Broken("of a member that has not answered in this term nothing is known to match",
				fmt.Sprintf("node %d: match %d, next %d", p.ID, p.Match, p.Next))
		}
	}
}

// A cluster elects one leader, and all know it.
func TestClusterElectsOneLeader(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		for _, opts := range [][]option{nil, {plainVotes}} {
			c := begin(t, progress).Cluster(upTo(size), opts...)
			c.Tick(100)
			if got := c.Leaders(); len(got) != 1 {
				c.Broken("one leader after 100 ticks", fmt.Sprintf("%d\n%s", len(got), c.Where()))
			}
			lead := c.Leaders()[0]
			for _, n := range c.Nodes {
				if n.Lead() != lead.ID || n.Term() != lead.Term() {
					c.Broken(fmt.Sprintf("all follow node %d", lead.ID), c.Where())
				}
			}
			term := lead.Term()
			c.Tick(100)
			lead.Is(raft.StateLeader, term)
		}
	}
}

// The leader is gone: the others elect a new one, in a later term.
func TestNewLeaderReplacesALostOne(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		c := begin(t, progress).Cluster(upTo(3), opts...)
		c.Elect(1)
		c.Tick(5)
		c.Isolate(1)
		c.Tick(200)
		got := c.Leaders()
		if len(got) != 1 || got[0].Term() < 2 {
			c.Broken("node 1 was cut off: one of the others leads a later term", c.Where())
		}
		c.Heal()
		c.Tick(50)
		if got := c.Leaders(); len(got) != 1 || c.Nodes[0].Lead() != got[0].ID {
			c.Broken("node 1 is back: all follow one leader", c.Where())
		}
	}
}

// Two candidates, one vote each, again and again: chance ends it (§5.2).
func TestSplitVotesEnd(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		r := begin(t, progress)
		own := func(cfg *raft.Config) { cfg.Rand = rand.New(rand.NewPCG(seed, cfg.ID)) }
		c := r.Cluster(upTo(2), plainVotes, own)
		c.Run(append(c.Nodes[0].Campaigns(), c.Nodes[1].Campaigns()...)...)
		if len(c.Leaders()) > 0 {
			oneVote.Broken(t, r.Record(), "two candidates of one term have one vote each, and none wins", c.Where())
		}
		c.Tick(300)
		if got := c.Leaders(); len(got) != 1 {
			r.Broken("after a split vote, one leader within 300 ticks", c.Where())
		}
	}
}

// A node that was cut off comes back, and nobody notices (dissertation §9.6).
func TestReturningNodeDisturbsNobody(t *testing.T) {
	c := begin(t, preVote).Cluster(upTo(3))
	n := c.Elect(1)
	c.Isolate(3)
	c.Tick(200)
	if term := c.Nodes[2].Term(); term != 1 {
		c.Broken("a node that nobody answers stays in term 1, however often it asks", c.Nodes[2].Where())
	}
	c.Heal()
	c.Tick(20)
	n.Is(raft.StateLeader, 1)
	if c.Nodes[2].Lead() != 1 {
		c.Broken("the node that is back follows node 1", c.Where())
	}
}

// A node in a later term whose log is too old must not keep the others from having a leader.
func TestUnfitCandidateIsFreed(t *testing.T) {
	for _, opts := range [][]option{nil, {plainVotes}} {
		c := begin(t, progress).Cluster(upTo(3), opts...)
		c.Elect(1)
		c.Tick(3)
		late := logOf(upTo(3))
		late.SetHardState(raft.HardState{Term: 9})
		c.Nodes[2] = c.Start(3, late, opts...)
		c.Tick(150)
		if got := c.Leaders(); len(got) != 1 || got[0].ID == 3 || c.Nodes[2].Lead() != got[0].ID {
			c.Broken("node 3, in term 9 with an empty log, follows node 1 or 2", c.Where())
		}
	}
}

// broke translates what rafttest finds.
var broke = map[string]string{
	"election-safety": oneLeader.Message("a cluster under faults", "at most one leader in each term", "two"),
	"monotone":        terms.Message("a cluster under faults", "terms that never fall", "one that fell"),
	"persist-before-send": oneVote.Message("a cluster under faults", "votes and terms durable before they are sent",
		"not so"),
	"leader-completeness": upToDate.Message("a cluster under faults", "leaders that have all that was committed",
		"not so"),
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
