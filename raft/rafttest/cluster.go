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
	Trace  bool   // tell what happens as text
	Record bool   // keep the decisions, to play them again

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
	// FavourLeaders crashes leaders and cuts them off, before all they have appended is replicated: logs diverge for
	// many terms, as in figures 7 and 8 of the paper. Best with messages of one entry.
	FavourLeaders
	// FavourLeases does again and again what a lease must survive: a node that has not heard the leader for long, and
	// the leader cut off from all the others while they restart.
	FavourLeases
)

// Result is what a run leaves.
type Result struct {
	Seed      uint64
	Err       error // nil, or the invariant that broke
	Hash      uint64
	Events    int
	Acks      int
	Reads     int
	Saw       []Sight    // in the order of their first occurrence
	Trace     []string   // the story, if Options.Trace
	Decisions []Decision // if Options.Record
	State     string     // where every node stands, if Err is not nil
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
	recorder

	faults  bool
	act     int    // of FavourLeases
	crashes uint32 // probability of a crash between two effects, in 2^-32

	calm                bool
	calmAcks, calmReads int // what clients had got when the calm began

	hash   uint64
	events int
	sights []Sight
	trace  []string
	nextID uint64
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
	opts.Record = opts.Record || opts.Trace // the story tells of decisions too
	c := emptyCluster(seed, opts)
	return c.guard(func() {
		for _, n := range c.nodes {
			c.do(&Decision{At: c.now, Verb: VerbStart, Node: n.id, Value: c.rnd.Uint64()})
		}
		c.faultPhase()
		c.livenessPhase()
	})
}

// guard runs something that may break an invariant or panic.
func (c *Cluster) guard(run func()) (res Result) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(Failure)
			if !ok {
				f = Failure{Invariant: "panic", Text: fmt.Sprintf("%v\n%s", p, debug.Stack())}
			}
			res = c.result(f)
		}
	}()
	run()
	return c.result(nil)
}

// emptyCluster is a cluster in which no node has started.
func emptyCluster(seed uint64, opts Options) *Cluster {
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
	c.recording = opts.Record
	return c
}

func (c *Cluster) result(err error) Result {
	if c.recording {
		c.recordFates()
	}
	var state string
	if err != nil {
		state = c.describe()
	}
	return Result{Seed: c.seed, Err: err, State: state, Hash: c.hash, Events: c.events, Acks: c.acks, Reads: c.readsDone,
		Saw: c.sights, Trace: c.trace, Decisions: c.decisions}
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

// tell adds a line about a node to the story.
func (c *Cluster) tell(n *node, text string) {
	if strings.TrimSpace(text) != "" {
		c.tellAt(c.now, fmt.Sprintf("n%d %s", n.id, text))
	}
}

func (c *Cluster) tellAt(when int64, text string) {
	c.trace = append(c.trace, fmt.Sprintf("%8.2f  %s", float64(when)/tickMicros, text))
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

// schedule puts an event in the queue, unless a list of decisions says what happens.
func (c *Cluster) schedule(e event) {
	if !c.playing {
		c.q.push(e)
	}
}

// crashHere is asked between any two effects: does the node die now, and what does its disk keep?
func (c *Cluster) crashHere(n *node) *Crash {
	c.effects++
	if c.playing {
		if crash := c.current.Crash; crash != nil && crash.Effect == c.effects {
			return crash
		}
		return nil
	}
	if !c.faults || c.crashes == 0 || c.rnd.Uint32() >= c.crashes {
		return nil
	}
	crash := c.drawCrash(n)
	crash.Effect = c.effects
	if c.recording {
		c.decisions[len(c.decisions)-1].Crash = crash
	}
	return crash
}

func (c *Cluster) drawCrash(n *node) *Crash {
	crash := &Crash{}
	if unsynced := len(n.disk.unsynced); unsynced > 0 {
		crash.Keep = c.rnd.IntN(unsynced + 1)
		crash.Torn = crash.Keep < unsynced && c.rnd.IntN(2) == 0
	}
	return crash
}

// faultPhase is the first phase: clients work while everything goes wrong.
func (c *Cluster) faultPhase() {
	c.faults = !c.opts.Calm
	if c.faults {
		c.crashes = []uint32{0, 1 << 16, 1 << 19, 1 << 21}[c.rnd.IntN(4)]
		c.net.shape(c.rnd)
		c.q.push(event{at: tickMicros, kind: evNemesis})
	}
	c.scheduleClients()
	for end := c.opts.Ticks * tickMicros; c.now < end; {
		c.step()
	}
}

func (c *Cluster) scheduleClients() {
	c.q.push(event{at: c.now + tickMicros, kind: evPropose})
	c.q.push(event{at: c.now + tickMicros, kind: evRead})
}

// livenessPhase is the second: faults stop, a quorum chosen at random lives, the others are gone. There must be
// progress.
func (c *Cluster) livenessPhase() {
	c.net.heal()
	c.do(&Decision{At: c.now, Verb: VerbCalm})
	dead := c.chooseDead()
	for i, n := range c.nodes {
		switch {
		case dead[i]:
			c.do(&Decision{At: c.now, Verb: VerbCrash, Node: n.id, Crash: c.drawCrash(n)})
			n.life++ // no restart that is under way counts
		case n.rn == nil:
			n.life++
			c.do(&Decision{At: c.now, Verb: VerbStart, Node: n.id, Value: c.rnd.Uint64()})
		}
	}
	c.untilProgress()
}

// untilProgress goes on until clients got somewhere since the calm began.
func (c *Cluster) untilProgress() {
	end := c.now + c.opts.LivenessTicks*tickMicros
	for !c.progressed() {
		if c.now > end {
			c.fail("liveness", "%d writes and %d reads in %d ticks after everything healed",
				c.acks-c.calmAcks, c.readsDone-c.calmReads, c.opts.LivenessTicks)
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

// step lets the next event happen.
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
	if e.kind == evDeliver {
		c.arrive(n, e.msg)
		return
	}
	if e.life != n.life || n.rn == nil != (e.kind == evRestart) {
		return
	}
	d := Decision{At: c.now, Node: n.id}
	switch e.kind {
	case evTick:
		d.Verb = VerbTick
		c.schedule(event{at: c.now + n.period, kind: evTick, node: e.node, life: n.life})
	case evSynced:
		d.Verb = VerbSynced
	case evApply:
		d.Verb = VerbApply
	case evRestart:
		d.Verb, d.Value = VerbStart, c.rnd.Uint64()
	case evSnapReport:
		d.Verb, d.To = VerbReport, e.msg.To
		if e.msg.Reject {
			d.Value = uint64(raft.SnapshotFailure)
		}
	case evUnreachable:
		d.Verb, d.To = VerbUnreachable, e.msg.To
	}
	c.do(&d)
}

// arrive delivers a message, if there is somebody.
func (c *Cluster) arrive(n *node, m *raft.Message) {
	verb := VerbDeliver
	if n.rn == nil {
		verb = VerbDrop
	}
	d := c.about(verb, m)
	c.do(&d)
}
