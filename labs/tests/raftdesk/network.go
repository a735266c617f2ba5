// The network: it delivers at once and in order, except where a test cuts it.

package raftdesk

import (
	"fmt"
	"slices"
	"testing"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// Cluster starts a node for each member of a configuration, with an empty log.
func (d *Desk) Cluster(conf raft.ConfState, options ...Option) *Desk {
	d.T.Helper()
	for _, id := range members(conf) {
		d.Fresh(id, conf, options...)
	}
	return d
}

// NewCluster is a desk with a cluster whose configuration is in a first snapshot, as a program makes it that begins a
// group. Its nodes apply configuration changes, and a failure ends with where each of them is.
func NewCluster(t *testing.T, rule explain.Rule, conf raft.ConfState, options ...Option) *Desk {
	t.Helper()
	d := Open(t, rule, options...)
	d.tells, d.AtApply = true, (*Node).ApplyChange
	var probe raft.Config
	for _, o := range options {
		o(&probe)
	}
	for _, id := range members(conf) {
		if probe.ReadMode == raft.ReadLease { // with a log, it may have voted before, and keeps still for a while
			d.Fresh(id, conf)
			continue
		}
		disk := raft.NewMemoryStorage()
		disk.Bootstrap(conf)
		d.Start(id, disk)
	}
	d.Done = nil
	return d
}

func members(conf raft.ConfState) []uint64 {
	ids := slices.Concat(conf.Voters, conf.VotersOutgoing, conf.Learners)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// ApplyChange hands a configuration change that was just applied to the node, as AtApply does in a NewCluster.
func (n *Node) ApplyChange(e raft.Entry) {
	n.D.T.Helper()
	if e.Type != raft.EntryConfChange {
		return
	}
	cc, err := raft.DecodeConfChange(e.Data)
	if err == nil {
		_, err = n.ApplyConfChange(cc)
	}
	n.Must(fmt.Sprintf("applies the change %v at index %d", cc.Changes, e.Index), err)
}

// Run delivers messages, these first, until nobody has anything to say.
func (d *Desk) Run(ms ...raft.Message) {
	d.T.Helper()
	for range 10 * maxReadies {
		for _, n := range d.Nodes {
			ms = append(ms, n.drain()...)
		}
		if len(ms) == 0 {
			return
		}
		d.Deliver(ms)
		ms = nil
	}
	d.Broken("the cluster comes to rest", "messages without end")
}

// Deliver hands messages to whom they are for.
func (d *Desk) Deliver(ms []raft.Message) {
	for _, m := range ms {
		to := d.Node(m.To)
		cut := slices.Contains(d.away, m.From) || slices.Contains(d.away, m.To)
		if to == nil || cut || d.Lost != nil && d.Lost(m) {
			d.Say("%s  (lost)", rafttest.FormatMessage(&m))
			continue
		}
		d.Say("%s", rafttest.FormatMessage(&m))
		d.Sent = append(d.Sent, m)
		_ = to.Step(m) // a node may refuse; what matters is where it stands in the end
	}
}

// SentOf returns the delivered messages of a type.
func (d *Desk) SentOf(t raft.MessageType) []raft.Message { return Find(d.Sent, t) }

// Tick lets time pass everywhere, or at the named nodes, and delivers after each tick.
func (d *Desk) Tick(ticks int, ids ...uint64) {
	d.T.Helper()
	for range ticks {
		d.sayTick("")
		for _, n := range d.Nodes {
			if len(ids) == 0 || slices.Contains(ids, n.ID) {
				n.Tick()
			}
		}
		d.Run()
	}
}

// Elect makes a node the leader. If that works, as it does since earlier stages, the record has it in one line.
func (d *Desk) Elect(id uint64) *Node {
	d.T.Helper()
	n, before := d.Node(id), len(d.Done)
	n.Must("Campaign()", n.Campaign())
	d.Run()
	if n.Role() != raft.StateLeader {
		d.Broken(fmt.Sprintf("node %d, which all others can hear, wins the election", id), n.Where())
	}
	d.Done = d.Done[:before]
	d.Say("node %d: Campaign(); it wins, and leads term %d", id, n.Term())
	return n
}

// Leaders returns who leads, without those that are cut off.
func (d *Desk) Leaders() []*Node {
	return slices.DeleteFunc(slices.Clone(d.Nodes), func(n *Node) bool {
		return n.Role() != raft.StateLeader || slices.Contains(d.away, n.ID)
	})
}

// Isolate loses every message to and from some nodes, and of no others.
func (d *Desk) Isolate(ids ...uint64) {
	d.Say("the network cuts off %v", ids)
	d.away = ids
}

// Heal ends Isolate and Lost.
func (d *Desk) Heal() {
	d.Say("the network works")
	d.away, d.Lost = nil, nil
}
