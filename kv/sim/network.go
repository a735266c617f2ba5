// The network: delays, loses, repeats and reorders messages, and has links that are cut, each way on its own.

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// network decides what becomes of a message by its place: the n-th on its link. So what happens to one does not depend on
// what happens on other links.
type network struct {
	c      *Cluster
	stores int
	links  []link // from*stores+to, both from 0

	lose   int // of 1000 messages
	repeat int
	slow   int // of 1000, that take up to three seconds and so arrive out of order
}

type link struct {
	cut  bool
	late time.Duration // how much longer a message takes
	sent uint64
}

func newNetwork(c *Cluster, stores int) network {
	return network{c: c, stores: stores, links: make([]link, stores*stores)}
}

func (w *network) link(from, to uint64) *link { return &w.links[int(from-1)*w.stores+int(to-1)] }

// change performs a decision about the network.
func (w *network) change(d *Decision) {
	switch d.Verb {
	case VerbCut:
		w.link(d.Store, d.To).cut = true
	case VerbDelay:
		w.link(d.Store, d.To).late = d.For
	case VerbMend:
		for i := range w.links {
			w.links[i].cut, w.links[i].late = false, 0
		}
	case VerbWeather:
		w.lose, w.repeat, w.slow = d.Keys[0], d.Keys[1], d.Keys[2]
	}
}

// calm ends all trouble.
func (w *network) calm() {
	w.change(&Decision{Verb: VerbMend})
	w.lose, w.repeat, w.slow = 0, 0, 0
}

// transmit gives a message to the network.
func (w *network) transmit(p *process, m *replica.Message) {
	c := w.c
	c.counts.Messages++
	c.counts.Entries += len(m.Raft.Entries)
	if c.opts.Trace {
		c.tell(p, "sends %s", c.describeMessage(m))
	}
	target := c.process(m.To.StoreID)
	if target == nil || target == p {
		c.fail("address", "store %d sends to store %d: %s", p.id, m.To.StoreID, c.describeMessage(m))
	}
	l := w.link(p.id, target.id)
	l.sent++
	chance := c.draw(drawMessage, p.id, target.id, l.sent)
	if l.cut || int(chance%1000) < w.lose {
		c.saw("message lost")
		w.unreachable(p, target, chance)
		return
	}
	c.at(c.now+l.late+w.latency(chance), event{kind: evDeliver, process: target, message: m})
	if chance /= 1000; int(chance%1000) < w.repeat {
		c.saw("message repeated")
		c.at(c.now+l.late+w.latency(chance*7+3), event{kind: evDeliver, process: target, message: m})
	}
}

// latency is how long a message takes: a fraction of a tick, or now and then up to 30 ticks.
func (w *network) latency(chance uint64) time.Duration {
	if int(chance>>20%1000) < w.slow {
		if chance>>40%50 == 0 {
			return time.Duration(chance >> 10 % uint64(300*tick)) // out of another age
		}
		return time.Duration(chance >> 10 % uint64(30*tick))
	}
	return 100*time.Microsecond + time.Duration(chance>>10%uint64(3*time.Millisecond))
}

// unreachable lets the sender of a lost message sometimes learn that it was lost.
func (w *network) unreachable(p, target *process, chance uint64) {
	if chance>>40%4 == 0 {
		p.receive(store.Unreachable{StoreID: target.id})
	}
}

// deliver lets a message arrive.
func (c *Cluster) deliver(p *process, m *replica.Message) {
	if p.core == nil {
		return
	}
	c.noteMessage(p, m)
	p.heard = m
	if len(p.inbox) < maxInbox {
		p.receive(store.Receive{Message: *m})
	}
}

// maxInbox is what a transport keeps for a store that does not look; what comes then is lost.
const maxInbox = 4096

// toStore says how long a client's request takes, or that it is lost.
func (w *network) toStore(id uint64) (time.Duration, bool) { return w.ofClients(drawRequest, id) }

// toClient says how long a reply takes, or that it is lost.
func (w *network) toClient(id uint64) (time.Duration, bool) { return w.ofClients(drawReply, id) }

// ofClients : between clients and stores less is lost than between stores, for every loss costs what can be checked.
func (w *network) ofClients(what uint64, id uint64) (time.Duration, bool) {
	chance := w.c.draw(what, id)
	return w.latency(chance), int(chance%1000)*8 < w.lose
}

// stray lets a store receive what is none of its business: the last message it got, changed as no correct store would.
// It must not matter.
func (c *Cluster) stray(p *process, what string) {
	if name, ok := strings.CutPrefix(what, "snapshot-"); ok {
		p.strayHead(name)
		return
	}
	if p.heard == nil {
		return
	}
	m := *p.heard
	switch what {
	case "region":
		m.RegionID = 99
		m.Raft.Type = raft.MsgAppResp
	case "store":
		m.To.StoreID++
	case "peer":
		m.From.ID, m.Raft.From = 12345, 12345
		m.Raft.Type = raft.MsgAppResp
	case "term":
		m.Raft.Term += 1 << 40
	case "index":
		m.Raft.Type, m.Raft.Index, m.Raft.Entries = raft.MsgAppResp, m.Raft.Index+1<<40, nil
	case "addressee":
		m.To.ID, m.Raft.To = m.To.ID+1000, m.Raft.To+1000
		m.Raft.Type = raft.MsgAppResp
	}
	c.saw("stray message")
	c.deliver(p, &m)
}

// strayName is how the spools of snapshots begin that no correct store would send.
const strayName = "stray"

// strayHead lets a store receive a snapshot that looks newer than all it has, and says something that can't be. It must be
// discarded: whoever installed it would be lost.
func (p *process) strayHead(what string) {
	if p.lastHead.RegionID == 0 {
		return
	}
	h := p.lastHead
	h.Position.Index += 1000
	switch what {
	case "cluster":
		h.ClusterID++
	case "store":
		h.To.StoreID++
	case "region":
		h.Region.ID++
	case "epoch":
		h.Region.Epoch.ConfVer--
	case "members":
		h.ConfState.Voters = append(slices.Clone(h.ConfState.Voters), 54321)
	case "peers":
		h.Region.Peers = slices.DeleteFunc(slices.Clone(h.Region.Peers), func(m region.Peer) bool { return m == h.To })
	case "range":
		h.Region.Range = region.Range{Start: []byte("b"), End: []byte("a")}
	}
	p.strays++
	name := fmt.Sprintf("%s-%s-%d-%d", strayName, what, p.life, p.strays)
	draft, err := p.spools.Create(name)
	if err == nil {
		_, err = draft.Write([]byte("nothing"))
	}
	if err = errors.Join(err, draft.Commit()); err != nil {
		p.c.fail("disk", "store %d: spool %s: %v", p.id, name, err)
	}
	p.c.saw("stray snapshot")
	p.receive(store.SnapshotReceived{Head: h, Spool: name})
}
