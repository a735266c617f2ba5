package raft_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/raft"
)

// trio is three nodes pumped by one loop with nothing else in the way, to count and to time what the library costs.
type trio struct {
	nodes    [3]*raft.RawNode
	disks    [3]*raft.MemoryStorage
	queue    []raft.Message
	messages int
	bytes    int
	applied  [3]int
	reads    int
}

func newTrio(tb testing.TB, opts ...option) *trio {
	tb.Helper()
	c := &trio{}
	for i := range c.nodes {
		c.disks[i] = raft.NewMemoryStorage()
		c.disks[i].SetConfState(voters(1, 2, 3))
		cfg := raft.Config{ID: uint64(i + 1), Storage: c.disks[i], Rand: rand.New(rand.NewPCG(uint64(i), 1))}
		for _, o := range opts {
			o(&cfg)
		}
		rn, err := raft.NewRawNode(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		c.nodes[i] = rn
	}
	if err := c.nodes[0].Campaign(); err != nil {
		tb.Fatal(err)
	}
	c.pump()
	if !c.nodes[0].IsLeader() {
		tb.Fatal("no leader")
	}
	return c
}

// pump does Readies and delivers messages until all is quiet.
func (c *trio) pump() {
	for {
		for i, rn := range c.nodes {
			for rn.HasReady() {
				c.do(i, rn)
			}
		}
		if len(c.queue) == 0 {
			return
		}
		for _, m := range c.queue {
			_ = c.nodes[m.To-1].Step(m)
		}
		c.queue = c.queue[:0]
	}
}

func (c *trio) do(i int, rn *raft.RawNode) {
	rd, err := rn.Ready()
	if err != nil {
		panic(err)
	}
	if err := c.disks[i].Append(rd.Entries); err != nil {
		panic(err)
	}
	if !rd.HardState.IsEmpty() {
		c.disks[i].SetHardState(rd.HardState)
	}
	c.applied[i] += len(rd.CommittedEntries)
	c.reads += len(rd.ReadStates)
	c.messages += len(rd.Messages)
	c.queue = append(c.queue, rd.Messages...)
	rn.Advance()
}

// compact keeps the disks small, as a server would.
func (c *trio) compact() {
	for i, d := range c.disks {
		last, _ := d.LastIndex()
		commit := c.nodes[i].Status().Applied
		if commit > 1000 && last-commit < 10 {
			_ = d.CreateSnapshot(commit, voters(1, 2, 3), nil)
			_ = d.Compact(commit - 100)
		}
	}
}

func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dB/batch%d", size, batch), func(b *testing.B) {
				c := newTrio(b)
				data := make([]byte, size)
				b.ReportAllocs()
				c.messages = 0
				before := c.applied[0]
				for i := 0; i < b.N; i += batch {
					for range batch {
						if err := c.nodes[0].Propose(data); err != nil {
							b.Fatal(err)
						}
					}
					c.pump()
					if i%8192 == 0 {
						c.compact()
					}
				}
				done := c.applied[0] - before
				b.ReportMetric(float64(c.messages)/float64(done), "msgs/entry")
			})
		}
	}
}

func BenchmarkReadIndex(b *testing.B) {
	for _, mode := range []raft.ReadMode{raft.ReadQuorum, raft.ReadLease} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("mode%d/batch%d", mode, batch), func(b *testing.B) {
				c := newTrio(b, func(cfg *raft.Config) { cfg.ReadMode = mode })
				c.nodes[0].Tick()
				c.pump()
				c.messages, c.reads = 0, 0
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for j := range batch {
						if err := c.nodes[0].ReadIndex(uint64(i + j)); err != nil {
							b.Fatal(err)
						}
					}
					c.pump()
				}
				b.ReportMetric(float64(c.messages)/float64(c.reads), "msgs/read")
			})
		}
	}
}

// BenchmarkIdle is what a group of three costs for each tick of all, while nothing happens.
func BenchmarkIdle(b *testing.B) {
	c := newTrio(b, func(cfg *raft.Config) { cfg.HeartbeatTicks = 2 })
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range c.nodes {
			n.Tick()
		}
		c.pump()
	}
}
