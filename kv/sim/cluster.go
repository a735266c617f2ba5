// A run: a cluster of stores, its clients, and who makes trouble.

package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/raft/rafttest"
)

// Cluster is a run in progress.
type Cluster struct {
	opts      Options
	seed      uint64
	rnd       *rand.Rand // of nemesis only
	now       time.Duration
	queue     rafttest.Queue[event]
	network   network
	processes []*process // by store, from 1 at 0
	keyspace  keyspace
	region    region.Region // the first one, as it was in the beginning
	limits    replica.Limits

	clients  []client
	open     []*call
	calls    uint64 // the last one
	requests uint64
	values   uint32
	streams  uint64
	texts    map[uint32]string // of the values that a desk puts
	history  history
	ledger   ledger

	faults   bool
	manual   bool                      // a desk says who starts
	replace  func(*process, core) core // by a wrong one, to see that it is found; nil: by none
	calm     bool                      // faults are over
	ending   bool                      // clients begin no more calls
	atCalm   Counts                    // what clients had got by then
	nextPeer uint64
	belated  *process // a leader that hears everything late, and is about to be cut off

	recorder
	atOnce int // steps and turns since time passed
	counts Counts
	hash   uint64
	events int
	sights []rafttest.Sight
	story  []string
	page   []byte // the picture of a history
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func mix(h, v uint64) uint64 {
	h = (h ^ v) * fnvPrime
	return h ^ h>>29
}

// What is drawn by its place.
const (
	drawMessage uint64 = iota + 1
	drawRequest
	drawReply
	drawBackoff
	drawStore
	drawSync
	drawPeriod
	drawCore
	drawDisk
	drawChunk
	drawInstall
	drawRestart
	drawLook
	drawThink
	drawLoop
	drawHesitate
	drawDiscard
)

// draw is chance by place: the same arguments give the same number in every run of the seed.
func (c *Cluster) draw(what uint64, place ...uint64) uint64 {
	h := c.seed*0x9e3779b97f4a7c15 + what
	for _, v := range place {
		h = (h ^ v) * 0xbf58476d1ce4e5b9
		h ^= h >> 31
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// Run plays one seed.
func Run(seed uint64, opts Options) Result {
	opts.Record = opts.Record || opts.Trace // the story tells of decisions too
	return newCluster(seed, opts).run()
}

func (c *Cluster) run() Result {
	return c.guard(func() {
		for _, p := range c.processes {
			c.do(Decision{Verb: VerbStart, Store: p.id})
		}
		c.faultPhase()
		c.untilProgress()
		c.converge()
	})
}

// guard runs something that may break an invariant or panic.
func (c *Cluster) guard(run func()) (res Result) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(rafttest.Failure)
			if !ok {
				f = rafttest.Failure{Invariant: "panic", Text: fmt.Sprintf("%v\n%s", p, debug.Stack())}
			}
			res = c.result(f)
		}
	}()
	run()
	return c.result(nil)
}

// newCluster is a cluster in which no store has started.
func newCluster(seed uint64, opts Options) *Cluster {
	opts = opts.withDefaults()
	c := &Cluster{opts: opts, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0x5eed)), hash: fnvOffset,
		keyspace: newKeyspace(opts.Keys), nextPeer: 1000, texts: map[uint32]string{}}
	c.recording, c.faults = opts.Record, !opts.Calm
	c.ledger = newLedger()
	c.region = region.Region{ID: firstRegion, Epoch: region.Epoch{ConfVer: 1, Version: firstVersion}}
	for id := range uint64(opts.Stores) {
		c.region.Peers = append(c.region.Peers, region.Peer{ID: firstPeer(id + 1), StoreID: id + 1})
	}
	c.limits = c.drawLimits().WithDefaults()
	c.network = newNetwork(c, opts.Stores+opts.Spares)
	for id := range uint64(opts.Stores + opts.Spares) {
		c.processes = append(c.processes, newProcess(c, id+1))
	}
	for i := range opts.Clients {
		c.clients = append(c.clients, client{number: i, rnd: rand.New(rand.NewPCG(seed, 0xc11e47+uint64(i)))})
	}
	return c
}

// firstPeer is the id of the peer that a store has in the beginning: no store's id, so that neither is taken for the other.
func firstPeer(storeID uint64) uint64 { return 100 + storeID }

// process returns a store by its id; nil if there is none.
func (c *Cluster) process(id uint64) *process {
	if id == 0 || id > uint64(len(c.processes)) {
		return nil
	}
	return c.processes[id-1]
}

func (c *Cluster) at(when time.Duration, e event) { c.queue.Push(int64(when), e) }

func (c *Cluster) result(err error) Result {
	c.recordStory()
	res := Result{Seed: c.seed, Err: err, Hash: c.hash, Events: c.events, Now: c.now, Counts: c.counts, Saw: c.sights,
		Story: c.story, Decisions: c.decisions, Picture: c.page}
	if err != nil {
		res.State = c.describe()
	}
	return res
}

func (c *Cluster) saw(what string) {
	for i := range c.sights {
		if c.sights[i].What == what {
			c.sights[i].Count++
			return
		}
	}
	c.sights = append(c.sights, rafttest.Sight{What: what, Count: 1})
}

// faultPhase is the first phase: clients work while everything goes wrong. It ends with the decision that it does.
func (c *Cluster) faultPhase() {
	c.scheduleClients()
	if c.faults {
		c.at(tick, event{kind: evNemesis})
	}
	c.at(tick*time.Duration(c.opts.Ticks), event{kind: evCalm})
	for !c.calm {
		c.step()
	}
}

// stepUntil lets everything happen that happens before a time, and at least one event; then it is that time, or later.
func (c *Cluster) stepUntil(end time.Duration) {
	for c.now < end && c.queue.Len() > 0 {
		c.step()
	}
	c.now = max(c.now, end)
}

// step lets the next event happen.
func (c *Cluster) step() {
	at, e := c.queue.Pop()
	c.events++
	c.atOnce++
	if time.Duration(at) > c.now {
		c.now, c.atOnce = time.Duration(at), 0
	}
	c.checkTimePasses()
	switch p := e.process; {
	case p == nil:
		c.happens(&e)
	case e.life != 0 && e.life != p.life: // to somebody who is dead
	case e.life != 0 && p.paused() && e.kind != evRestart:
		c.at(p.pausedUntil+c.comesTo(&e), e)
	default:
		p.happens(&e)
	}
}

// comesTo is how long after its process was let run again something that was stopped goes on. A reader may be the last one
// to wake up.
func (c *Cluster) comesTo(e *event) time.Duration {
	if e.kind == evLook {
		return time.Duration(c.draw(drawLook, e.attempt.id, 2) % uint64(20*tick))
	}
	return 0
}

// happens lets an event happen that is no process's own.
func (c *Cluster) happens(e *event) {
	switch e.kind {
	case evRequest:
		c.arrives(e.attempt)
	case evReply:
		c.hears(e.attempt)
	case evGiveUp:
		c.giveUp(e.call)
	case evAgain:
		c.again(e.call)
	case evNext:
		c.nextCall(&c.clients[e.client])
	case evNemesis:
		c.nemesis()
	case evCalm:
		c.decideCalm()
	case evDecision:
		c.playNext()
	}
}

// happens lets an event happen to a process.
func (p *process) happens(e *event) {
	switch e.kind {
	case evTurn:
		p.turnAt(p.c.now)
	case evStep:
		p.goOn()
	case evDeliver:
		p.c.deliver(p, e.message)
	case evJob:
		e.job.step()
	case evLook:
		p.look(e.attempt)
	case evThought:
		p.thought(e.attempt)
	case evCancel:
		p.cancel(e.attempt)
	case evResume:
		p.resume()
	case evRestart:
		p.c.do(Decision{Verb: VerbStart, Store: p.id})
	}
}
