package stage2ab_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
	"tinykv/raft/rafttest"
)

func linear(c *raft.Config) { c.LinearBacktrack = true }

// pair is a cluster of three: node 1 with one log, node 2 with another, node 3 empty. Node 1 is elected.
func pair(d *desk, mine, theirs []uint64, opts ...option) *desk {
	d.T.Helper()
	own := logOf(upTo(3), mine...)
	own.SetHardState(raft.HardState{Term: max(slices.Max(mine), slices.Max(append(theirs, 1)))})
	d.Start(1, own, opts...)
	d.Start(2, logOf(upTo(3), theirs...), opts...)
	d.Start(3, logOf(upTo(3)), opts...)
	d.Elect(1)
	return d
}

// Whatever a follower's log is, it ends up as the leader's (figure 7).
func TestFigure7(t *testing.T) {
	mine := []uint64{1, 1, 1, 4, 4, 5, 5, 6, 6, 6}
	for name, theirs := range map[string][]uint64{
		"a": {1, 1, 1, 4, 4, 5, 5, 6, 6},
		"b": {1, 1, 1, 4},
		"c": {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
		"d": {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
		"e": {1, 1, 1, 4, 4, 4, 4},
		"f": {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
	} {
		for _, opts := range [][]option{nil, {linear}} {
			r := begin(t, converge)
			r.Say("figure 7 (%s): a follower with the terms %v", name, theirs)
			c := pair(r, mine, theirs, opts...)
			c.Tick(3)
			want := append(slices.Clone(mine), c.Nodes[0].Term())
			for _, n := range c.Nodes {
				hasLog(n, want...)
				committed(n, uint64(len(want)))
			}
		}
	}
}

// A hundred entries of the wrong term are one round trip (end of §5.3).
func TestRejectionsSkipWholeTerms(t *testing.T) {
	var mine, theirs []uint64
	for term, n := range map[uint64]int{1: 100} {
		for range n {
			mine, theirs = append(mine, term), append(theirs, term)
		}
	}
	for range 100 {
		mine, theirs = append(mine, 4), append(theirs, 2)
	}
	for range 100 {
		theirs = append(theirs, 3)
	}
	r := begin(t, converge)
	c := pair(r, mine, theirs)
	rejected := slices.DeleteFunc(c.SentOf(raft.MsgAppResp), func(m raft.Message) bool { return !m.Reject })
	if n := len(rejected); n > 6 {
		r.Broken("a log that diverged in two terms is found out by a handful of rejections", fmt.Sprintf("%d of them", n))
	}
	hasLog(c.Nodes[1], append(mine, 5)...)
}

// The same in small steps still gets there.
func TestLinearBacktrackStepsByOne(t *testing.T) {
	r := begin(t, converge)
	c := pair(r, []uint64{1, 1, 1, 1, 4, 4}, []uint64{1, 1, 2, 2, 2, 2}, linear)
	hasLog(c.Nodes[1], 1, 1, 1, 1, 4, 4, 5)
}

// Three nodes agree: the whole of Raft in one test (§5).
func TestThreeNodesAgree(t *testing.T) {
	c := begin(t, agree).Cluster(upTo(3))
	n := c.Elect(1)
	want := []string{"a", "b", "c", "d"}
	for _, s := range want {
		n.Proposes(s)
		c.Run()
	}
	c.Tick(2)
	for _, n := range c.Nodes {
		if !slices.Equal(n.Payloads(), want) {
			c.Broken(fmt.Sprintf("node %d applied %v", n.ID, want), fmt.Sprint(n.Payloads()))
		}
	}
}

// A leader that was cut off comes back with entries that nobody else has.
func TestDeposedLeadersEntriesAreReplaced(t *testing.T) {
	c := begin(t, agree).Cluster(upTo(3))
	old := c.Elect(1)
	c.Isolate(1)
	old.Proposes("lost 1")
	old.Proposes("lost 2")
	c.Run()
	committed(old, 1)
	c.Tick(60, 2, 3)
	var lead *node
	for _, n := range c.Nodes[1:] {
		if n.Role() == raft.StateLeader {
			lead = n
		}
	}
	if lead == nil {
		c.Broken("node 2 or 3 leads", c.Where())
	}
	lead.Proposes("kept")
	c.Run()
	c.Heal()
	c.Tick(10)
	for _, n := range c.Nodes {
		if !slices.Equal(n.Payloads(), []string{"kept"}) {
			c.Broken(fmt.Sprintf("node %d applied kept, and nothing that only the old leader had", n.ID),
				fmt.Sprint(n.Payloads()))
		}
	}
}

// broke translates what rafttest finds.
var broke = map[string]string{
	"log-matching":         matching.Message("a cluster under faults", "equal entries at equal index and term", "not so"),
	"state-machine-safety": agree.Message("a cluster under faults", "all nodes apply the same", "not so"),
	"leader-completeness":  agree.Message("a cluster under faults", "leaders that have all that was committed", "not so"),
	"durable-quorum": quorum.Message("a cluster under faults", "what is committed is durable on a majority",
		"not so"),
	"monotone":            followerCommit.Message("a cluster under faults", "a commit index that never falls", "it fell"),
	"persist-before-send": vouched.Message("a cluster under faults", "durable before it is acknowledged", "not so"),
	"liveness":            progress.Message("a cluster under faults, then healed", "progress", "none"),
}

// Everything at once: delay, loss, repetition, partitions, crashes, restarts.
func TestReplicationUnderFaults(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Name: "three nodes", Seeds: 40, Rules: broke,
		Must: []string{"crash", "partition", "message repeated", "log truncated"}})
	rafttest.Seeds(t, rafttest.World{Name: "five nodes", Seeds: 25, Rules: broke,
		Options: rafttest.Options{Nodes: 5}, Must: []string{"crash", "log truncated"}})
}

func TestReplicationThroughNarrowWindows(t *testing.T) {
	rafttest.Seeds(t, rafttest.World{Seeds: 30, Rules: broke, Must: []string{"log truncated"},
		Options: rafttest.Options{Config: raft.Config{MaxInflightMessages: 1, MaxMessageBytes: 30, LinearBacktrack: true}}})
}
