package rafttest

import (
	"slices"

	"tinykv/raft"
)

// Who makes trouble, and who works meanwhile.

// nemesis does one thing that may go wrong in a cluster, and comes back.
func (c *Cluster) nemesis() {
	if !c.faults {
		return
	}
	n := c.nodes[c.rnd.IntN(len(c.nodes))]
	pause := int64(30 * tickMicros)
	switch c.opts.Favour {
	case FavourTransfers, FavourRestarts:
		pause = 8 * tickMicros
	}
	switch {
	case c.opts.Favour == FavourTransfers && c.rnd.IntN(2) == 0:
		c.transfer(n)
	case c.opts.Favour == FavourRestarts && c.rnd.IntN(2) == 0:
		c.restart(n, 4*tickMicros)
	case c.opts.Favour == FavourLeaders && c.rnd.IntN(5) > 0:
		c.depose()
	case c.opts.Favour == FavourLeases:
		c.q.push(event{at: c.now + c.strainLease(), kind: evNemesis})
		return
	default:
		c.anything(n)
	}
	c.q.push(event{at: c.now + c.rnd.Int64N(pause), kind: evNemesis})
}

// depose takes the leader away, most often while it has appended what few have: it is cut off, works on alone for a
// while, and is back when there is another; or it crashes. What was cut before is whole again.
func (c *Cluster) depose() {
	c.mend()
	for _, n := range c.nodes {
		if n.rn == nil || !n.rn.IsLeader() {
			continue
		}
		if c.rnd.IntN(3) == 0 {
			c.restart(n, 20*tickMicros)
			continue
		}
		c.saw("leader cut off")
		for to := range c.nodes {
			if c.rnd.IntN(4) > 0 {
				c.cut(n.index(), to)
			}
			if c.rnd.IntN(4) > 0 {
				c.cut(to, n.index())
			}
		}
	}
}

// strainLease plays in three acts: a follower is cut off from the leader, and so will want to be elected; the leader is
// cut off from all, and some of them restart, so that they forget what they promised; all is whole again. It returns
// the time to the next act.
func (c *Cluster) strainLease() int64 {
	leader := slices.IndexFunc(c.nodes, func(n *node) bool { return n.rn != nil && n.rn.IsLeader() })
	if leader < 0 || c.act == 2 {
		c.mend()
		c.act = 0
		return tickMicros * (8 + c.rnd.Int64N(20))
	}
	c.act++
	if c.act == 1 {
		c.cutBoth(leader, c.rnd.IntN(len(c.nodes)))
		return tickMicros * (7 + c.rnd.Int64N(14))
	}
	c.saw("lease strained")
	for i, n := range c.nodes {
		if c.cutBoth(leader, i); i != leader && c.rnd.IntN(2) == 0 {
			c.restart(n, 2*tickMicros)
		}
	}
	return tickMicros * (4 + c.rnd.Int64N(12))
}

func (c *Cluster) cutBoth(a, b int) {
	if a != b {
		c.cut(a, b)
		c.cut(b, a)
	}
}

func (c *Cluster) mend() {
	c.net.mend()
	c.do(&Decision{At: c.now, Verb: VerbMend})
}

// restart crashes a node; it is back within a while.
func (c *Cluster) restart(n *node, within int64) {
	if n.rn != nil {
		c.do(&Decision{At: c.now, Verb: VerbCrash, Node: n.id, Crash: c.drawCrash(n)})
		c.q.push(event{at: c.now + c.rnd.Int64N(within), kind: evRestart, node: n.index(), life: n.life})
	}
}

func (c *Cluster) anything(n *node) {
	switch c.rnd.IntN(12) {
	case 0, 1:
		c.restart(n, 60*tickMicros)
	case 2:
		c.saw("partition")
		c.partition()
	case 3:
		c.saw("one-way cut")
		c.cut(c.rnd.IntN(len(c.nodes)), c.rnd.IntN(len(c.nodes)))
	case 4, 5, 6:
		c.mend()
	case 7:
		c.net.shape(c.rnd)
	case 8, 9:
		c.do(&Decision{At: c.now, Verb: VerbFlush, Node: n.id, Count: c.rnd.IntN(20)})
	case 10:
		c.transfer(n)
	case 11:
		c.changeConf(n)
	}
}

// flush makes an application durable and compacts the log behind it.
func (c *Cluster) flush(n *node, keep uint64) {
	if n.app.applied == 0 {
		return
	}
	if err := n.disk.flushApp(n.app, keep); err != nil {
		c.fail("disk", "node %d: %v", n.id, err)
	}
	c.saw("log compacted")
	c.note(n, "flush", n.app.applied)
}

func (c *Cluster) transfer(n *node) {
	c.do(&Decision{At: c.now, Verb: VerbTransfer, Node: n.id, To: uint64(1 + c.rnd.IntN(len(c.nodes)))})
}

// changeConf proposes some change; many are refused, and that is part of it.
func (c *Cluster) changeConf(n *node) {
	if c.opts.Spares == 0 {
		return
	}
	cc := raft.ConfChange{Transition: raft.ConfChangeTransition(c.rnd.IntN(3))}
	for range c.rnd.IntN(4) {
		cc.Changes = append(cc.Changes, raft.ConfChangeSingle{
			Type:   raft.ConfChangeType(1 + c.rnd.IntN(3)),
			NodeID: uint64(1 + c.rnd.IntN(len(c.nodes))),
		})
	}
	c.do(&Decision{At: c.now, Verb: VerbChange, Node: n.id, Change: cc})
}

// command is what the n-th proposal asks for: n in readable form, and of the size of a small real command.
func command(n uint64) []byte {
	text := []byte("w0000000")
	for i := len(text) - 1; i > 0; i-- {
		text[i] = byte('0' + n%10)
		n /= 10
	}
	return text
}

// propose is a client that writes something unique somewhere.
func (c *Cluster) propose() {
	n := c.nodes[c.rnd.IntN(len(c.nodes))]
	count := 1 + c.rnd.IntN(3)
	if c.act == 1 {
		count = 0 // the follower that is cut off must keep up, or nobody would vote for it
	}
	c.do(&Decision{At: c.now, Verb: VerbPropose, Node: n.id, Value: c.nextID + 1, Count: count})
	c.nextID += uint64(count)
	c.q.push(event{at: c.now + c.rnd.Int64N(2*tickMicros), kind: evPropose})
}

// read is a client that reads somewhere.
func (c *Cluster) read() {
	n := c.nodes[c.rnd.IntN(len(c.nodes))]
	c.do(&Decision{At: c.now, Verb: VerbRead, Node: n.id})
	c.q.push(event{at: c.now + c.rnd.Int64N(3*tickMicros), kind: evRead})
}
