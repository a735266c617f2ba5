// After the faults: a quorum must get somewhere, then all must come to the same state.

package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// decideCalm ends the trouble, and chooses the minority that does not come back for now. When members change all come
// back: which of them are a quorum depends on who is asked.
func (c *Cluster) decideCalm() {
	gone := []int{}
	if c.opts.Spares == 0 {
		left := (len(c.processes) - 1) / 2
		for _, p := range c.processes {
			if p.rotten {
				left-- // it may not come back either
			}
		}
		for _, i := range c.rnd.Perm(len(c.processes)) {
			if left > 0 && !c.processes[i].rotten && c.rnd.IntN(3) > 0 {
				gone = append(gone, i+1)
				left--
			}
		}
	}
	c.do(Decision{Verb: VerbCalm, Keys: gone})
}

// beginCalm heals everything but the stores that are gone.
func (c *Cluster) beginCalm(d *Decision) {
	c.faults, c.calm, c.atCalm = false, true, c.counts
	c.network.calm()
	c.annotate("calm")
	for _, p := range c.processes {
		p.doom = doom{}
		p.log.become("well")
		p.data.become("well")
	}
	for _, id := range d.Keys {
		if p := c.process(uint64(id)); p.core != nil {
			p.crash()
		}
	}
	for _, p := range c.processes {
		p.gone = contains(d.Keys, p.id)
		c.revive(p)
	}
}

// revive brings a store back that is neither gone nor lost.
func (c *Cluster) revive(p *process) {
	if p.gone || p.lost {
		return
	}
	if p.core == nil {
		p.start()
		return
	}
	p.pausedUntil, p.stalledUntil, p.stallBefore = 0, 0, ""
	p.turn()
}

func contains(keys []int, id uint64) bool {
	for _, key := range keys {
		if uint64(key) == id {
			return true
		}
	}
	return false
}

// progressed reports whether clients got somewhere since the calm began.
func (c *Cluster) progressed() bool {
	return c.counts.Writes >= c.atCalm.Writes+5 && c.counts.Reads >= c.atCalm.Reads+5
}

// untilProgress goes on until clients got somewhere. If a list of decisions is played that has no calls left, they make
// calls of their own, and have as much time again.
func (c *Cluster) untilProgress() {
	patience := tick * time.Duration(c.opts.LivenessTicks)
	for end := c.now + patience; !c.progressed(); c.step() {
		if c.playing && c.now > c.quiet {
			c.playing = false
			c.scheduleClients()
			end = c.now + patience
		}
		if c.now > end {
			c.fail("liveness", "%d writes and %d reads in %d ticks after everything healed",
				c.counts.Writes-c.atCalm.Writes, c.counts.Reads-c.atCalm.Reads, c.opts.LivenessTicks)
		}
	}
}

// converge ends a run: those who were gone come back, clients stop, every replica must come to the state of the others,
// and every request must have its answer. Then each key is read once more, and the whole history is judged.
func (c *Cluster) converge() {
	c.ending = true
	for _, p := range c.processes {
		p.gone = false
		c.revive(p)
	}
	c.await("converge", c.whatIsLeft)
	for key := range c.keyspace.size() + 1 {
		c.readAtLast(key)
	}
	c.checkHistory()
}

// await goes on until what is left to come is done, and left says nothing.
func (c *Cluster) await(invariant string, left func() string) {
	for end := c.now + tick*time.Duration(c.opts.LivenessTicks); left() != ""; c.step() {
		if c.now > end {
			c.fail(invariant, "in %d ticks it does not come to this: %s", c.opts.LivenessTicks, left())
		}
	}
}

// whatIsLeft tells what is missing before the end: all members have applied the same, nobody waits for an answer, and
// nothing goes on in the background. Empty if nothing is.
func (c *Cluster) whatIsLeft() string {
	leader := c.leader()
	switch {
	case leader == nil:
		return "somebody leads"
	case len(c.open) > 0:
		return fmt.Sprintf("call %d ends", c.open[0].id)
	}
	for _, p := range c.processes {
		if left := p.whatIsLeft(leader); left != "" && !p.lost {
			return fmt.Sprintf("store %d %s", p.id, left)
		}
	}
	return ""
}

func (p *process) whatIsLeft(leader *process) string {
	_, member := leader.view.Region.PeerOn(p.id)
	switch {
	case p.core == nil:
		return "is up"
	case len(p.waiting) > 0:
		return "answers " + p.c.describeCall(p.waiting[slices.Min(slices.Collect(maps.Keys(p.waiting)))])
	case len(p.streams) > 0:
		return "has no stream"
	case p.busy || len(p.inbox) > 0 || p.discarding > 0:
		return "has nothing to do"
	case member && !p.caughtUp(leader):
		return fmt.Sprintf("has caught up with store %d, and knows the same members", leader.id)
	case p == leader && p.kept() > p.mostKept():
		return fmt.Sprintf("has compacted its log of %d entries", p.kept())
	case member && p.mirror.truncated < p.mirror.allowed:
		return fmt.Sprintf("has cut its log up to %d, as it may, and not to %d", p.mirror.allowed, p.mirror.truncated)
	case member && p.logState().installing:
		return "has forgotten in its log the snapshot that it installed"
	case p.mirror.there && p.view.Gone:
		return "has removed the data of the peer that it has no more"
	}
	return ""
}

// compactSlack is by how many entries a leader's log may exceed its limit when all is quiet: each compaction is an entry
// itself. A follower that died before it had cut its log waits for the next occasion.
const compactSlack = 5

// mostKept is how long a leader's log may be: it waits for a store that is lost, but not for ever.
func (p *process) mostKept() uint64 {
	limits := &p.c.limits
	if slices.ContainsFunc(p.c.processes, func(q *process) bool { return q.lost }) {
		return max(limits.CompactEntries, limits.MaxLagEntries) + compactSlack
	}
	return limits.CompactEntries + compactSlack
}

// kept is how many entries the log has.
func (p *process) kept() uint64 {
	state, _, _ := p.raftLog.State(firstRegion)
	return state.Last.Index - state.Truncated.Index
}

func (p *process) caughtUp(leader *process) bool {
	return p.mirror.there && !p.view.Installing && p.mirror.applied == leader.mirror.applied &&
		p.view.Region.Epoch == leader.view.Region.Epoch && leader.view.Last == leader.mirror.applied
}

// readAtLast reads a key through the leader's log, when all is quiet: what was acknowledged must be there.
func (c *Cluster) readAtLast(key int) {
	d := Decision{Verb: VerbCall, What: "get", Value: c.calls + 1, Keys: []int{key}, Store: 1, For: 100 * tick}
	call := c.begin(&d)
	c.await("converge", func() string {
		if call.over {
			return ""
		}
		return "a last read is served"
	})
	if call.err != nil {
		c.fail("converge", "a last read of key %d: %v", key, call.err)
	}
}

// checkHistory judges what clients saw, and compares all replicas, byte by byte.
func (c *Cluster) checkHistory() {
	for _, p := range c.processes {
		if p.core == nil {
			continue
		}
		p.readMirror()
		p.checkLogDisk()
		if names, _ := p.spools.List(); c.ending && len(names) > 0 {
			c.fail("bounded", "store %d keeps the spools %v, which nobody needs", p.id, names)
		}
		if held := p.held(); p.engine.open != held && !p.busy {
			c.fail("snapshots-closed", "store %d has %d snapshots of its data open, %d are in use", p.id, p.engine.open, held)
		}
	}
	key, verdict := c.history.check()
	if verdict == porcupine.Ok {
		return
	}
	if c.opts.Record {
		c.page = c.history.picture(key)
	}
	if verdict == porcupine.Unknown {
		c.fail("history-undecided", "the checker could not decide in %v whether the history of %s is linearizable", checkLimit,
			c.keyName(key))
	}
	c.fail("linearizable", "no order of the calls on %s explains what clients saw; the picture shows how far it goes",
		c.keyName(key))
}

func (c *Cluster) keyName(key int) string {
	if key == thePair {
		return "the pair"
	}
	return string(c.keyspace.places(key)[0].key)
}
