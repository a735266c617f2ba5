package rafttest

import "tinykv/raft"

// Decisions. A run is a list of them: each is made by somebody (a seed, a trace that is read back), and performed here.
// Everything that happens follows from the decisions; there is no other source of chance in a run.

// Verb says what a decision is about.
type Verb uint8

// What can be decided. In brackets, the fields of Decision that count.
const (
	VerbStart       Verb = iota + 1 // Node begins a life, from its disk; Value seeds its timeouts
	VerbTick                        // Node's clock ticks
	VerbDeliver                     // a message arrives: Type, Node -> To, Nth
	VerbDrop                        // a message is lost
	VerbRepeat                      // a message is copied, and waits twice
	VerbSynced                      // the oldest write of Node is durable: its promises leave, its entries are applied
	VerbApply                       // the oldest waiting entries of Node are applied (AsyncStorage)
	VerbCrash                       // Node dies; Crash says what its disk keeps
	VerbPropose                     // a client proposes Count commands, from number Value on, at Node
	VerbRead                        // a client reads at Node
	VerbTransfer                    // Node is asked to hand leadership to To
	VerbChange                      // Node is asked for Change
	VerbFlush                       // Node's application becomes durable, its log is compacted but for Count entries
	VerbReport                      // Node learns what became of its snapshot for To; Value 1: it failed
	VerbUnreachable                 // Node learns that To may not be reached
	VerbCut                         // the link Node -> To is cut; only told: what it costs is dropped message by message
	VerbMend                        // all links work again; only told
	VerbCalm                        // trouble is over: from here on there must be progress
)

var verbNames = [...]string{"", "start", "tick", "deliver", "drop", "repeat", "synced", "apply", "crash", "propose",
	"read", "transfer", "change", "flush", "report", "unreachable", "cut", "mend", "calm"}

// Decision is one thing that was decided. It is meant to survive changes of the code that it is played against, so it
// names a message not by its content but by its place: the Nth newest of its type on its link.
type Decision struct {
	At     int64 // when, in microseconds; for the reader
	Verb   Verb
	Node   uint64
	To     uint64
	Type   raft.MessageType
	Nth    int // 0 is the newest message of Type from Node to To that waits
	Value  uint64
	Count  int
	Change raft.ConfChange
	Crash  *Crash // a crash within what follows from the decision, or (VerbCrash) at once

	Told []string // what came of it, in the protocol's notation

	msg *raft.Message // the message, if it is known already
}

// Crash is a node's death in the middle of its work.
type Crash struct {
	Effect int  // it comes after so many effects of the decision: 1 is the first
	Keep   int  // writes that survive, of those that were not synced, oldest first
	Torn   bool // and of the next one all but the hard state
}

// do performs a decision, and checks the node that it concerned. It reports whether the decision applies at all: a
// trace may ask a node that is down to tick.
func (c *Cluster) do(d *Decision) bool {
	c.current, c.effects = d, 0
	if d.Verb == VerbDeliver && !c.pickMessage(d) {
		return false
	}
	n := c.target(d)
	if n != nil && n.rn == nil != (d.Verb == VerbStart) {
		return false
	}
	if c.recording {
		c.record(d)
	}
	switch d.Verb {
	case VerbDrop, VerbRepeat:
		return c.moveMessage(d)
	case VerbCut, VerbMend:
		return true
	case VerbCalm:
		c.beginCalm()
		return true
	}
	if n == nil || !c.perform(n, d) {
		return false
	}
	if n.rn != nil {
		n.pump()
	}
	if n.rn != nil {
		c.checkNode(n)
	}
	return true
}

// target is the node to which a decision happens; nil if it is about the network or all.
func (c *Cluster) target(d *Decision) *node {
	id := d.Node
	switch d.Verb {
	case VerbDeliver:
		id = d.To
	case VerbDrop, VerbRepeat, VerbCut:
		return nil
	}
	if id == 0 || id > uint64(len(c.nodes)) {
		return nil
	}
	return c.nodes[id-1]
}

// perform lets a decision happen to its node.
func (c *Cluster) perform(n *node, d *Decision) bool {
	switch d.Verb {
	case VerbStart:
		n.start(d.Value)
	case VerbTick:
		n.rn.Tick()
	case VerbDeliver:
		c.noteMessage(n, d.msg)
		if err := n.rn.Step(*d.msg); err != nil && c.opts.Trace {
			c.tell(n, "     refused: "+err.Error())
		}
	case VerbSynced:
		return n.synced()
	case VerbApply:
		return n.applyNext()
	case VerbCrash:
		n.crash(d.Crash)
	case VerbReport:
		n.rn.ReportSnapshot(d.To, raft.SnapshotStatus(d.Value))
	case VerbUnreachable:
		n.rn.ReportUnreachable(d.To)
	default:
		c.ask(n, d)
	}
	return true
}

// ask performs what clients and operators want of a node. That it may be refused is part of the run.
func (c *Cluster) ask(n *node, d *Decision) {
	switch d.Verb {
	case VerbPropose:
		for i := range uint64(d.Count) {
			err := n.rn.Propose(command(d.Value + i))
			if err == nil && n.rn.IsLeader() {
				n.expect(proposal{index: n.rn.LastIndex(), term: n.rn.Term()})
			}
		}
	case VerbRead:
		id := uint64(len(c.reads))
		c.reads = append(c.reads, c.acknowledged)
		n.rn.ReadIndex(id)
	case VerbTransfer:
		if n.rn.TransferLeader(d.To) == nil {
			c.saw("transfer asked")
			c.note(n, "transfer", d.To)
		}
	case VerbChange:
		if n.rn.ProposeConfChange(d.Change) == nil {
			c.saw("change proposed")
			c.note(n, "change", uint64(len(d.Change.Changes)))
		}
	case VerbFlush:
		c.flush(n, uint64(d.Count))
	}
}

// beginCalm notes where the clients stand when the trouble is over.
func (c *Cluster) beginCalm() {
	c.faults, c.calm, c.act = false, true, 0
	c.calmAcks, c.calmReads = c.acks, c.readsDone
}

// progressed reports whether clients got somewhere since then.
func (c *Cluster) progressed() bool { return c.acks >= c.calmAcks+3 && c.readsDone >= c.calmReads+3 }
