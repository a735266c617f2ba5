package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

const (
	clusterID = 7
	regionID  = 1
	tick      = 100 * time.Millisecond
)

// world is a few stores and the plainest loop that can drive them: one thread, a network that delivers at once, disks
// that are memory. What a test wants to happen in between, it does by hand.
type world struct {
	t      testing.TB
	now    time.Duration
	nodes  []*node
	cut    func(m *replica.Message) bool // true: the message is lost
	nextID uint64
	config func(c *store.Config)
}

// node is a process and its disks.
type node struct {
	w                 *world
	id                uint64
	logDisk, dataDisk *mem.Disk
	log               raftlog.Log
	data              engine.Engine
	s                 *store.Store
	start             time.Duration

	inbox   []store.Event
	spools  map[string]*spool
	views   map[uint64]replica.View
	answers map[uint64]replica.Answer
	halted  bool
	haltErr error
	mayFail bool

	holdInstalls bool // installs wait in held
	holdSyncs    bool
	held         []store.Effect
	trace        []string                      // the kinds of effects, in order
	fail         func(e store.Effect) error    // a write that fails
	see          func(n *node, e store.Effect) // looks at each effect before it is carried out
}

// spool is a snapshot as it was received.
type spool struct {
	head snapshot.Head
	ops  engine.Batch
}

func peerOn(id uint64) region.Peer { return region.Peer{ID: 10 + id, StoreID: id} }

// everything is the region with a peer on each of the stores.
func everything(stores ...uint64) region.Region {
	r := region.Region{ID: regionID, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
	for _, id := range stores {
		r.Peers = append(r.Peers, peerOn(id))
	}
	return r
}

// newWorld starts n stores, all of which have a peer of one region.
func newWorld(t testing.TB, n int, config ...func(c *store.Config)) *world {
	w := &world{t: t, config: func(c *store.Config) {
		for _, f := range config {
			f(c)
		}
	}}
	var ids []uint64
	for id := uint64(1); id <= uint64(n); id++ {
		ids = append(ids, id)
	}
	for _, id := range ids {
		nd := w.addNode(id)
		w.must(store.Bootstrap(nd.log, nd.data, everything(ids...), id))
		nd.open()
	}
	return w
}

// addNode makes a store with empty disks, and does not start it.
func (w *world) addNode(id uint64) *node {
	nd := &node{w: w, id: id, spools: map[string]*spool{}}
	nd.logDisk, nd.dataDisk = newDisk(id, 1), newDisk(id, 2)
	nd.mount()
	w.nodes = append(w.nodes, nd)
	return nd
}

func newDisk(id, seed uint64) *mem.Disk {
	return mem.NewDisk(rand.New(rand.NewPCG(id, seed)), mem.Options{})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (n *node) mount() {
	var err error
	n.data, err = mem.Open(n.dataDisk)
	n.w.must(err)
	logEngine, err := mem.Open(n.logDisk)
	n.w.must(err)
	n.log, err = raftlog.Open(logEngine, raftlog.Options{CacheBytes: 1 << 20})
	n.w.must(err)
}

// open starts the store on its disks.
func (n *node) open() {
	cfg := store.Config{ClusterID: clusterID, StoreID: n.id, Log: n.log, Data: n.data, TickInterval: tick,
		Rand: rand.New(rand.NewPCG(n.id, 3))}
	n.w.config(&cfg)
	s, err := store.Open(cfg)
	n.w.must(err)
	n.s, n.start = s, n.w.now
	n.views, n.answers = map[uint64]replica.View{}, map[uint64]replica.Answer{}
	n.inbox, n.halted = nil, false
}

// crash stops the process and loses what was not synced.
func (n *node) crash() {
	n.s = nil
	n.logDisk.Crash()
	n.dataDisk.Crash()
}

func (n *node) restart() {
	n.mount()
	n.open()
	for name := range n.spools {
		if !slices.Contains(n.s.Spools(), name) {
			delete(n.spools, name)
		}
	}
}

func (w *world) node(id uint64) *node { return w.nodes[id-1] }

// run lets all stores work until none has anything to do.
func (w *world) run() {
	for round := 0; ; round++ {
		if round > 10000 {
			w.t.Fatal("the stores never come to rest")
		}
		busy := false
		for _, n := range w.nodes {
			busy = n.step() || busy
		}
		if !busy {
			return
		}
	}
}

// tick lets time pass, a tick at a time.
func (w *world) tick(n int) {
	for range n {
		w.now += tick
		w.run()
	}
}

// step is the loop's body. It reports whether there was anything to do.
func (n *node) step() bool {
	if n.s == nil {
		return false
	}
	now := n.w.now - n.start
	events := n.inbox
	n.inbox = nil
	for _, e := range events {
		n.s.Handle(now, e)
	}
	effects := n.s.Turn(now)
	for _, e := range effects {
		if n.see != nil {
			n.see(n, e)
		}
		if n.s == nil {
			return true // it crashed
		}
		if n.fail != nil {
			if err := n.fail(e); err != nil {
				n.s.Fail(err)
				return true
			}
		}
		n.carryOut(e)
	}
	if len(effects) > 0 {
		n.s.Done(now)
	}
	return len(effects) > 0 || len(events) > 0
}

func (n *node) carryOut(e store.Effect) {
	n.trace = append(n.trace, fmt.Sprintf("%T", e)[len("store."):])
	switch e := e.(type) {
	case store.Publish:
		for _, v := range e.Views {
			n.views[v.Region.ID] = v
		}
	case store.Send:
		for _, m := range e.Messages {
			n.w.deliver(m)
		}
	case store.WriteLog:
		n.w.must(n.log.Write(e.Batch, e.Durability))
	case store.WriteData:
		n.w.must(n.data.Write(e.Batch, engine.Buffered))
	case store.Answer:
		for _, a := range e.Answers {
			if old, twice := n.answers[a.ID]; twice {
				n.w.t.Errorf("request %d was answered twice: %v, %v", a.ID, old, a)
			}
			n.answers[a.ID] = a
		}
	case store.SyncData:
		if n.holdSyncs {
			n.held = append(n.held, e)
			return
		}
		n.background(e)
	case store.Install:
		if n.holdInstalls {
			n.held = append(n.held, e)
			return
		}
		n.background(e)
	case store.Stream:
		n.stream(e)
	case store.Discard:
		delete(n.spools, e.Spool)
	case store.Halt:
		n.halted, n.haltErr = true, e.Err
		if e.Err != nil && !n.mayFail {
			n.w.t.Fatalf("store %d failed: %v", n.id, e.Err)
		}
	}
}

// background ends what was begun.
func (n *node) background(e store.Effect) {
	switch e := e.(type) {
	case store.SyncData:
		n.w.must(n.data.Write(new(engine.Batch), engine.Synced))
		n.inbox = append(n.inbox, store.DataSynced{Token: e.Token})
	case store.Install:
		sp := n.spools[e.Spool]
		if sp == nil {
			n.w.t.Fatalf("spool %q is gone", e.Spool)
		}
		var b engine.Batch
		for _, cf := range []engine.CF{engine.Default, engine.Lock, engine.Write} {
			b.DeleteRange(cf, e.Head.Region.Range.Start, e.Head.Region.Range.End)
		}
		b.Append(&sp.ops)
		b.Append(e.Records)
		n.w.must(n.data.Write(&b, engine.Synced))
		n.inbox = append(n.inbox, store.InstallEnded{RegionID: e.RegionID, Spool: e.Spool})
	}
}

// release carries out what was held.
func (n *node) release() {
	held := n.held
	n.held, n.holdInstalls, n.holdSyncs = nil, false, false
	for _, e := range held {
		n.background(e)
	}
}

func (w *world) deliver(m replica.Message) {
	if w.cut != nil && w.cut(&m) || m.To.StoreID == 0 || m.To.StoreID > uint64(len(w.nodes)) {
		return
	}
	to := w.node(m.To.StoreID)
	to.inbox = append(to.inbox, store.Receive{Message: m})
}

// stream carries a snapshot over at once.
func (n *node) stream(e store.Stream) {
	defer e.Source.Close()
	to := n.w.node(e.Head.To.StoreID)
	lost := n.w.cut != nil && n.w.cut(&replica.Message{From: e.Head.From, To: e.Head.To, Raft: raft.Message{Type: raft.MsgSnap}})
	if !lost && to.s != nil {
		sp := &spool{head: e.Head}
		for _, cf := range []engine.CF{engine.Default, engine.Lock, engine.Write} {
			it, err := e.Source.Iterator(cf, engine.IterOptions{Lower: e.Head.Region.Range.Start, Upper: e.Head.Region.Range.End})
			n.w.must(err)
			for ok := it.First(); ok; ok = it.Next() {
				sp.ops.Put(cf, it.Key(), it.Value())
			}
			n.w.must(it.Close())
		}
		name := fmt.Sprintf("from-%d-%d", n.id, e.Ticket)
		to.spools[name] = sp
		to.inbox = append(to.inbox, store.SnapshotReceived{Head: e.Head, Spool: name})
	}
	n.inbox = append(n.inbox, store.StreamEnded{Ticket: e.Ticket, OK: !lost && to.s != nil})
}

// leader is the store that leads, and knows; nil if there is none.
func (w *world) leader() *node {
	var found *node
	for _, n := range w.nodes {
		if v := n.views[regionID]; n.s != nil && !n.halted && v.Leads() && (found == nil || found.views[regionID].Term < v.Term) {
			found = n
		}
	}
	return found
}

// elect lets time pass until there is a leader that has applied an entry of its term.
func (w *world) elect() *node {
	w.t.Helper()
	for range 100 {
		w.tick(1)
		if l := w.leader(); l != nil {
			if v := l.views[regionID]; v.Applied.Term == v.Term {
				return l
			}
		}
	}
	w.t.Fatal("nobody was elected")
	return nil
}

func (n *node) context() store.RequestContext {
	return store.RequestContext{ClusterID: clusterID, StoreID: n.id, RegionID: regionID}
}

func put(key, value string) *engine.Batch {
	b := new(engine.Batch)
	b.Put(engine.Default, []byte(key), []byte(value))
	return b
}

// ask gives a request to a store and returns its number.
func (n *node) ask(make func(id uint64) store.Event) uint64 {
	n.w.nextID++
	n.inbox = append(n.inbox, make(n.w.nextID))
	return n.w.nextID
}

func (n *node) write(key, value string) uint64 {
	return n.ask(func(id uint64) store.Event {
		return store.Write{ID: id, RequestContext: n.context(), Batch: put(key, value)}
	})
}

func (n *node) read() uint64 {
	return n.ask(func(id uint64) store.Event { return store.Read{ID: id, RequestContext: n.context()} })
}

// answered returns the error of an answer, and fails if there is none.
func (n *node) answered(id uint64) error {
	n.w.t.Helper()
	a, ok := n.answers[id]
	if !ok {
		n.w.t.Fatalf("request %d got no answer", id)
	}
	return a.Err
}

// put writes and waits.
func (n *node) put(key, value string) error {
	n.w.t.Helper()
	id := n.write(key, value)
	n.w.run()
	return n.answered(id)
}

// get is what the engine of a store has.
func (n *node) get(key string) string {
	s, err := n.data.Snapshot()
	n.w.must(err)
	defer s.Close()
	v, err := s.Get(engine.Default, []byte(key))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(v)
}
