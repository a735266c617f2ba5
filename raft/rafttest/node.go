package rafttest

import (
	"encoding/binary"
	"math/rand/v2"

	"tinykv/raft"
)

// node is one process: it does what the package page of raft asks of a caller, one effect at a time, so that it can be
// stopped between any two.
type node struct {
	c    *Cluster
	id   uint64
	rn   *raft.RawNode // nil: down
	disk *Disk
	life int
	app  app

	outstanding bool         // sync mode: a Ready waits for its sync
	unflushed   int          // writes that are done and need no flush: the next flush takes them along
	writes      []inWrite    // oldest first
	applies     []raft.Ready // async mode: committed entries that wait to be applied

	proposed []proposal // by this node as leader, waiting to be applied
	waiting  []raft.ReadState
	hard     raft.HardState // the highest ever seen in this life
	wasLead  bool
	period   int64 // microseconds between ticks
}

// inWrite is a Ready whose write is on its way to the disk.
type inWrite struct {
	rd    raft.Ready
	dirty int // writes of the disk that it added, 0 or 1
}

// proposal is matched to what is applied by index and term.
type proposal struct{ index, term uint64 }

func encodeChain(h uint64) []byte { return binary.LittleEndian.AppendUint64(nil, h) }

func decodeChain(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// start begins a life, from the disk alone. The seed is for what the node draws itself, its timeouts.
func (n *node) start(seed uint64) {
	n.life++
	cfg := n.c.opts.Config
	cfg.ID = n.id
	cfg.Storage = n.disk
	cfg.Applied = n.disk.app.applied
	cfg.Rand = rand.New(rand.NewPCG(seed, n.id))
	rn, err := raft.NewRawNode(cfg)
	if err != nil {
		n.c.fail("restart", "node %d does not start: %v", n.id, err)
	}
	*n = node{c: n.c, id: n.id, rn: rn, disk: n.disk, life: n.life, app: n.disk.app, period: n.c.period(n.id)}
	n.c.note(n, "start", n.app.applied)
	n.c.schedule(event{at: n.c.now + n.c.rnd.Int64N(n.period), kind: evTick, node: n.index(), life: n.life})
}

func (n *node) index() int { return int(n.id - 1) }

// crash ends a life. What was not synced may be gone.
func (n *node) crash(crash *Crash) {
	n.rn = nil
	lost, err := n.disk.crash(crash)
	if err != nil {
		n.c.fail("disk", "node %d: %v", n.id, err)
	}
	n.c.saw("crash")
	if lost > 0 {
		n.c.saw("writes lost in a crash")
	}
	n.c.note(n, "crash", uint64(lost))
}

// mayCrash is called between any two effects. It reports whether the node is down now.
func (n *node) mayCrash() bool {
	if n.rn == nil {
		return true
	}
	if crash := n.c.crashHere(n); crash != nil {
		n.crash(crash)
		n.c.schedule(event{at: n.c.now + n.c.rnd.Int64N(400_000), kind: evRestart, node: n.index(), life: n.life})
	}
	return n.rn == nil
}

// pump takes what there is to do, after any input.
func (n *node) pump() {
	for n.rn != nil && !n.outstanding && n.rn.HasReady() {
		n.c.checkNode(n)
		rd, err := n.rn.Ready()
		if err != nil {
			n.c.fail("ready", "node %d: %v", n.id, err)
		}
		if n.c.opts.Config.AsyncStorage {
			n.rn.Advance()
		} else {
			n.outstanding = true
		}
		if n.c.opts.Trace {
			n.c.tell(n, "     "+FormatReady(&rd))
		}
		if n.mayCrash() {
			return
		}
		n.begin(rd)
	}
}

// begin does the first half of a Ready: what may leave at once, and the write.
func (n *node) begin(rd raft.Ready) {
	n.takeReads(&rd)
	for _, m := range rd.Immediate() {
		n.send(m)
		if n.mayCrash() {
			return
		}
	}
	if rd.Snapshot != nil {
		n.c.saw("snapshot installed")
	}
	n.checkTruncation(&rd)
	before := len(n.disk.unsynced)
	if err := n.disk.write(&rd); err != nil {
		n.c.fail("disk", "node %d: %v", n.id, err)
	}
	n.c.registerEntries(n, rd.Entries)
	if n.mayCrash() {
		return
	}
	n.writes = append(n.writes, inWrite{rd: rd, dirty: len(n.disk.unsynced) - before})
	var delay int64
	if rd.MustSync || len(n.writes) > 1 {
		delay = n.c.syncDelay()
	}
	n.c.schedule(event{at: n.c.now + delay, kind: evSynced, node: n.index(), life: n.life})
}

// synced does the second half of the oldest Ready, if there is one: its promises may leave, its entries be applied.
func (n *node) synced() bool {
	if len(n.writes) == 0 {
		return false
	}
	w := n.writes[0]
	n.writes = append(n.writes[:0], n.writes[1:]...)
	n.unflushed += w.dirty
	if w.rd.MustSync {
		if err := n.disk.sync(n.unflushed); err != nil {
			n.c.fail("disk", "node %d: %v", n.id, err)
		}
		n.unflushed = 0
	}
	if w.rd.Snapshot != nil {
		n.app = appOf(w.rd.Snapshot)
		n.c.checkChain(n, n.app.applied, n.app.chain)
	}
	if n.mayCrash() {
		return true
	}
	for _, m := range w.rd.Deferred() {
		n.c.checkPromise(n, &m)
		n.send(m)
		if n.mayCrash() {
			return true
		}
	}
	if n.c.opts.Config.AsyncStorage {
		n.rn.Persisted(w.rd.Number)
		if len(w.rd.CommittedEntries) > 0 {
			n.applies = append(n.applies, w.rd)
			n.c.schedule(event{at: n.c.now + n.c.syncDelay(), kind: evApply, node: n.index(), life: n.life})
		}
		return true
	}
	if n.apply(w.rd.CommittedEntries) {
		n.outstanding = false
		n.rn.Advance()
	}
	return true
}

// applyNext is the application's turn, with AsyncStorage, if it has anything to do.
func (n *node) applyNext() bool {
	if len(n.applies) == 0 {
		return false
	}
	entries := n.applies[0].CommittedEntries
	n.applies = n.applies[1:]
	for len(entries) > 0 && entries[0].Index <= n.app.applied {
		entries = entries[1:] // a snapshot overtook them
	}
	if n.apply(entries) {
		n.rn.Applied(n.app.applied)
	}
	return true
}

// apply gives entries to the application. It reports whether the node is still up.
func (n *node) apply(entries []raft.Entry) bool {
	for i := range entries {
		e := &entries[i]
		if e.Index != n.app.applied+1 {
			n.c.fail("apply-order", "node %d applies %d after %d", n.id, e.Index, n.app.applied)
		}
		n.app.chain = n.c.link(n.app.chain, e)
		n.app.applied = e.Index
		n.c.checkChain(n, e.Index, n.app.chain)
		n.c.checkDurableQuorum(e)
		if e.Type == raft.EntryConfChange {
			n.applyConf(e)
		}
		n.answer(e)
		if n.mayCrash() {
			return false
		}
	}
	n.serveReads()
	return true
}

func (n *node) applyConf(e *raft.Entry) {
	cc, err := raft.DecodeConfChange(e.Data)
	if err != nil {
		n.c.fail("conf", "node %d: entry %d: %v", n.id, e.Index, err)
	}
	conf, err := n.rn.ApplyConfChange(cc)
	if err == nil {
		n.app.conf = conf
	}
	if len(conf.VotersOutgoing) > 0 {
		n.c.saw("joint configuration")
	}
	n.c.saw("configuration changed")
	n.c.note(n, "conf", uint64(len(conf.Voters)), uint64(len(conf.VotersOutgoing)))
}

// expect remembers a proposal. Those at its index or after were overwritten: they are answered by nobody.
func (n *node) expect(p proposal) {
	for len(n.proposed) > 0 && n.proposed[len(n.proposed)-1].index >= p.index {
		n.proposed = n.proposed[:len(n.proposed)-1]
	}
	n.proposed = append(n.proposed, p)
}

// answer tells the client whose proposal was applied, if it was made here.
func (n *node) answer(e *raft.Entry) {
	for len(n.proposed) > 0 && n.proposed[0].index <= e.Index {
		p := n.proposed[0]
		n.proposed = n.proposed[1:]
		if p.index == e.Index && p.term == e.Term {
			n.c.acknowledged = max(n.c.acknowledged, e.Index)
			n.c.acks++
		}
	}
}

// takeReads notes answers to reads; those whose index is applied are served at once.
func (n *node) takeReads(rd *raft.Ready) {
	if len(rd.ReadStates) > 0 {
		n.waiting = append(n.waiting, rd.ReadStates...)
		n.serveReads()
	}
}

func (n *node) serveReads() {
	kept := n.waiting[:0]
	for _, r := range n.waiting {
		if n.app.applied < r.Index {
			kept = append(kept, r)
			continue
		}
		n.c.checkRead(n, r.RequestID)
	}
	n.waiting = kept
}

// send gives a message to the network.
func (n *node) send(m raft.Message) {
	n.c.checkSent(n, &m)
	n.c.transmit(n, m)
}

// checkTruncation counts how often a follower's log was cut: the interesting runs.
func (n *node) checkTruncation(rd *raft.Ready) {
	if len(rd.Entries) == 0 {
		return
	}
	if last, _ := n.disk.LastIndex(); rd.Entries[0].Index <= last {
		n.c.saw("log truncated")
	}
}
