package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"tinykv/raft"
)

// group is three nodes of either library.
type group interface {
	propose(data []byte)
	proposeBatch(data []byte, n int)
	read(id uint64)
	pump()
	compact()
	counts() (applied, messages, reads int)
}

// ours drives tinykv/raft.
type ours struct {
	nodes    [3]*raft.RawNode
	disks    [3]*raft.MemoryStorage
	queue    []raft.Message
	applied  int
	messages int
	reads    int
	index    [3]uint64
}

func newOurs() *ours {
	g := &ours{}
	for i := range g.nodes {
		g.disks[i] = raft.NewMemoryStorage()
		g.disks[i].Bootstrap(raft.ConfState{Voters: []uint64{1, 2, 3}})
		rn, err := raft.NewRawNode(raft.Config{ID: uint64(i + 1), Storage: g.disks[i],
			Rand: rand.New(rand.NewPCG(uint64(i), 1)), Applied: 1})
		check(err)
		g.nodes[i] = rn
	}
	check(g.nodes[0].Campaign())
	g.pump()
	return g
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *ours) propose(data []byte) { check(g.nodes[0].Propose(data)) }

func (g *ours) proposeBatch(data []byte, n int) {
	for range n {
		check(g.nodes[0].Propose(data))
	}
}

func (g *ours) read(id uint64) { check(g.nodes[0].ReadIndex(id)) }

func (g *ours) pump() {
	for {
		for i, rn := range g.nodes {
			for rn.HasReady() {
				rd, err := rn.Ready()
				check(err)
				check(g.disks[i].Append(rd.Entries))
				if !rd.HardState.IsEmpty() {
					g.disks[i].SetHardState(rd.HardState)
				}
				if n := len(rd.CommittedEntries); n > 0 {
					g.index[i] = rd.CommittedEntries[n-1].Index
					if i == 0 {
						g.applied += n
					}
				}
				g.reads += len(rd.ReadStates)
				g.messages += len(rd.Messages)
				g.queue = append(g.queue, rd.Messages...)
				rn.Advance()
			}
		}
		if len(g.queue) == 0 {
			return
		}
		for _, m := range g.queue {
			check(g.nodes[m.To-1].Step(m))
		}
		g.queue = g.queue[:0]
	}
}

func (g *ours) compact() {
	for i, d := range g.disks {
		if g.index[i] > 1000 {
			check(d.CreateSnapshot(g.index[i], raft.ConfState{Voters: []uint64{1, 2, 3}}, nil))
			check(d.Compact(g.index[i] - 100))
		}
	}
}

func (g *ours) counts() (int, int, int) { return g.applied, g.messages, g.reads }

// theirs drives go.etcd.io/raft/v3.
type theirs struct {
	nodes    [3]*etcd.RawNode
	disks    [3]*etcd.MemoryStorage
	queue    []pb.Message
	applied  int
	messages int
	reads    int
	index    [3]uint64
}

func newTheirs() *theirs {
	etcd.SetLogger(&etcd.DefaultLogger{Logger: discard})
	g := &theirs{}
	for i := range g.nodes {
		g.disks[i] = etcd.NewMemoryStorage()
		check(g.disks[i].ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1,
			ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}}}}))
		check(g.disks[i].SetHardState(pb.HardState{Term: 1, Commit: 1}))
		rn, err := etcd.NewRawNode(&etcd.Config{ID: uint64(i + 1), ElectionTick: 10, HeartbeatTick: 1,
			Storage: g.disks[i], Applied: 1, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, PreVote: true, CheckQuorum: true})
		check(err)
		g.nodes[i] = rn
	}
	check(g.nodes[0].Campaign())
	g.pump()
	return g
}

func (g *theirs) propose(data []byte) { check(g.nodes[0].Propose(data)) }

// proposeBatch uses one message with many entries, the fastest way there is.
func (g *theirs) proposeBatch(data []byte, n int) {
	ents := make([]pb.Entry, n)
	for i := range ents {
		ents[i].Data = data
	}
	check(g.nodes[0].Step(pb.Message{Type: pb.MsgProp, From: 1, Entries: ents}))
}

func (g *theirs) read(id uint64) {
	g.nodes[0].ReadIndex(binary.BigEndian.AppendUint64(nil, id))
}

func (g *theirs) pump() {
	for {
		for i, rn := range g.nodes {
			for rn.HasReady() {
				rd := rn.Ready()
				check(g.disks[i].Append(rd.Entries))
				if !etcd.IsEmptyHardState(rd.HardState) {
					check(g.disks[i].SetHardState(rd.HardState))
				}
				if n := len(rd.CommittedEntries); n > 0 {
					g.index[i] = rd.CommittedEntries[n-1].Index
					if i == 0 {
						g.applied += n
					}
				}
				g.reads += len(rd.ReadStates)
				g.messages += len(rd.Messages)
				g.queue = append(g.queue, rd.Messages...)
				rn.Advance(rd)
			}
		}
		if len(g.queue) == 0 {
			return
		}
		for _, m := range g.queue {
			check(g.nodes[m.To-1].Step(m))
		}
		g.queue = g.queue[:0]
	}
}

func (g *theirs) compact() {
	for i, d := range g.disks {
		if g.index[i] > 1000 {
			check(d.Compact(g.index[i] - 100))
		}
	}
}

func (g *theirs) counts() (int, int, int) { return g.applied, g.messages, g.reads }

var libraries = []struct {
	name string
	make func() group
}{{"tinykv", func() group { return newOurs() }}, {"etcd", func() group { return newTheirs() }}}

// run proposes b.N entries, batch of them before each pump.
func run(b *testing.B, g group, batch int, step func()) {
	applied, messages, _ := g.counts()
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		step()
		g.pump()
		if i%4096 < batch {
			g.compact()
		}
	}
	applied2, messages2, _ := g.counts()
	done := float64(applied2 - applied)
	b.ReportMetric(float64(messages2-messages)/done, "msgs/entry")
	b.ReportMetric(done/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		data := make([]byte, size)
		for _, lib := range libraries {
			b.Run(fmt.Sprintf("one/%dB/%s", size, lib.name), func(b *testing.B) {
				g := lib.make()
				run(b, g, 1, func() { g.propose(data) })
			})
		}
		for _, lib := range libraries {
			b.Run(fmt.Sprintf("one-allocated/%dB/%s", size, lib.name), func(b *testing.B) {
				g := lib.make()
				run(b, g, 1, func() { g.propose(bytes.Clone(data)) })
			})
		}
		for _, lib := range libraries {
			b.Run(fmt.Sprintf("64-calls/%dB/%s", size, lib.name), func(b *testing.B) {
				g := lib.make()
				run(b, g, 64, func() {
					for range 64 {
						g.propose(data)
					}
				})
			})
		}
		for _, lib := range libraries {
			b.Run(fmt.Sprintf("batch-of-64/%dB/%s", size, lib.name), func(b *testing.B) {
				g := lib.make()
				run(b, g, 64, func() { g.proposeBatch(data, 64) })
			})
		}
	}
}

func BenchmarkReadIndex(b *testing.B) {
	for _, batch := range []int{1, 64} {
		for _, lib := range libraries {
			b.Run(fmt.Sprintf("%d/%s", batch, lib.name), func(b *testing.B) {
				g := lib.make()
				_, messages, reads := g.counts()
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for j := range batch {
						g.read(uint64(i + j))
					}
					g.pump()
				}
				_, messages2, reads2 := g.counts()
				b.ReportMetric(float64(messages2-messages)/float64(reads2-reads), "msgs/read")
			})
		}
	}
}

// entry is what both libraries keep of a command beside its bytes.
type entry struct {
	term, index uint64
	kind        int
	data        []byte
}

// BenchmarkFloor is what no library can save: the client allocates a payload, and three logs keep an entry that points
// to it until they are compacted. There is no protocol in it.
func BenchmarkFloor(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		data := make([]byte, size)
		b.Run(fmt.Sprintf("one-allocated/%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			var logs [3][]entry
			for i := 0; i < b.N; i++ {
				payload := bytes.Clone(data)
				for j := range logs {
					logs[j] = append(logs[j], entry{term: 1, index: uint64(i), data: payload})
				}
				for j := range logs {
					if n := len(logs[j]); i%4096 == 0 && n > 100 {
						logs[j] = append(make([]entry, 0, n), logs[j][n-100:]...)
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
