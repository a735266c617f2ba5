package rafttest

import (
	"math/rand/v2"

	"tinykv/raft"
)

// network delays, loses, repeats and reorders messages, and has links that are cut, each way on its own.
type network struct {
	n      int
	cut    []bool // from*n+to
	lose   int    // of 1000 messages
	repeat int
	slow   int // of 1000, that take up to 30 ticks and so arrive out of order
}

func newNetwork(n int) network { return network{n: n, cut: make([]bool, n*n)} }

// shape draws how bad the weather is.
func (w *network) shape(rnd *rand.Rand) {
	w.lose = []int{0, 10, 100, 300}[rnd.IntN(4)]
	w.repeat = []int{0, 20, 100}[rnd.IntN(3)]
	w.slow = []int{0, 10, 100}[rnd.IntN(3)]
}

func (w *network) heal() {
	w.lose, w.repeat, w.slow = 0, 0, 0
	w.mend()
}

func (w *network) mend() {
	for i := range w.cut {
		w.cut[i] = false
	}
}

// partition splits the nodes in two groups that do not hear each other.
func (c *Cluster) partition() {
	side := c.rnd.Uint64()
	for from := range c.net.n {
		for to := range c.net.n {
			if side>>from&1 != side>>to&1 {
				c.cut(from, to)
			}
		}
	}
}

func (c *Cluster) cut(from, to int) {
	c.net.cut[from*c.net.n+to] = true
	c.do(&Decision{At: c.now, Verb: VerbCut, Node: uint64(from + 1), To: uint64(to + 1)})
}

// transmit decides what becomes of a message.
func (c *Cluster) transmit(n *node, m raft.Message) {
	w := &c.net
	if m.To == 0 || m.To > uint64(w.n) {
		return
	}
	msg := &m
	if c.opts.Trace {
		c.tell(n, "sends "+FormatMessage(msg))
	}
	if c.recording || c.playing {
		c.waiting = append(c.waiting, msg)
	}
	if c.playing {
		return
	}
	to := int(m.To - 1)
	lost := w.cut[n.index()*w.n+to] || w.lose > 0 && c.rnd.IntN(1000) < w.lose
	if m.Type == raft.MsgSnap {
		c.saw("snapshot sent")
		report := raft.Message{To: m.To, Reject: lost}
		c.schedule(event{at: c.now + c.latency(), kind: evSnapReport, node: n.index(), life: n.life, msg: &report})
	}
	if lost {
		c.saw("message lost")
		c.fate(VerbDrop, msg)
		if c.rnd.IntN(4) == 0 {
			c.schedule(event{at: c.now, kind: evUnreachable, node: n.index(), life: n.life, msg: msg})
		}
		return
	}
	c.deliver(to, msg)
	if w.repeat > 0 && c.rnd.IntN(1000) < w.repeat {
		c.saw("message repeated")
		c.fate(VerbRepeat, msg)
		c.deliver(to, msg)
	}
}

func (c *Cluster) deliver(to int, m *raft.Message) {
	// Whatever life the receiver is in when it arrives: a message outlives a crash.
	c.schedule(event{at: c.now + c.latency(), kind: evDeliver, node: to, msg: m})
}

func (c *Cluster) latency() int64 {
	if c.net.slow > 0 && c.rnd.IntN(1000) < c.net.slow {
		return c.rnd.Int64N(30 * tickMicros)
	}
	return 200 + c.rnd.Int64N(3000)
}
