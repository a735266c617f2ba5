package raft_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/raft"
)

// A node under test is driven by hand: messages in, effects out. peer does with a Ready what a correct caller does, in
// the plainest order: write, apply, send, Advance.
type peer struct {
	*raft.RawNode
	t     testing.TB
	cfg   raft.Config
	disk  *raft.MemoryStorage
	conf  raft.ConfState
	done  []raft.Entry // applied
	reads []raft.ReadState
	snap  *raft.Snapshot // the last one installed
	last  raft.Ready
}

type option func(*raft.Config)

func voters(ids ...uint64) raft.ConfState { return raft.ConfState{Voters: ids} }

// seeded gives every node its own source of chance from a seed.
func seeded(seed uint64) option {
	return func(c *raft.Config) { c.Rand = rand.New(rand.NewPCG(seed, c.ID)) }
}

func newPeer(t testing.TB, id uint64, conf raft.ConfState, opts ...option) *peer {
	t.Helper()
	disk := raft.NewMemoryStorage()
	disk.SetConfState(conf)
	return startPeer(t, id, disk, opts...)
}

// startPeer starts a node on a disk, or restarts it.
func startPeer(t testing.TB, id uint64, disk *raft.MemoryStorage, opts ...option) *peer {
	t.Helper()
	cfg := raft.Config{ID: id, Storage: disk, Rand: rand.New(rand.NewPCG(id, 7))}
	for _, o := range opts {
		o(&cfg)
	}
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		t.Fatalf("node %d does not start: %v", id, err)
	}
	return &peer{RawNode: rn, t: t, cfg: cfg, disk: disk}
}

// ready takes one Ready and does it all.
func (p *peer) ready() raft.Ready {
	p.t.Helper()
	rd, err := p.Ready()
	if err != nil {
		p.t.Fatalf("node %d: Ready: %v", p.cfg.ID, err)
	}
	p.write(rd)
	p.apply(rd)
	p.Advance()
	p.last = rd
	return rd
}

func (p *peer) write(rd raft.Ready) {
	p.t.Helper()
	if rd.Snapshot != nil {
		p.must(p.disk.ApplySnapshot(*rd.Snapshot))
		p.snap = rd.Snapshot
		p.done = nil
	}
	p.must(p.disk.Append(rd.Entries))
	if !rd.HardState.IsEmpty() {
		p.disk.SetHardState(rd.HardState)
	}
}

func (p *peer) apply(rd raft.Ready) {
	p.t.Helper()
	for _, e := range rd.CommittedEntries {
		if e.Type == raft.EntryConfChange {
			cc, err := raft.DecodeConfChange(e.Data)
			p.must(err)
			conf, err := p.ApplyConfChange(cc)
			p.must(err)
			p.conf = conf
		}
		p.done = append(p.done, e)
	}
	p.reads = append(p.reads, rd.ReadStates...)
}

// drain does Readies until there is none, and returns what is to be sent.
func (p *peer) drain() []raft.Message {
	p.t.Helper()
	var out []raft.Message
	for n := 0; p.HasReady(); n++ {
		if n > 1000 {
			p.t.Fatalf("node %d never has enough: %+v", p.cfg.ID, p.last)
		}
		out = append(out, p.ready().Messages...)
	}
	return out
}

// step delivers messages addressed to this node, whatever To says, and drains.
func (p *peer) step(ms ...raft.Message) []raft.Message {
	p.t.Helper()
	for _, m := range ms {
		m.To = p.cfg.ID
		if err := p.Step(m); err != nil {
			p.t.Fatalf("node %d: %v: %v", p.cfg.ID, m.Type, err)
		}
	}
	return p.drain()
}

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("node %d: %v", p.cfg.ID, err)
	}
}

func (p *peer) role() raft.StateType { return p.Status().SoftState.State }

// terms returns the terms of the durable log from index 1 on.
func (p *peer) terms() []uint64 {
	first, _ := p.disk.FirstIndex()
	last, _ := p.disk.LastIndex()
	if first > last {
		return nil
	}
	ents, err := p.disk.Entries(first, last+1, ^uint64(0))
	p.must(err)
	var out []uint64
	for _, e := range ents {
		out = append(out, e.Term)
	}
	return out
}

// payloads returns what was applied, without no-ops.
func (p *peer) payloads() []string {
	var out []string
	for _, e := range p.done {
		if e.Type == raft.EntryNormal && len(e.Data) > 0 {
			out = append(out, string(e.Data))
		}
	}
	return out
}

// find returns the messages of a type.
func find(ms []raft.Message, t raft.MessageType) []raft.Message {
	var out []raft.Message
	for _, m := range ms {
		if m.Type == t {
			out = append(out, m)
		}
	}
	return out
}

// one returns the only message of a type, or fails.
func one(t testing.TB, ms []raft.Message, typ raft.MessageType) raft.Message {
	t.Helper()
	got := find(ms, typ)
	if len(got) != 1 {
		t.Fatalf("want one %v, got %d in %v", typ, len(got), brief(ms))
	}
	return got[0]
}

func brief(ms []raft.Message) []string {
	var out []string
	for _, m := range ms {
		out = append(out, fmt.Sprintf("%d->%d %v t%d i%d lt%d n%d c%d rej=%v", m.From, m.To, m.Type, m.Term, m.Index,
			m.LogTerm, len(m.Entries), m.Commit, m.Reject))
	}
	return out
}

// cluster delivers messages between peers, in order and at once, except where a test cuts.
type cluster struct {
	t     testing.TB
	peers []*peer
	cut   func(m raft.Message) bool // true: lost
	log   []raft.Message            // everything delivered
	ids   []uint64
}

func newCluster(t testing.TB, n int, opts ...option) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var ids []uint64
	for i := range n {
		ids = append(ids, uint64(i+1))
	}
	c.ids = ids
	for _, id := range ids {
		c.peers = append(c.peers, newPeer(t, id, voters(ids...), opts...))
	}
	return c
}

// newGrowingCluster is a cluster that others can join: its beginning is in a snapshot.
func newGrowingCluster(t testing.TB, n int, opts ...option) *cluster {
	t.Helper()
	c := newCluster(t, n, opts...)
	for i, p := range c.peers {
		p.disk.Bootstrap(voters(c.ids...))
		c.peers[i] = startPeer(t, p.cfg.ID, p.disk, opts...)
	}
	return c
}

func (c *cluster) peer(id uint64) *peer {
	for _, p := range c.peers {
		if p.cfg.ID == id {
			return p
		}
	}
	return nil
}

// settle delivers until nobody has anything to say.
func (c *cluster) settle() {
	c.t.Helper()
	for range 10000 {
		var ms []raft.Message
		for _, p := range c.peers {
			ms = append(ms, p.drain()...)
		}
		if len(ms) == 0 {
			return
		}
		for _, m := range ms {
			to := c.peer(m.To)
			if to == nil || c.cut != nil && c.cut(m) {
				continue
			}
			c.log = append(c.log, m)
			_ = to.Step(m) // a node may refuse; tests of refusals look at Step itself
		}
	}
	c.t.Fatal("the cluster does not settle")
}

func (c *cluster) elect(id uint64) *peer {
	c.t.Helper()
	p := c.peer(id)
	p.must(p.Campaign())
	c.settle()
	if p.role() != raft.StateLeader {
		c.t.Fatalf("node %d did not win: %v", id, p.role())
	}
	return p
}

// tick lets time pass on the named nodes, or all, and settles after each tick.
func (c *cluster) tick(n int, ids ...uint64) {
	c.t.Helper()
	for range n {
		for _, p := range c.peers {
			if len(ids) == 0 || slices.Contains(ids, p.cfg.ID) {
				p.Tick()
			}
		}
		c.settle()
	}
}

// isolate loses every message to or from the named nodes.
func (c *cluster) isolate(ids ...uint64) {
	c.cut = func(m raft.Message) bool { return slices.Contains(ids, m.From) || slices.Contains(ids, m.To) }
}

func (c *cluster) heal() { c.cut = nil }
