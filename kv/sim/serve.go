// The server's side of a call: what stands between clients and a store's loop. Latches, reads that trust a lease, the
// two halves of a swap.

package sim

import (
	"errors"
	"slices"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/store"
)

// arrives lets a request arrive at its store.
func (c *Cluster) arrives(a *attempt) {
	p := a.process
	if p.core == nil {
		c.send(a, reply{err: errRefused})
		return
	}
	a.life, a.acked = p.life, c.ledger.acked
	c.note(p, "asked", a.id)
	if !p.latch(a) {
		c.send(a, reply{err: &region.BusyError{Reason: "the key is latched"}})
		return
	}
	p.waiting[a.id] = a
	if a.reads = a.call.kind == callGet || a.call.kind == callSwap; a.reads {
		p.read(a)
		return
	}
	p.write(a)
}

// write asks the store for the write of an attempt. One that was decided on what was read is bound to the term of that.
func (p *process) write(a *attempt) {
	if a.call.kind == callSwap {
		p.c.ledger.swaps[a.value] = a
	}
	p.receive(store.Write{ID: a.id, RequestContext: p.c.context(a), Term: a.term, Batch: p.c.batch(a)})
}

// latch takes the keys of a write, as a server does: until a swap is answered there is no other write of its keys here.
// It reports whether they were free.
func (p *process) latch(a *attempt) bool {
	if a.call.kind == callGet {
		return true
	}
	for _, other := range p.latched {
		both := a.call.kind == callSwap || other.call.kind == callSwap
		if both && slices.ContainsFunc(a.call.keys, func(key int) bool { return slices.Contains(other.call.keys, key) }) {
			p.c.saw("latched key")
			return false
		}
	}
	p.latched = append(p.latched, a)
	return true
}

// unlatch gives the keys back: the fate of the write is known here, or nobody knows it.
func (p *process) unlatch(a *attempt) {
	p.latched = slices.DeleteFunc(p.latched, func(other *attempt) bool { return other == a })
}

// context is the client's picture of the cluster: some say all they know, some little.
func (c *Cluster) context(a *attempt) store.RequestContext {
	rc := store.RequestContext{ClusterID: clusterID, StoreID: a.process.id, RegionID: firstRegion}
	if a.call.id%3 > 0 {
		rc.Epoch = a.call.client.epoch
	}
	return rc
}

// batch is what a write writes.
func (c *Cluster) batch(a *attempt) *engine.Batch {
	b := new(engine.Batch)
	if a.call.kind == callClear {
		b.DeleteRange(clearedFrom.cf, clearedFrom.key, clearedTo)
		return b
	}
	for _, key := range a.call.keys {
		for _, at := range c.keyspace.places(key) {
			if a.call.kind == callDelete {
				b.Delete(at.cf, at.key)
			} else {
				b.Put(at.cf, at.key, value(a.value, a.call.text))
			}
		}
	}
	return b
}

// cancel tells the store that nobody waits for a request any more.
func (p *process) cancel(a *attempt) {
	if p.waiting[a.id] == a && !a.ours {
		p.cancelled = append(p.cancelled, a.id)
		p.receive(store.Cancel{ID: a.id, RegionID: firstRegion})
	}
}

// read serves a read: by the lease that the store has published if there is one, and else by the loop. Some ask the loop
// all the same.
func (p *process) read(a *attempt) {
	if p.mayTrust(a) {
		a.trusts = p.view
		chance := p.c.draw(drawLook, a.id)
		if most := lookDelays[chance%uint64(len(lookDelays))]; most > 0 {
			a.ours = true
			p.c.at(p.c.now+time.Duration(chance>>8%uint64(most)), event{kind: evLook, process: p, life: p.life, attempt: a})
			return
		}
		p.look(a)
		return
	}
	p.receive(store.Read{ID: a.id, RequestContext: p.c.context(a)})
}

// lookDelays are for how long, at most, a reader may stand still after it has looked at the lease and the clock.
var lookDelays = [16]time.Duration{tick, tick, 40 * tick}

// mayTrust tells whether a request may be served without the loop.
func (p *process) mayTrust(a *attempt) bool {
	rc := p.c.context(a)
	fits := rc.Epoch.ConfVer == 0 || rc.Epoch == p.view.Region.Epoch
	return fits && p.trusted() && !p.paused() && p.c.draw(drawLook, a.id, 1)%4 > 0
}

// look takes the engine snapshot for a reader that trusts a lease, perhaps a while after it looked at it.
func (p *process) look(a *attempt) {
	if p.waiting[a.id] != a {
		return
	}
	a.ours = false
	snap, err := p.engine.Snapshot()
	if err != nil {
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	defer snap.Close()
	if p.view.Installs != a.trusts.Installs || p.view.Gone {
		p.receive(store.Read{ID: a.id, RequestContext: p.c.context(a)})
		return
	}
	delete(p.waiting, a.id)
	p.c.saw("lease read")
	p.c.counts.LeaseReads++
	a.term = a.trusts.Term
	p.checkFresh(a)
	p.haveRead(a, p.serve(snap, a))
}

// haveRead goes on with what an attempt has read: to its client, or to the second half of a swap.
func (p *process) haveRead(a *attempt, r reply) {
	a.reads = false
	if a.call.kind == callGet || r.lost || r.err != nil {
		p.unlatch(a)
		p.c.send(a, r)
		return
	}
	p.c.saw("swap")
	p.c.requests++
	a.old, a.id = r.values[0], p.c.requests
	p.waiting[a.id] = a
	chance := p.c.draw(drawThink, a.id)
	if chance%4 > 0 {
		p.write(a)
		return
	}
	a.ours = true // it thinks about what it has read
	p.c.at(p.c.now+time.Duration(chance>>8%uint64(30*tick)), event{kind: evThought, process: p, life: p.life, attempt: a})
}

// thought is a swap that has thought about what it has read, for so long that another store may have led meanwhile. If its
// client has given up by then, it does not write.
func (p *process) thought(a *attempt) {
	switch {
	case p.waiting[a.id] != a:
		return
	case a.call.over:
		delete(p.waiting, a.id)
		p.unlatch(a)
		return
	}
	a.ours = false
	p.write(a)
}

// serve reads what was asked for out of one state. A disk that rots fails the read, and the store at the next occasion.
func (p *process) serve(snap engine.Snapshot, a *attempt) reply {
	var r reply
	for _, key := range a.call.keys {
		n, err := p.get(snap, key, 0)
		if key == thePair && err == nil {
			var second uint32
			if second, err = p.get(snap, key, 1); second != n && err == nil {
				p.c.fail("atomic-batch", "store %d: the two keys of the pair are always written together, and hold %s and %s",
					p.id, valueName(n), valueName(second))
			}
		}
		if err != nil {
			p.c.saw("corrupt value found")
			p.trouble = err
			return reply{lost: true}
		}
		r.values = append(r.values, n)
	}
	if p.c.opts.Trace {
		p.c.tell(p, "serves %s: %v", p.c.describeCall(a), r.values)
	}
	return r
}

// get reads one place of a key.
func (p *process) get(snap engine.Snapshot, key, place int) (uint32, error) {
	at := p.c.keyspace.places(key)[place]
	b, err := snap.Get(at.cf, at.key)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return 0, nil
	case err != nil && p.rotten:
		return 0, err
	case err != nil:
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	n, ok := valueOf(b)
	if !ok {
		p.c.fail("disk", "store %d has %q under %s, which nobody put", p.id, b, at.key)
	}
	return n, nil
}
