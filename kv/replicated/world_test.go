// The workbench of the tests: stores of one process that talk through memory, on simulated disks, in virtual time.

package replicated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/kv/transport"
	"tinykv/proto/kvrpcpb"
	"tinykv/raft"
)

const (
	clusterID = 42
	regionID  = 4
	tick      = 100 * time.Millisecond
	// calm is longer than any election takes.
	calm = 10 * time.Second
)

// firstRegion has a peer on each of stores 1 to n.
func firstRegion(n uint64) region.Region {
	r := region.Region{ID: regionID, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
	for id := uint64(1); id <= n; id++ {
		r.Peers = append(r.Peers, region.Peer{ID: regionID + id, StoreID: id})
	}
	return r
}

// world is a cluster.
type world struct {
	*testing.T
	net   transport.Memory
	nodes map[uint64]*node
	began time.Time
	edit  func(*Options) // changes the options of every store that starts
	turn  sync.Mutex     // guards which stores run, in tests where that changes while others look
}

// node is a store and what it keeps across crashes.
type node struct {
	w         *world
	id        uint64
	log, data *mem.Disk
	spools    *snapshot.Memory
	starts    uint64

	store     *Store // nil: it does not run
	transport *transport.Transport
	engines   [2]*mem.Engine
	failed    chan error // gets what Options.Failed is told
}

// inWorld runs a test on n stores in virtual time.
func inWorld(t *testing.T, n uint64, edit func(*Options), test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, nodes: map[uint64]*node{}, began: time.Now(), edit: edit}
		for id := uint64(1); id <= n; id++ {
			rng := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(id, stream)) }
			w.nodes[id] = &node{
				w: w, id: id, log: mem.NewDisk(rng(1), mem.Options{}), data: mem.NewDisk(rng(2), mem.Options{}),
				spools: snapshot.NewMemory(rng(3)), failed: make(chan error, 1),
			}
			w.nodes[id].start()
		}
		test(w)
		for _, n := range w.nodes {
			n.stop()
		}
	})
}

func (n *node) start() {
	n.w.Helper()
	n.starts++
	for i, disk := range []*mem.Disk{n.log, n.data} {
		e, err := mem.Open(disk)
		if err != nil {
			n.w.Fatal(err)
		}
		n.engines[i] = e
	}
	log, err := raftlog.Open(n.engines[0], raftlog.Options{})
	if err == nil {
		err = store.Bootstrap(log, n.engines[1], firstRegion(uint64(max(len(n.w.nodes), 3))), n.id)
	}
	if err != nil {
		n.w.Fatal(err)
	}
	o := Options{
		ClusterID: clusterID, StoreID: n.id, Log: log, Data: n.engines[1], Spools: n.spools, TickInterval: tick,
		Raft: raft.Config{ReadMode: raft.ReadLease}, Seed: n.id*1000 + n.starts,
		Clock: func() time.Duration { return time.Since(n.w.began) },
		Failed: func(err error) {
			select {
			case n.failed <- err:
			default: // a crash looks like a failure, and nobody asks
			}
		},
		Connect: func(s *Store) Transport {
			n.transport = transport.New(transport.Options{
				ClusterID: clusterID, StoreID: n.id, Network: &n.w.net, Resolver: &n.w.net, Seed: n.id,
			}, s)
			return n.transport
		},
	}
	if n.w.edit != nil {
		n.w.edit(&o)
	}
	if n.store, err = Open(o); err != nil {
		n.w.Fatal(err)
	}
}

// stop ends a store as a user does.
func (n *node) stop() {
	if n.store == nil {
		return
	}
	n.store.Close()
	n.transport.Close()
	for _, e := range n.engines {
		_ = e.Close() // it has failed, or it has not
	}
	n.store = nil
}

// crash ends a store as a power cut does: what its disks had not made durable is lost.
func (n *node) crash() {
	n.log.Crash()
	n.data.Crash()
	n.spools.Crash()
	n.transport.Close()
	n.store.report(store.Stop{})
	<-n.store.ended
	n.store.background.stop()
	n.store = nil
}

// cut separates stores from all others.
func (w *world) cut(ids ...uint64) { w.wire((*transport.Transport).Cut, ids) }

// heal mends their cables.
func (w *world) heal(ids ...uint64) { w.wire((*transport.Transport).Heal, ids) }

func (w *world) wire(act func(*transport.Transport, uint64), ids []uint64) {
	for _, id := range ids {
		for other, n := range w.nodes {
			if other != id && n.store != nil {
				act(n.transport, id)
				act(w.nodes[id].transport, other)
			}
		}
	}
}

// rc is the context of a request to a store that knows the truth.
func (n *node) rc() *kvrpcpb.Context {
	r := firstRegion(uint64(max(len(n.w.nodes), 3)))
	peer, _ := r.PeerOn(n.id)
	return &kvrpcpb.Context{
		ClusterId: clusterID, RegionId: regionID, RegionEpoch: regionpb.FromEpoch(r.Epoch), Peer: regionpb.FromPeer(peer),
	}
}

func put(key, value string) *engine.Batch {
	b := &engine.Batch{}
	b.Put(engine.Default, []byte(key), []byte(value))
	return b
}

// write writes to one store.
func (n *node) write(key, value string) error {
	return n.writeIn(0, key, value)
}

// writeIn writes in a term.
func (n *node) writeIn(term uint64, key, value string) error {
	ctx, cancel := context.WithTimeout(n.w.Context(), calm)
	defer cancel()
	rc := n.rc()
	rc.Term = term
	return n.store.Write(ctx, rc, put(key, value))
}

// read reads from one store.
func (n *node) read(key string) (string, error) {
	ctx, cancel := context.WithTimeout(n.w.Context(), calm)
	defer cancel()
	snap, err := n.store.Snapshot(ctx, n.rc())
	if err != nil {
		return "", err
	}
	defer snap.Close()
	value, err := snap.Get(engine.Default, []byte(key))
	if errors.Is(err, engine.ErrNotFound) {
		return "", nil
	}
	return string(value), err
}

// leader waits until a store among ids leads that the others follow, and returns it.
func (w *world) leader(ids ...uint64) *node {
	w.Helper()
	for deadline := time.Now().Add(calm); time.Now().Before(deadline); time.Sleep(tick) {
		for _, id := range ids {
			if w.agree(id, ids) {
				return w.nodes[id]
			}
		}
	}
	for _, id := range ids {
		w.Logf("store %d: %+v", id, w.nodes[id].view())
	}
	w.Fatalf("stores %v have no leader after %v", ids, calm)
	return nil
}

func (w *world) agree(leader uint64, ids []uint64) bool {
	term := w.nodes[leader].view().Term
	for _, id := range ids {
		if v := w.nodes[id].view(); v.Leader.StoreID != leader || v.Term != term {
			return false
		}
	}
	return true
}

func (n *node) view() replica.View {
	if n.store == nil {
		return replica.View{}
	}
	for _, v := range n.store.Views() {
		if v.Region.ID == regionID {
			return v
		}
	}
	return replica.View{}
}

// all are the ids of all stores.
func (w *world) all() []uint64 { return w.but(0) }

// but are the ids of all stores but one.
func (w *world) but(not uint64) (ids []uint64) {
	for id := uint64(1); id <= uint64(len(w.nodes)); id++ {
		if id != not {
			ids = append(ids, id)
		}
	}
	return ids
}

// dump is all pairs of users that a store holds.
func (n *node) dump() []byte {
	n.w.Helper()
	snap, err := n.engines[1].Snapshot()
	if err != nil {
		n.w.Fatal(err)
	}
	defer snap.Close()
	var b bytes.Buffer
	for _, cf := range []engine.CF{engine.Default, engine.Lock, engine.Write} {
		it, err := snap.Iterator(cf, engine.IterOptions{})
		if err != nil {
			n.w.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			fmt.Fprintf(&b, "%v %q=%q\n", cf, it.Key(), it.Value())
		}
		if err := it.Close(); err != nil {
			n.w.Fatal(err)
		}
	}
	return b.Bytes()
}

// same waits until all stores have applied as much as the leader, and insists that they hold the same.
func (w *world) same(ids ...uint64) {
	w.Helper()
	leader := w.leader(ids...)
	for deadline := time.Now().Add(calm); time.Now().Before(deadline); time.Sleep(tick) {
		behind := false
		for _, id := range ids {
			behind = behind || w.nodes[id].view().Applied != leader.view().Applied || w.nodes[id].view().Installing
		}
		if !behind {
			break
		}
	}
	want := leader.dump()
	for _, id := range ids {
		if got := w.nodes[id].dump(); !bytes.Equal(got, want) {
			w.Errorf("store %d at %+v holds\n%s\nthe leader, store %d, holds\n%s", id, w.nodes[id].view(), got, leader.id, want)
		}
	}
}
