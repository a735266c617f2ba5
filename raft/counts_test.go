package raft_test

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/raft"
)

// Exact counts: what an entry and a read cost in messages and allocations. They do not depend on the machine, so they
// are tests and not benchmarks. An allocation more than here is a regression that somebody should have wanted.

func (c *trio) propose(tb testing.TB, batch int, data []byte) {
	for range batch {
		if err := c.nodes[0].Propose(data); err != nil {
			tb.Fatal(err)
		}
	}
	c.pump()
}

// One entry at a time: an append and an acknowledgement for each follower. 64 before a Ready: the same for all of them.
func TestMessagesPerEntry(t *testing.T) {
	tests := []struct {
		name  string
		batch int
		opt   option
		want  int // messages for a batch
	}{
		{"one", 1, func(*raft.Config) {}, 4},
		{"sixty-four", 64, func(*raft.Config) {}, 4},
		{"one, eager commit", 1, func(c *raft.Config) { c.EagerCommit = true }, 8},
		{"sixty-four, eager append", 64, func(c *raft.Config) { c.EagerAppend = true }, 2*64 + 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newTrio(t, tt.opt)
			c.messages = 0
			for range 10 {
				c.propose(t, tt.batch, []byte("x"))
			}
			if c.messages != 10*tt.want {
				t.Errorf("%d messages for a batch, want %d", c.messages/10, tt.want)
			}
		})
	}
}

// Allocations of three nodes together, storage included.
func TestAllocationsPerEntry(t *testing.T) {
	for _, tt := range []struct {
		batch int
		max   float64 // for an entry
	}{{1, 4}, {64, 0.25}} {
		t.Run(fmt.Sprint(tt.batch), func(t *testing.T) {
			c := newTrio(t)
			data := make([]byte, 16)
			for range 100 {
				c.propose(t, tt.batch, data)
			}
			got := testing.AllocsPerRun(200, func() { c.propose(t, tt.batch, data) }) / float64(tt.batch)
			t.Logf("%.3f allocations an entry", got)
			if got > tt.max {
				t.Errorf("%.3f allocations an entry, at most %.3f", got, tt.max)
			}
		})
	}
}

// No payload is copied: what the followers apply lies where the client put it.
func TestPayloadIsNotCopied(t *testing.T) {
	c := newCluster(t, 3)
	data := []byte("payload")
	p := c.elect(1)
	p.must(p.Propose(data))
	c.tick(2)
	for _, q := range c.peers {
		if last := q.done[len(q.done)-1]; &last.Data[0] != &data[0] {
			t.Errorf("node %d has a copy", q.cfg.ID)
		}
	}
}

// 64 reads that wait together cost one round: two heartbeats and two answers. With a lease they cost nothing.
func TestMessagesPerRead(t *testing.T) {
	for _, tt := range []struct {
		mode raft.ReadMode
		want int
	}{{raft.ReadQuorum, 4}, {raft.ReadLease, 0}} {
		c := newTrio(t, func(cfg *raft.Config) { cfg.ReadMode = tt.mode })
		c.nodes[0].Tick()
		c.pump()
		c.messages, c.reads = 0, 0
		for id := range uint64(64) {
			if err := c.nodes[0].ReadIndex(id); err != nil {
				t.Fatal(err)
			}
		}
		c.pump()
		if c.messages != tt.want || c.reads != 64 {
			t.Errorf("mode %d: %d messages for %d reads", tt.mode, c.messages, c.reads)
		}
	}
}

// An idle group costs a heartbeat and its answer for each follower and HeartbeatTicks, and hardly any memory.
func TestIdleGroup(t *testing.T) {
	c := newTrio(t, func(cfg *raft.Config) { cfg.HeartbeatTicks = 2 })
	c.messages = 0
	for range 100 {
		for _, n := range c.nodes {
			n.Tick()
		}
		c.pump()
	}
	if c.messages != 50*4 {
		t.Errorf("%d messages in 100 ticks", c.messages)
	}
}

// After the leader is gone another is found within a little more than one election timeout, in nearly all cases: with
// pre-votes that yield to each other a split vote is rare.
func TestFailOverTicks(t *testing.T) {
	var ticks []int
	for seed := range uint64(300) {
		ticks = append(ticks, failOver(t, seed))
	}
	slices.Sort(ticks)
	p50, p99 := ticks[150], ticks[297]
	t.Logf("p50 %d, p99 %d, max %d ticks", p50, p99, ticks[299])
	if p50 > 15 || p99 > 25 {
		t.Errorf("p50 %d, p99 %d ticks", p50, p99)
	}
}

// failOver counts the ticks until a survivor leads. Messages arrive within the tick.
func failOver(t *testing.T, seed uint64) int {
	c := newTrio(t, seeded(seed))
	for n := 1; n < 1000; n++ {
		for i := 1; i < 3; i++ {
			c.nodes[i].Tick()
		}
		for busy := true; busy; {
			busy = false
			for i := 1; i < 3; i++ {
				for c.nodes[i].HasReady() {
					c.do(i, c.nodes[i])
				}
			}
			for _, m := range c.queue {
				if m.To != 1 {
					_ = c.nodes[m.To-1].Step(m)
					busy = true
				}
			}
			c.queue = c.queue[:0]
		}
		if c.nodes[1].IsLeader() || c.nodes[2].IsLeader() {
			return n
		}
	}
	t.Fatal("no leader in 1000 ticks")
	return 0
}
