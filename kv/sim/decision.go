// Decisions: what is decided about a run, by its seed or by a trace that is read back. What is not decided here, how long
// a message or a sync takes and what a disk loses in a crash, is drawn from the seed by its place (the n-th message of
// this link, say), so it stays what it is when other decisions are taken out.

package sim

import (
	"time"

	"tinykv/kv/region"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Verb says what a decision is about.
type Verb uint8

// What can be decided. In brackets, the fields of Decision that count.
const (
	VerbStart    Verb = iota + 1 // Store begins a life, from its disks
	VerbCrash                    // Store dies: at once, or Where the Count-th effect of kind What comes
	VerbStop                     // Store is asked to end properly
	VerbPause                    // Store's process stands still For a while; its clock does not
	VerbStall                    // Store's loop, but no reader, stands still For a while: now, or before its next What
	VerbJump                     // Store's clock jumps ahead by For
	VerbDrift                    // Store's clock runs "slow" or "fast" (What) from now on, as much as it may
	VerbCall                     // client Client begins call Value: What with Keys, at Store, with patience For
	VerbCut                      // the link Store -> To loses everything
	VerbDelay                    // what goes from Store to To arrives later, by For
	VerbMend                     // all links work again, at once
	VerbWeather                  // of 1000 messages so many are lost, repeated and slow: Keys
	VerbDisk                     // the disk What of Store ("log" or "data") becomes Where
	VerbFlip                     // a bit of the disk What of Store flips
	VerbTransfer                 // Store is asked to hand leadership to the peer on store To
	VerbChange                   // Store is asked to "add", "remove" or make a "learner" (What) of peer Value on store To
	VerbStray                    // Store receives the last message once more, changed: What is wrong with it
	VerbCalm                     // trouble is over: from here on there must be progress; the stores in Keys are gone
)

var verbNames = [...]string{"", "start", "crash", "stop", "pause", "stall", "jump", "drift", "call", "cut", "delay", "mend",
	"weather", "disk", "flip", "transfer", "change", "stray", "calm"}

// Decision is one thing that was decided.
type Decision struct {
	At     time.Duration // virtual
	Verb   Verb
	Store  uint64
	To     uint64
	What   string
	Where  string
	Value  uint64
	Count  int
	Client int
	Keys   []int
	For    time.Duration

	Told []string // what came of it
}

// do performs a decision. It reports whether the decision applies at all: a trace may ask a store that is down to stop.
func (c *Cluster) do(d Decision) bool {
	d.At = c.now
	if !c.applies(&d) {
		return false
	}
	c.record(d)
	switch d.Verb {
	case VerbCut, VerbDelay, VerbMend, VerbWeather:
		c.network.change(&d)
		c.note(nil, verbNames[d.Verb], d.Store, d.To)
	case VerbCall:
		c.begin(&d)
	case VerbCalm:
		c.beginCalm(&d)
	default:
		c.happen(c.process(d.Store), &d)
	}
	return true
}

// applies tells whether there is somebody to whom the decision may happen.
func (c *Cluster) applies(d *Decision) bool {
	switch d.Verb {
	case VerbMend, VerbWeather, VerbCalm:
		return true
	case VerbCut, VerbDelay, VerbTransfer, VerbChange:
		if c.process(d.To) == nil {
			return false
		}
	}
	p := c.process(d.Store)
	switch {
	case p == nil:
		return false
	case d.Verb == VerbStart:
		return p.core == nil && !p.lost
	case d.Verb == VerbCut, d.Verb == VerbDelay, d.Verb == VerbCall, d.Verb == VerbDisk, d.Verb == VerbFlip:
		return true
	}
	return p.core != nil
}

// happen lets a decision happen to a store.
func (c *Cluster) happen(p *process, d *Decision) {
	switch d.Verb {
	case VerbStart:
		p.start()
	case VerbCrash:
		p.doom = doom{what: d.What, within: d.Where == "within", count: d.Count}
		if d.Count == 0 {
			p.crash()
		}
	case VerbStop:
		c.saw("stopped properly")
		p.receive(store.Stop{})
	case VerbPause:
		c.saw("paused")
		p.pause(d.For)
	case VerbStall:
		c.saw("loop stalled")
		p.stall(d.What, d.For)
	case VerbJump:
		c.saw("clock jumped")
		p.shown += d.For
		p.wake()
	case VerbDrift:
		p.shown, p.drift = p.clock(), c.mostDrift()
		if p.since = c.now; d.What == "slow" {
			p.drift = -p.drift
		}
		p.wake()
	case VerbDisk:
		p.disk(d.What).become(d.Where)
	case VerbFlip:
		p.flip(d.What)
	case VerbTransfer, VerbChange:
		c.administer(p, d)
	case VerbStray:
		c.stray(p, d.What)
	}
}

// operatorTicks is how long operators wait for an answer.
const operatorTicks = 50

// administer asks a store for what operators and schedulers ask for. That it may be refused is part of the run. Who wants
// other members says which ones it knows: an id is never used again.
func (c *Cluster) administer(p *process, d *Decision) {
	rc := store.RequestContext{ClusterID: clusterID, RegionID: firstRegion}
	c.requests++
	id := c.requests
	p.waiting[id] = &attempt{id: id, process: p, life: p.life}
	c.at(c.now+operatorTicks*tick, event{kind: evCancel, process: p, life: p.life, attempt: p.waiting[id]})
	if d.Verb == VerbTransfer {
		c.saw("transfer asked")
		p.receive(store.TransferLeader{ID: id, RequestContext: rc, To: c.peerOn(d.To)})
		return
	}
	c.saw("change asked")
	rc.Epoch = p.view.Region.Epoch
	change := store.ChangePeer{ID: id, RequestContext: rc, Peer: region.Peer{ID: d.Value, StoreID: d.To}}
	switch d.What {
	case "add":
		change.Type = raft.ConfChangeAddNode
	case "learner":
		change.Type = raft.ConfChangeAddLearner
	case "remove":
		change.Type = raft.ConfChangeRemoveNode
	}
	p.receive(change)
}

// peerOn is the peer that a store has, or the one it had last.
func (c *Cluster) peerOn(storeID uint64) uint64 {
	p := c.process(storeID)
	if p.view.Peer.ID != 0 {
		return p.view.Peer.ID
	}
	return firstPeer(storeID)
}
