package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// chaos drives a world at random: messages are lost and late, processes crash between effects and come back, logs are
// compacted, leadership is handed over, peers come and go. Versions are written to a few keys, one after another;
// nothing that was acknowledged may be lost, and nothing older than what was acknowledged before may be read.
type chaos struct {
	*world
	rnd      *rand.Rand
	late     []replica.Message
	writing  map[uint64]version // under way, by request
	reading  map[uint64]version // what must be seen at least
	acked    [chaosKeys]int
	next     [chaosKeys]int
	reads    int
	leases   int
	quiet    bool
	installs uint64
	changes  int
	apart    uint64 // a store that is cut off; 0: none
	peerID   uint64 // the last that was given to a new peer
}

type version struct{ key, n int }

const chaosKeys = 3

func (c *chaos) one(in int) bool { return !c.quiet && c.rnd.IntN(in) == 0 }

func TestNothingIsLostAndNothingIsStaleUnderChaos(t *testing.T) {
	reads, leases, installs := 0, 0, uint64(0)
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			c := playChaos(t, seed)
			reads, leases, installs = reads+c.reads, leases+c.leases, installs+c.installs
		})
	}
	if reads == 0 || leases == 0 || installs == 0 {
		t.Errorf("not reached: %d reads, %d of them by lease, %d installs", reads, leases, installs)
	}
}

func playChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{rnd: rand.New(rand.NewPCG(seed, 4)), writing: map[uint64]version{}, reading: map[uint64]version{},
		peerID: 100}
	c.world = newWorld(t, 3, smallLogs, func(cfg *store.Config) {
		cfg.Rand = rand.New(rand.NewPCG(c.rnd.Uint64(), 5))
		if seed%2 == 0 {
			cfg.Raft.ReadMode = raft.ReadLease
		}
	})
	c.addNode(4).open()
	c.cut = func(m *replica.Message) bool {
		if m.From.StoreID == c.apart || m.To.StoreID == c.apart {
			return true
		}
		if c.one(12) {
			if m.Raft.Type != raft.MsgSnap {
				c.late = append(c.late, *m)
			}
			return true
		}
		return c.one(30)
	}
	for _, n := range c.nodes {
		n.see = c.see
	}
	for range 400 {
		c.round()
	}
	c.calm()
	return c
}

// round is one thing after another, at random.
func (c *chaos) round() {
	c.mayDeliver()
	n := c.nodes[c.rnd.IntN(len(c.nodes))]
	if l := c.leader(); l != nil && c.rnd.IntN(2) == 0 {
		n = l
	}
	switch k := c.rnd.IntN(40); {
	case n.s == nil:
		if k < 10 {
			n.restart()
		}
	case k < 15:
		c.write(n)
	case k < 22:
		c.read(n)
	case k < 26:
		c.leaseRead(n)
	case k == 26:
		n.holdInstalls = !n.holdInstalls
		n.release()
	case k == 27:
		n.holdSyncs = true
	case k == 28:
		n.ask(func(id uint64) store.Event {
			return store.TransferLeader{ID: id, RequestContext: n.context(), To: c.peerOf(n, c.rnd.IntN(4)).ID}
		})
	case k == 29:
		n.crash()
	case k == 32:
		c.changePeer(n)
	case k == 31:
		c.apart = uint64(c.rnd.IntN(2*len(c.nodes)) + 1)
	case k == 30:
		for id := range c.writing {
			n.inbox = append(n.inbox, store.Cancel{ID: id, RegionID: regionID})
		}
	}
	if c.rnd.IntN(3) == 0 {
		c.now += tick
	}
	for range 3 {
		for _, n := range c.nodes {
			n.step()
		}
	}
	c.collect()
}

// peerOf is the region's peer on a store as n knows it.
func (c *chaos) peerOf(n *node, store int) region.Peer {
	p, _ := n.views[regionID].Region.PeerOn(uint64(store) + 1)
	return p
}

// changePeer removes the peer of a store at random, or gives it one.
func (c *chaos) changePeer(n *node) {
	on := c.rnd.IntN(4)
	p, kind := c.peerOf(n, on), raft.ConfChangeRemoveNode
	switch {
	case p.ID != 0 && len(n.views[regionID].Region.Peers) < 3:
		return
	case p.ID == 0:
		c.peerID++
		p, kind = region.Peer{ID: c.peerID, StoreID: uint64(on) + 1}, raft.ConfChangeAddNode
	}
	n.ask(func(id uint64) store.Event {
		return store.ChangePeer{ID: id, RequestContext: n.context(), Type: kind, Peer: p}
	})
	c.changes++
}

func (c *chaos) mayDeliver() {
	for len(c.late) > 0 && (c.quiet || c.rnd.IntN(3) > 0) {
		i := c.rnd.IntN(len(c.late))
		m := c.late[i]
		c.late = slices.Delete(c.late, i, i+1)
		to := c.node(m.To.StoreID)
		to.inbox = append(to.inbox, store.Receive{Message: m})
	}
}

// see may crash a process before an effect.
func (c *chaos) see(n *node, e store.Effect) {
	if _, ok := e.(store.Install); ok {
		c.installs++
	}
	if c.one(1000) {
		n.crash()
		n.held = nil
	}
}

func (c *chaos) write(n *node) {
	key := c.rnd.IntN(chaosKeys)
	c.next[key]++
	v := version{key, c.next[key]}
	c.writing[n.write(fmt.Sprint("key", key), fmt.Sprintf("%06d", v.n))] = v
}

func (c *chaos) read(n *node) {
	key := c.rnd.IntN(chaosKeys)
	c.reading[n.read()] = version{key, c.acked[key]}
}

// leaseRead reads as a reader off the loop does.
func (c *chaos) leaseRead(n *node) {
	if v := n.views[regionID]; v.LeaseUntil > c.now-n.start && v.Leads() {
		c.leases++
		key := c.rnd.IntN(chaosKeys)
		c.check(n, version{key, c.acked[key]})
	}
}

// check reads, and compares with what must be there.
func (c *chaos) check(n *node, atLeast version) {
	c.reads++
	got := n.get(fmt.Sprint("key", atLeast.key))
	if want := fmt.Sprintf("%06d", atLeast.n); atLeast.n > 0 && got < want {
		c.t.Fatalf("store %d reads %q of key %d, %q was acknowledged before", n.id, got, atLeast.key, want)
	}
}

// collect looks at the answers of this round.
func (c *chaos) collect() {
	for _, n := range c.nodes {
		for id, a := range n.answers {
			if v, ok := c.writing[id]; ok && a.Err == nil {
				c.acked[v.key] = max(c.acked[v.key], v.n)
			}
			if v, ok := c.reading[id]; ok && a.Err == nil && n.s != nil {
				c.check(n, v)
			}
			delete(c.writing, id)
			delete(c.reading, id)
		}
	}
}

// calm ends the trouble, and compares the stores.
func (c *chaos) calm() {
	c.quiet, c.apart = true, 0
	c.mayDeliver()
	for _, n := range c.nodes {
		if n.s == nil {
			n.restart()
		}
		n.release()
	}
	leader := c.elect()
	c.tick(40)
	c.collect()
	leader = c.leader()
	c.must(leader.put("end", "v"))
	c.tick(5)
	for key := range chaosKeys {
		c.check(leader, version{key, c.acked[key]})
	}
	want := leader.contents()
	for _, n := range c.nodes {
		if _, member := leader.views[regionID].Region.PeerOn(n.id); !member {
			continue
		}
		if got := n.contents(); got != want {
			c.t.Errorf("store %d differs from the leader:\n%s\n%s", n.id, got, want)
		}
		if len(n.spools) > 0 {
			c.t.Errorf("store %d has spools left", n.id)
		}
	}
}

// contents is all of a store's data.
func (n *node) contents() string {
	s, err := n.data.Snapshot()
	n.w.must(err)
	defer s.Close()
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	n.w.must(err)
	defer it.Close()
	out := ""
	for ok := it.First(); ok; ok = it.Next() {
		out += fmt.Sprintf("%s=%s ", it.Key(), it.Value())
	}
	return out
}
