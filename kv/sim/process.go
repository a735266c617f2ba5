// A store's process: its disks, its life, its clock, its inbox.

package sim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

// core is what a process drives: *store.Store.
type core interface {
	Handle(now time.Duration, e store.Event)
	Turn(now time.Duration) []store.Effect
	Done(now time.Duration)
	Fail(err error)
	NextTick() time.Duration
	Spools() []string
}

// process is a server of the cluster: what its disks hold survives a crash, and nothing else.
type process struct {
	c       *Cluster
	id      uint64
	log     disk
	data    disk
	spools  spools
	rotten  bool // a bit of a disk has flipped
	lost    bool // for good: a disk was found corrupt
	gone    bool // for now
	founded bool // it has its first peer, if it is to have one
	life    int  // counts starts and ends
	durable durable
	written []logState // what its log may be after a crash: durable, or written since; nil: anything

	// What follows is of one life.

	core    core // nil: it is down
	raftLog raftlog.Log
	logDisk engine.Engine // under it
	engine  *watched
	since   time.Duration // its clock runs as it does, which showed
	shown   time.Duration // this then
	drift   int64         // of its clock, in millionths

	inbox         []store.Event
	share         int           // of the inbox that one turn takes, at most
	eager         bool          // events are given to the store while the effects of a turn are carried out, too
	hesitant      bool          // its loop is interrupted now and then, between any two effects
	hesitations   uint64        // how often that was drawn
	turnDue       time.Duration // when the next evTurn comes; 0: none is scheduled
	effects       []store.Effect
	next          int  // effect
	busy          bool // with effects
	writing       bool // the next effect is a write, and it has begun
	waited        bool // the time that the next effect takes has passed
	failed        error
	installFailed bool
	trouble       error // of something in the background, to be told between two turns
	doom          doom

	pausedUntil  time.Duration
	stalledUntil time.Duration
	stallBefore  string // which effect waits, the next time that it comes; empty: none
	stallFor     time.Duration
	view         replica.View // of the first region, the newest that was published
	waiting      map[uint64]*attempt
	cancelled    []uint64   // requests that the store was told to give up
	latched      []*attempt // writes whose keys no swap may touch, and the other way round
	mirror       mirror
	heard        *replica.Message
	streams      []*stream     // to and from this process
	installs     int           // that read the data which they replace
	discards     uint64        // begun
	discarding   int           // of these, those that are not done
	tomb         uint64        // the peer whose end the data store records; 0: none
	lastHead     snapshot.Head // of a snapshot that it received
	strays       int
}

func newProcess(c *Cluster, id uint64) *process {
	p := &process{c: c, id: id}
	p.log = newDisk(c, id, "log")
	p.data = newDisk(c, id, "data")
	p.spools = newSpools(c, id)
	return p
}

func (p *process) disk(name string) *disk {
	if name == "log" {
		return &p.log
	}
	return &p.data
}

// start begins a life, from the disks alone. A disk that rots is refused; everything else must open.
func (p *process) start() {
	c := p.c
	p.life++
	*p = process{c: c, id: p.id, log: p.log, data: p.data, spools: p.spools, rotten: p.rotten, gone: p.gone,
		founded: p.founded, life: p.life,
		durable: p.durable, written: p.written, waiting: map[uint64]*attempt{}, since: c.now, drift: c.drift(p)}
	opened, err := p.open()
	if err != nil {
		p.refused(err)
		return
	}
	p.core = opened
	p.chooseLoop()
	p.tidySpools()
	p.checkStart()
	c.note(p, "start", p.mirror.applied)
	p.wake()
}

// open opens the disks and the store on them.
func (p *process) open() (core, error) {
	logEngine, err := mem.Open(p.log.mem)
	if err != nil {
		return nil, err
	}
	dataEngine, err := mem.Open(p.data.mem)
	if err != nil {
		return nil, err
	}
	p.logDisk, p.engine = logEngine, &watched{Engine: dataEngine}
	// What survived a crash may still be in a cache that the next one empties. Raft counts it as durable, so it must be.
	for _, e := range []engine.Engine{logEngine, p.engine} {
		if err := e.Write(new(engine.Batch), engine.Synced); err != nil {
			return nil, err
		}
	}
	if p.raftLog, err = raftlog.Open(logEngine, raftlog.Options{CacheBytes: p.c.cacheBytes(p)}); err != nil {
		return nil, err
	}
	if !p.founded && p.id <= uint64(p.c.opts.Stores) {
		if err := store.Bootstrap(p.raftLog, p.engine, p.c.region, p.id); err != nil {
			return nil, err
		}
		p.founded = true
	}
	opened, err := store.Open(store.Config{ClusterID: clusterID, StoreID: p.id, Log: p.raftLog, Data: p.engine,
		Rand: rand.New(p.coreChance()), TickInterval: tick, Raft: p.c.opts.Raft, Limits: p.c.limits})
	if err != nil {
		return nil, err
	}
	if p.c.replace != nil {
		return p.c.replace(p, opened), nil
	}
	return opened, nil
}

// coreChance is the chance that the store is given.
func (p *process) coreChance() rand.Source {
	src := rand.NewPCG(p.c.draw(drawCore, p.id, uint64(p.life)), p.id)
	if o := &p.c.opts; o.Favour == FavourClocks && o.Raft.ReadMode == raft.ReadLease && !o.Calm {
		return hasty{src}
	}
	return src
}

// hasty draws the least number of all most often: elections come as early as they may.
type hasty struct{ rand.Source }

// Uint64 implements rand.Source.
func (s hasty) Uint64() uint64 {
	if n := s.Source.Uint64(); n%4 == 0 {
		return n
	}
	return 1000 << 32 // rand draws a 0 out of this, from any range that is not huge
}

// chooseLoop chooses what the store leaves to its driver: how many events a turn takes, whether more are handed over while
// its effects are carried out, how long it takes to apply, and whether it is interrupted between two effects.
func (p *process) chooseLoop() {
	p.share = math.MaxInt
	if chance := p.c.draw(drawLoop, p.id, uint64(p.life)); p.c.faults {
		p.share = []int{math.MaxInt, math.MaxInt, 4, 1}[chance%4]
		p.eager = chance>>8%2 == 0
		p.data.idle = chance>>9%4 == 0
		p.hesitant = chance>>11%2 == 0
	}
}

// refused is a store that does not start. There must be a reason.
func (p *process) refused(err error) {
	corrupt := errors.Is(err, engine.ErrCorrupt) || errors.Is(err, raftlog.ErrCorrupt) ||
		errors.Is(err, store.ErrCorrupt) || errors.Is(err, replica.ErrCorrupt)
	switch {
	case p.rotten && corrupt:
		p.c.saw("corrupt disk refused")
		p.lost = true
	case errors.Is(err, mem.ErrDiskFull) || errors.Is(err, errSync):
		p.c.restartLater(p)
	default:
		p.c.fail("restart", "store %d does not start: %v", p.id, err)
	}
	if p.c.opts.Trace {
		p.c.tell(p, "does not start: %v", err)
	}
	p.log.mem.Crash()
	p.data.mem.Crash()
}

// clock is the process's own, in this life: it runs a little fast or slow, which may change, and may have jumped.
func (p *process) clock() time.Duration {
	d := p.c.now - p.since
	return p.shown + d + d*time.Duration(p.drift)/million
}

const million = 1_000_000

// when is the first time of the cluster at which the process's clock shows local.
func (p *process) when(local time.Duration) time.Duration {
	return p.since + ((local-p.shown)*million+million+time.Duration(p.drift)-1)/time.Duration(million+p.drift) + 1
}

// receive puts an event into the inbox. If the loop is idle, it takes it at once.
func (p *process) receive(e store.Event) {
	switch {
	case p.core == nil:
		return
	case p.eager && p.busy && len(p.inbox) == 0 && !p.paused() && p.c.now >= p.stalledUntil && !p.halts():
		p.core.Handle(p.clock(), e)
		return
	}
	p.inbox = append(p.inbox, e)
	p.turn()
}

// turnAt is the loop when it was to look at its clock.
func (p *process) turnAt(now time.Duration) {
	if p.turnDue <= now {
		p.turnDue = 0
		p.turn()
	}
}

// turn is the loop, until there is nothing to do, or it has to wait for a disk.
func (p *process) turn() {
	for p.core != nil && !p.busy && !p.paused() && p.c.now >= p.stalledUntil {
		now := p.clock()
		if p.trouble != nil && p.failed == nil {
			p.fail(p.trouble)
		}
		n := min(len(p.inbox), p.share)
		for _, e := range p.inbox[:n] {
			p.core.Handle(now, e)
		}
		p.inbox = slices.Delete(p.inbox, 0, n)
		p.effects, p.next = p.core.Turn(now), 0
		if len(p.effects) == 0 && len(p.inbox) > 0 {
			continue
		}
		if len(p.effects) == 0 {
			if next := p.core.NextTick(); next <= now {
				p.c.fail("ticks", "store %d was called at %v, and wants to be called at %v", p.id, now, next)
			}
			p.checkIdle()
			p.wake()
			return
		}
		p.busy = true
		p.c.counts.Turns++
		p.c.atOnce++
		p.c.checkTimePasses()
		p.carryOut()
	}
}

// wake sees to it that the loop runs when its next tick is due.
func (p *process) wake() {
	due := max(p.when(p.core.NextTick()), p.c.now+1)
	if p.turnDue == 0 || due < p.turnDue {
		p.turnDue = due
		p.c.at(due, event{kind: evTurn, process: p, life: p.life})
	}
}

func (p *process) paused() bool { return p.c.now < p.pausedUntil }

// pause stops the process, as SIGSTOP does: nothing of it runs, its clock does.
func (p *process) pause(d time.Duration) {
	if until := p.c.now + d; until > p.pausedUntil {
		p.pausedUntil = until
		p.c.at(until, event{kind: evResume, process: p, life: p.life})
	}
}

// stall stops the loop alone, now or before an effect of a kind.
func (p *process) stall(before string, d time.Duration) {
	if before != "" {
		p.stallBefore, p.stallFor = before, d
		return
	}
	if until := p.c.now + d; until > p.stalledUntil {
		p.stalledUntil = until
		p.c.at(until, event{kind: evResume, process: p, life: p.life})
	}
}

// resume lets it run again.
func (p *process) resume() {
	if !p.paused() {
		p.turn()
	}
}

// crash ends a life. What was not synced may be gone; a write that was under way may be there in part.
func (p *process) crash() {
	c := p.c
	if p.writing && c.draw(drawDisk, p.id, uint64(p.life))%2 == 0 {
		c.saw("crash within a write")
		p.writeHalf()
	}
	c.saw("crash")
	c.note(p, "crash", uint64(p.life))
	p.end()
	if !c.calm {
		c.restartLater(p)
	}
}

// end is the end of the process: its memory is gone, its connections break.
func (p *process) end() {
	p.breakStreams()
	p.core = nil
	p.life++
	p.log.mem.Crash()
	p.data.mem.Crash()
	p.spools.Crash()
	for _, id := range slices.Sorted(maps.Keys(p.waiting)) {
		p.c.send(p.waiting[id], reply{lost: true})
	}
	p.waiting, p.inbox, p.effects = nil, nil, nil
	p.busy, p.writing, p.waited = false, false, false
}

// restartLater has a process that is down come back within a while.
func (c *Cluster) restartLater(p *process) {
	if c.playing || c.manual {
		return
	}
	chance := c.draw(drawRestart, p.id, uint64(p.life))
	most := []time.Duration{40 * tick, 40 * tick, 5 * tick, tick / 10}[chance%4]
	delay := time.Duration(chance >> 8 % uint64(most))
	c.at(c.now+delay, event{kind: evRestart, process: p, life: p.life})
}

// flip lets a bit of a disk flip, at rest or under the running store.
func (p *process) flip(name string) {
	if p.disk(name).mem.FlipBit() {
		p.rotten = true
		p.c.saw("bit flipped")
	}
}

func (p *process) String() string { return fmt.Sprintf("store %d", p.id) }
