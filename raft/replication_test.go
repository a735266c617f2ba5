package raft_test

import (
	"slices"
	"testing"
)

// Three nodes elect a leader and agree on a log: the whole of Raft in one test (§5).
func TestThreeNodesElectAndReplicate(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.elect(1)
	for _, s := range []string{"a", "b", "c"} {
		leader.must(leader.Propose([]byte(s)))
		c.settle()
	}
	c.tick(1)
	for _, p := range c.peers {
		if got := p.payloads(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("node %d applied %q", p.cfg.ID, got)
		}
	}
}
