// Who makes trouble.

package sim

import (
	"time"

	"tinykv/kv/replica"
	"tinykv/raft"
)

// drawLimits chooses the limits of all stores: small ones, most often, so that compaction and snapshots are not rare.
func (c *Cluster) drawLimits() replica.Limits {
	l := c.opts.Limits
	if c.opts.Calm || l.CompactEntries != 0 {
		return l
	}
	l.CompactEntries = []uint64{10, 50, 200}[c.rnd.IntN(3)]
	if c.opts.Favour == FavourSnapshots {
		l.CompactEntries = 3 + c.rnd.Uint64N(10)
	}
	l.MaxLagEntries = l.CompactEntries * (1 + c.rnd.Uint64N(3))
	return l
}

// mostDrift is how far a store's clock may be off, in millionths. A lease of 8 ticks out of 10 and a tick of granularity
// bear 5 %.
func (c *Cluster) mostDrift() int64 {
	switch {
	case c.opts.Favour != FavourClocks:
		return 20_000
	case c.opts.Raft.ReadMode == raft.ReadLease:
		return 50_000
	}
	return 300_000
}

// drift is how far a store's clock is off in this life, until somebody changes it.
func (c *Cluster) drift(p *process) int64 {
	most := c.mostDrift()
	return int64(c.draw(drawPeriod, p.id, uint64(p.life))%uint64(2*most+1)) - most
}

// cacheBytes is how much of the log a store keeps in memory: often so little that entries are read from the disk.
func (c *Cluster) cacheBytes(p *process) uint64 {
	if c.opts.Calm {
		return 0
	}
	return []uint64{0, 1, 500, 5000}[c.draw(drawCore, p.id)%4]
}

// nemesis does one thing that may go wrong in a cluster, and comes back.
func (c *Cluster) nemesis() {
	if !c.faults {
		return
	}
	least, pause := time.Duration(0), 30*tick
	if c.opts.Favour == FavourClocks {
		pause = 20 * tick
	}
	p := c.processes[c.rnd.IntN(len(c.processes))]
	switch favoured := c.rnd.IntN(3) > 0; {
	case c.belated != nil:
		c.mute()
	case !favoured:
		c.anything(p)
	case c.opts.Favour == FavourLeaders:
		c.depose()
	case c.opts.Favour == FavourSnapshots:
		least = c.strainSnapshots(p)
	case c.opts.Favour == FavourSlowDisks:
		c.do(Decision{Verb: VerbDisk, Store: p.id, What: c.eitherDisk(), Where: c.either("slow", "slow", "well")})
	case c.opts.Favour == FavourClocks:
		least = c.strainClocks(p)
	case c.opts.Favour == FavourMembers:
		c.changeMembers(p)
		pause = 15 * tick
	case c.opts.Favour == FavourBadDisks:
		c.spoilDisk(p)
	default:
		c.anything(p)
	}
	if c.belated != nil {
		pause = 8 * tick
	}
	c.at(c.now+least+c.upTo(pause), event{kind: evNemesis})
}

func (c *Cluster) either(choices ...string) string { return choices[c.rnd.IntN(len(choices))] }

func (c *Cluster) eitherDisk() string { return c.either("log", "data") }

// upTo draws a time.
func (c *Cluster) upTo(d time.Duration) time.Duration { return time.Duration(c.rnd.Int64N(int64(d))) }

func (c *Cluster) anything(p *process) {
	switch c.rnd.IntN(24) {
	case 0, 1:
		c.do(Decision{Verb: VerbCrash, Store: p.id})
	case 2:
		if c.rnd.IntN(4) == 0 {
			c.blackOut()
			return
		}
		fallthrough
	case 3, 4:
		c.crashAt(p, c.either("", "WriteLog", "WriteData", "Send", "Answer", "Publish"))
	case 5:
		c.do(Decision{Verb: VerbStop, Store: p.id})
	case 6, 7:
		c.partition()
	case 8:
		c.cut(p, c.processes[c.rnd.IntN(len(c.processes))])
	case 9, 10, 11, 12:
		c.do(Decision{Verb: VerbMend})
	case 13, 14:
		c.changeWeather()
	case 15, 16:
		c.do(Decision{Verb: VerbPause, Store: p.id, For: c.upTo(40 * tick)})
	case 17:
		c.do(Decision{Verb: VerbStall, Store: p.id, For: c.upTo(20 * tick)})
		c.do(Decision{Verb: VerbDisk, Store: p.id, What: c.eitherDisk(), Where: c.either("slow", "well")})
	case 18:
		c.do(Decision{Verb: VerbDisk, Store: p.id, What: c.eitherDisk(), Where: c.either("failing", "full", "well")})
		c.do(Decision{Verb: VerbDisk, Store: uint64(1 + c.rnd.IntN(len(c.processes))), What: c.eitherDisk(), Where: "well"})
	case 19, 20:
		c.transfer()
	case 21:
		c.do(Decision{Verb: VerbStray, Store: p.id,
			What: c.either("region", "store", "peer", "term", "index", "addressee")})
		c.strayHead(p)
	case 22:
		c.crashAt(p, c.either("Install", "Chunk", "InstallStep", "SyncData", "Discard", "Stream"))
	case 23:
		if c.opts.Spares > 0 {
			c.changeMembers(p)
		}
	}
}

// strayHead gives a store a snapshot that it must not take.
func (c *Cluster) strayHead(p *process) {
	c.do(Decision{Verb: VerbStray, Store: p.id, What: "snapshot-" +
		c.either("cluster", "store", "region", "epoch", "members", "peers", "range")})
}

// blackOut takes the current away from all stores at once: what is on no disk is nowhere.
func (c *Cluster) blackOut() {
	c.saw("blackout")
	for _, p := range c.processes {
		c.do(Decision{Verb: VerbCrash, Store: p.id})
	}
}

// crashAt has a store die at one of the next effects of a kind.
func (c *Cluster) crashAt(p *process, what string) {
	c.do(Decision{Verb: VerbCrash, Store: p.id, What: what, Where: c.either("before", "within"), Count: 1 + c.rnd.IntN(4)})
}

func (c *Cluster) changeWeather() {
	c.do(Decision{Verb: VerbWeather, Keys: []int{[]int{0, 10, 100, 300}[c.rnd.IntN(4)], []int{0, 20, 100}[c.rnd.IntN(3)],
		[]int{0, 10, 100}[c.rnd.IntN(3)]}})
}

// partition splits the stores in two groups that do not hear each other.
func (c *Cluster) partition() {
	c.saw("partition")
	side := c.rnd.Uint64()
	for _, from := range c.processes {
		for _, to := range c.processes {
			if side>>from.id&1 != side>>to.id&1 {
				c.cut(from, to)
			}
		}
	}
}

func (c *Cluster) cut(from, to *process) {
	if from != to {
		c.do(Decision{Verb: VerbCut, Store: from.id, To: to.id})
	}
}

// leader is the store that leads, as far as it says so itself; nil if there is none.
func (c *Cluster) leader() *process {
	var leader *process
	for _, p := range c.processes {
		if p.core != nil && p.view.Leads() && (leader == nil || p.view.Term > leader.view.Term) {
			leader = p
		}
	}
	return leader
}

// depose takes the leader away, most often while it has appended what few have: it is cut off, and works on alone for a
// while; or it stands still; or it dies.
func (c *Cluster) depose() {
	c.do(Decision{Verb: VerbMend})
	p := c.leader()
	if p == nil {
		return
	}
	switch c.rnd.IntN(5) {
	case 0:
		c.crashAt(p, c.either("WriteLog", "Send", "WriteData", "Answer"))
		return
	case 4:
		c.delay(p)
		return
	case 1:
		c.do(Decision{Verb: VerbPause, Store: p.id, For: 10*tick + c.upTo(30*tick)})
		return
	}
	c.saw("leader cut off")
	for _, q := range c.processes {
		if c.rnd.IntN(5) > 0 {
			c.cut(p, q)
		}
		if c.rnd.IntN(5) > 0 {
			c.cut(q, p)
		}
	}
}

// delay lets a leader hear everything late. Soon after, it is heard no more (mute): while the others elect another one, it
// still gets answers to what it asked when it led.
func (c *Cluster) delay(leader *process) {
	c.saw("leader hears late")
	c.belated = leader
	late := 10*tick + c.upTo(40*tick)
	for _, q := range c.processes {
		if q != leader {
			c.do(Decision{Verb: VerbDelay, Store: q.id, To: leader.id, For: late})
		}
	}
}

func (c *Cluster) mute() {
	for _, q := range c.processes {
		c.cut(c.belated, q)
	}
	c.belated = nil
}

// strainSnapshots has stores fall behind, and breaks what then helps them. It returns for how long that must last.
func (c *Cluster) strainSnapshots(p *process) (least time.Duration) {
	c.do(Decision{Verb: VerbMend})
	if q := c.installing(); q != nil && c.rnd.IntN(2) == 0 {
		c.crown(q)
		return 0
	}
	switch c.rnd.IntN(6) {
	case 0:
		if leader := c.leader(); leader != nil && c.rnd.IntN(2) == 0 {
			p = leader // whose readers may have looked at its lease
		}
		c.do(Decision{Verb: VerbPause, Store: p.id, For: 20*tick + c.upTo(30*tick)})
	case 1:
		if leader := c.leader(); leader != nil && c.rnd.IntN(2) == 0 {
			p = leader // what it proposes is heard, and it will never know by whom
		}
		for _, q := range c.processes {
			c.cut(q, p)
		}
		return 40 * tick
	case 2, 3:
		c.crashAt(p, c.either("Install", "InstallStep", "InstallStep", "Chunk"))
	case 4:
		c.do(Decision{Verb: VerbCrash, Store: p.id})
	case 5:
		c.strayHead(p)
	}
	return 0
}

// installing is a store that installs a snapshot, as far as it says so; nil if there is none.
func (c *Cluster) installing() *process {
	for _, p := range c.processes {
		if p.core != nil && p.view.Installing {
			return p
		}
	}
	return nil
}

// crown has leadership handed over to a store that has no state it could serve from.
func (c *Cluster) crown(p *process) {
	if leader := c.leader(); leader != nil && leader != p {
		c.saw("handed to who installs")
		c.do(Decision{Verb: VerbTransfer, Store: leader.id, To: p.id})
	}
}

// strainClocks stops processes, so that much time passes for them at once, and moves clocks if nobody trusts them. It
// returns for how long that must last.
func (c *Cluster) strainClocks(p *process) (least time.Duration) {
	switch leader := c.leader(); {
	case leader != nil && c.rnd.IntN(4) == 0:
		c.handOver(leader)
	case leader != nil && c.rnd.IntN(2) == 0:
		c.silence(leader)
		return 15 * tick
	case c.opts.Raft.ReadMode != raft.ReadLease && c.rnd.IntN(2) == 0:
		c.do(Decision{Verb: VerbJump, Store: p.id, For: c.upTo(50 * tick)})
	case leader != nil && c.rnd.IntN(2) == 0:
		c.depose()
	default:
		c.do(Decision{Verb: VerbPause, Store: p.id, For: c.upTo(25 * tick)})
	}
	return 0
}

// silence cuts the leader off from all others at once. Its clock is slow, theirs are fast, and one of them will dare to
// lead. Its loop may stand still: then nobody is there to withdraw what readers trust.
func (c *Cluster) silence(leader *process) {
	c.saw("leader cut off")
	c.do(Decision{Verb: VerbMend})
	if c.rnd.IntN(3) > 0 {
		c.do(Decision{Verb: VerbStall, Store: leader.id, For: 5*tick + c.upTo(10*tick)})
	}
	for _, q := range c.processes {
		c.do(Decision{Verb: VerbDrift, Store: q.id, What: map[bool]string{true: "slow", false: "fast"}[q == leader]})
		c.cut(leader, q)
		c.cut(q, leader)
	}
}

// handOver has leadership handed over by a leader that hears nothing of what follows: only its own word ends its lease.
func (c *Cluster) handOver(leader *process) {
	c.saw("handed over")
	c.do(Decision{Verb: VerbMend})
	if c.rnd.IntN(3) > 0 {
		c.do(Decision{Verb: VerbDisk, Store: leader.id, What: c.eitherDisk(), Where: c.either("slow", "slow", "well")})
	}
	if c.rnd.IntN(2) == 0 {
		c.do(Decision{Verb: VerbStall, Store: leader.id, What: c.either("Publish", "Send", "WriteLog"), For: c.upTo(6 * tick)})
	}
	to := c.processes[c.rnd.IntN(len(c.processes))]
	if c.do(Decision{Verb: VerbTransfer, Store: leader.id, To: to.id}); to == leader {
		return
	}
	for _, q := range c.processes {
		c.cut(q, leader)
	}
}

func (c *Cluster) transfer() {
	if p := c.leader(); p != nil {
		c.do(Decision{Verb: VerbTransfer, Store: p.id, To: uint64(1 + c.rnd.IntN(len(c.processes)))})
	}
}

// changeMembers asks the leader for a change of the members: a store without a peer gets one, or a peer goes. Two voters
// are the least.
func (c *Cluster) changeMembers(p *process) {
	leader := c.leader()
	if leader == nil {
		return
	}
	if q := c.installing(); q != nil && c.rnd.IntN(2) == 0 {
		p = q
	}
	reg := leader.view.Region
	peer, member := reg.PeerOn(p.id)
	d := Decision{Verb: VerbChange, Store: leader.id, To: p.id, Value: peer.ID}
	switch {
	case member && len(reg.Peers) > 2 && p != leader:
		d.What = c.either("remove", "remove", "learner", "add")
	case member:
		c.transfer()
		return
	default:
		c.nextPeer++
		d.Value, d.What = c.nextPeer, c.either("add", "learner")
	}
	c.do(d)
}

// spoilDisk makes a disk bad. So that a quorum is always left, a minority of the stores may lose a disk for good.
func (c *Cluster) spoilDisk(p *process) {
	rotten := 0
	for _, q := range c.processes {
		if q.rotten {
			rotten++
		}
	}
	switch n := c.rnd.IntN(6); {
	case n == 0 && !p.rotten && 2*(rotten+1) < c.opts.Stores:
		c.do(Decision{Verb: VerbFlip, Store: p.id, What: c.eitherDisk()})
	case n < 3:
		c.do(Decision{Verb: VerbDisk, Store: p.id, What: c.eitherDisk(), Where: "failing"})
	case n < 4:
		c.do(Decision{Verb: VerbDisk, Store: p.id, What: c.eitherDisk(), Where: "full"})
	default:
		for _, q := range c.processes {
			c.do(Decision{Verb: VerbDisk, Store: q.id, What: "log", Where: "well"})
			c.do(Decision{Verb: VerbDisk, Store: q.id, What: "data", Where: "well"})
		}
	}
}
