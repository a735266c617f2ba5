package rafttest

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"

	"tinykv/raft"
)

// Options shape a run. The zero value of each is a good default; everything else comes from the seed.
type Options struct {
	Nodes  int   // founding voters; default 3
	Spares int   // nodes that may join: with any, the configuration changes
	Ticks  int64 // length of the phase with faults; default 400

	Config raft.Config // switches of every node

	Calm   bool   // no faults but delay
	Favour Favour // a fault that happens much more often than others
	Trace  bool   // record what happens as text

	LivenessTicks int64 // bound on the second phase; default 400
}

// Favour is a kind of trouble to make more of: some bugs need the same thing several times within one lease.
type Favour uint8

const (
	// FavourNothing mixes everything.
	FavourNothing Favour = iota
	// FavourTransfers asks for leadership transfers all the time.
	FavourTransfers
	// FavourRestarts crashes nodes that are back within a few ticks.
	FavourRestarts
)

// Result is what a run leaves.
type Result struct {
	Seed   uint64
	Err    error // nil, or the invariant that broke
	Hash   uint64
	Events int
	Acks   int
	Reads  int
	Saw    []Sight // in the order of their first occurrence
	Trace  []string
}

// Sight counts how often something interesting happened.
type Sight struct {
	What  string
	Count int
}

// Count returns how often something was seen.
func (r *Result) Count(what string) int {
	for _, s := range r.Saw {
		if s.What == what {
			return s.Count
		}
	}
	return 0
}

// Cluster is a run in progress.
type Cluster struct {
	opts  Options
	seed  uint64
	rnd   *rand.Rand
	now   int64
	q     queue
	nodes []*node
	net   network
	checker

	faults  bool
	crashes uint32 // probability of a crash between two effects, in 2^-32
	hash    uint64
	events  int
	sights  []Sight
	trace   []string
	nextID  uint64
}

const (
	tickMicros = 10_000
	fnvOffset  = 14695981039346656037
	fnvPrime   = 1099511628211
)

func mix(h, v uint64) uint64 {
	h = (h ^ v) * fnvPrime
	return h ^ h>>29
}

// Run plays one seed.
func Run(seed uint64, opts Options) (res Result) {
	c := newCluster(seed, opts)
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failure)
			if !ok {
				f = failure{invariant: "panic", text: fmt.Sprintf("%v\n%s", p, debug.Stack())}
			}
			res = c.result(f)
		}
	}()
	c.faultPhase()
	c.livenessPhase()
	return c.result(nil)
}

func newCluster(seed uint64, opts Options) *Cluster {
	if opts.Nodes == 0 {
		opts.Nodes = 3
	}
	if opts.Ticks == 0 {
		opts.Ticks = 400
	}
	if opts.LivenessTicks == 0 {
		opts.LivenessTicks = 400
	}
	c := &Cluster{opts: opts, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0x5eed)), hash: fnvOffset}
	c.leaders, c.entries = map[uint64]uint64{}, map[slot]uint64{}
	var conf raft.ConfState
	for id := range uint64(opts.Nodes) {
		conf.Voters = append(conf.Voters, id+1)
	}
	c.net = newNetwork(opts.Nodes + opts.Spares)
	for id := range uint64(opts.Nodes + opts.Spares) {
		if id == uint64(opts.Nodes) {
			conf = raft.ConfState{}
		}
		c.nodes = append(c.nodes, &node{c: c, id: id + 1, disk: newDisk(conf)})
	}
	for _, n := range c.nodes {
		n.start()
	}
	return c
}

func (c *Cluster) result(err error) Result {
	return Result{Seed: c.seed, Err: err, Hash: c.hash, Events: c.events, Acks: c.acks, Reads: c.readsDone,
		Saw: c.sights, Trace: c.trace}
}

func (c *Cluster) saw(what string) {
	for i := range c.sights {
		if c.sights[i].What == what {
			c.sights[i].Count++
			return
		}
	}
	c.sights = append(c.sights, Sight{What: what, Count: 1})
}

// tell adds a line to the trace, if there is one.
func (c *Cluster) tell(n *node, text string) {
	if strings.TrimSpace(text) != "" {
		c.trace = append(c.trace, fmt.Sprintf("%8.2f  n%d %s", float64(c.now)/tickMicros, n.id, text))
	}
}

// note adds to the hash and, if asked to, to the trace.
func (c *Cluster) note(n *node, what string, values ...uint64) {
	h := mix(mix(c.hash, uint64(c.now)), n.id)
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * fnvPrime
	}
	for _, v := range values {
		h = mix(h, v)
	}
	c.hash = h
	if c.opts.Trace {
		c.tell(n, what+numbers(values))
	}
}

// noteMessage does the same for a message that arrives.
func (c *Cluster) noteMessage(n *node, m *raft.Message) {
	h := mix(mix(c.hash, uint64(c.now)), uint64(m.Type))
	for _, v := range [...]uint64{m.From, m.To, m.Term, m.LogTerm, m.Index, m.Commit, m.Hint, m.Context,
		uint64(len(m.Entries))} {
		h = mix(h, v)
	}
	c.hash = h
	if c.opts.Trace {
		c.tell(n, "gets "+FormatMessage(m))
	}
}

func numbers(values []uint64) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, " %d", v)
	}
	return b.String()
}

// period is a node's clock: up to 2 % fast or slow, different in each life.
func (c *Cluster) period(uint64) int64 { return tickMicros - 200 + c.rnd.Int64N(401) }

// syncDelay is how long a flush takes: usually less than a message, now and then many ticks.
func (c *Cluster) syncDelay() int64 {
	if c.rnd.IntN(50) == 0 {
		return c.rnd.Int64N(8 * tickMicros)
	}
	return 50 + c.rnd.Int64N(1000)
}

func (c *Cluster) crashNow() bool { return c.faults && c.crashes > 0 && c.rnd.Uint32() < c.crashes }

// faultPhase is the first phase: clients work while everything goes wrong.
func (c *Cluster) faultPhase() {
	c.faults = !c.opts.Calm
	if c.faults {
		c.crashes = []uint32{0, 1 << 16, 1 << 19, 1 << 21}[c.rnd.IntN(4)]
		c.net.shape(c.rnd)
		c.q.push(event{at: tickMicros, kind: evNemesis})
	}
	c.q.push(event{at: tickMicros, kind: evPropose})
	c.q.push(event{at: tickMicros, kind: evRead})
	for end := c.opts.Ticks * tickMicros; c.now < end; {
		c.step()
	}
}

// livenessPhase is the second: faults stop, a quorum chosen at random lives, the others are gone. There must be
// progress.
func (c *Cluster) livenessPhase() {
	c.faults = false
	c.net.heal()
	dead := c.chooseDead()
	for i, n := range c.nodes {
		switch {
		case dead[i]:
			n.crash()
			n.life++ // no restart that is under way counts
		case n.rn == nil:
			n.life++
			n.start()
		}
	}
	acks, reads := c.acks, c.readsDone
	end := c.now + c.opts.LivenessTicks*tickMicros
	for c.acks < acks+3 || c.readsDone < reads+3 {
		if c.now > end {
			c.fail("liveness", "%d writes and %d reads in %d ticks after everything healed; %s",
				c.acks-acks, c.readsDone-reads, c.opts.LivenessTicks, c.describe())
		}
		c.step()
	}
}

// chooseDead picks the minority that does not come back. When the configuration changes all come back: which of them
// are a quorum depends on who is asked.
func (c *Cluster) chooseDead() []bool {
	dead := make([]bool, len(c.nodes))
	if c.opts.Spares == 0 {
		for _, i := range c.rnd.Perm(len(c.nodes))[:(len(c.nodes)-1)/2] {
			dead[i] = c.rnd.IntN(3) > 0
		}
	}
	return dead
}

// describe says where everybody is, for a failure.
func (c *Cluster) describe() string {
	var b strings.Builder
	for _, n := range c.nodes {
		if n.rn == nil {
			fmt.Fprintf(&b, "\n  n%d down", n.id)
			continue
		}
		s := n.rn.Status()
		fmt.Fprintf(&b, "\n  n%d %v term %d lead %d last %d/%d commit %d applied %d voters %v %v learners %v",
			n.id, s.SoftState.State, s.HardState.Term, s.SoftState.Lead, s.LastTerm, s.LastIndex, s.HardState.Commit,
			s.Applied, s.ConfState.Voters, s.ConfState.VotersOutgoing, s.ConfState.Learners)
		for _, p := range s.Progress {
			fmt.Fprintf(&b, "\n      %+v", p)
		}
	}
	return b.String()
}

// step lets the next event happen, and checks the node it happened to.
func (c *Cluster) step() {
	e := c.q.pop()
	c.now = e.at
	c.events++
	switch e.kind {
	case evNemesis:
		c.nemesis()
		return
	case evPropose:
		c.propose()
		return
	case evRead:
		c.read()
		return
	}
	n := c.nodes[e.node]
	if e.life != n.life && e.life != anyLife || n.rn == nil != (e.kind == evRestart) {
		return
	}
	c.happen(n, &e)
	if n.rn != nil {
		n.pump()
	}
	if n.rn != nil {
		c.checkNode(n)
	}
}

func (c *Cluster) happen(n *node, e *event) {
	switch e.kind {
	case evTick:
		n.rn.Tick()
		c.q.push(event{at: c.now + n.period, kind: evTick, node: e.node, life: n.life})
	case evDeliver:
		c.noteMessage(n, e.msg)
		if err := n.rn.Step(*e.msg); err != nil && c.opts.Trace {
			c.tell(n, "     refused: "+err.Error())
		}
	case evSynced:
		n.synced()
	case evApply:
		n.applyNext()
	case evRestart:
		n.start()
	case evSnapReport:
		status := raft.SnapshotFinish
		if e.msg.Reject {
			status = raft.SnapshotFailure
		}
		n.rn.ReportSnapshot(e.msg.To, status)
	}
}
