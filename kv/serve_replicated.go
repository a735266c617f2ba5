// A server of a cluster of several: its parts, put together and taken apart again.
//
//	start:  ports ─► identity, engines ─► the scheduler's word ─► first state ─► store, transport, gRPC, status page ─► ready
//	stop:   no new requests ─► leadership handed over, all answered ─► transport ─► gRPC ─► reports ─► engines
//
// Stores start in any order. Each waits for the scheduler the first time it starts, and for the others as raft does.

package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/engine/open"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/replicated"
	"tinykv/kv/server"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/kv/transport"
	"tinykv/raft"
	"tinykv/scheduler/client"
)

// disks is what a replicated store keeps.
type disks struct {
	data   engine.Engine
	log    raftlog.Log
	spools snapshot.Spool
}

// startReplicated runs one store of a cluster.
func (r *running) startReplicated(ctx context.Context, o serveOptions) error {
	ports, err := r.listen(o)
	if err != nil {
		return err
	}
	dir, err := datadir.Open(o.dir, datadir.Wanted{Kind: datadir.Replicated, Engine: o.engine, StoreID: o.storeID})
	if err != nil {
		return err
	}
	d, err := r.openDisks(dir, o)
	if err != nil {
		return err
	}
	pd, err := client.New(client.Options{Addrs: o.schedulers})
	if err != nil {
		return err
	}
	r.onClose(func(context.Context) error { return pd.Close() })
	e := &enlistment{
		scheduler: pd, dir: dir, peers: o.peers, joins: o.joins, storeAddr: r.storeAddr, statusAddr: r.statusAddr, log: o.log,
	}
	if err := e.join(ctx); err != nil {
		return err
	}
	r.clusterID = e.ids.ClusterID
	if err := begin(ctx, dir, d, e); err != nil {
		return err
	}
	s, t, err := r.openReplicated(d, e, o)
	if err != nil {
		return err
	}
	used := func() (uint64, error) { return usedSize(d.data) }
	r.inBackground((&reporter{enlistment: e, store: s, used: used}).report)
	service := r.startReplicatedService(s, t, ports)
	r.startStatus(ports.status, r.replicatedStatus(o, e, s, t))
	if o.sweepInterval > 0 {
		r.inBackground(func(ctx context.Context) { service.SweepEvery(ctx, o.sweepInterval, s.Contexts) })
	}
	r.inBackground(func(ctx context.Context) { tellLeaders(ctx, s, o) })
	if s.Failure() == nil {
		r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return nil
}

// openDisks opens the raft log and the data, each in an engine of its own. The data needs no log beside the raft log.
func (r *running) openDisks(dir *datadir.Dir, o serveOptions) (d disks, err error) {
	if err := keptByJoined(dir); err != nil {
		return d, err
	}
	logEngine, err := r.openEngine(dir.Raft(), o, open.Options{Logger: o.log, ShortLived: true, Advice: replaceAdvice})
	if err != nil {
		return d, err
	}
	if d.log, err = raftlog.Open(logEngine, raftlog.Options{}); err != nil {
		return d, advised(fmt.Errorf("%s: %w", dir.Raft(), err))
	}
	if d.data, err = r.openEngine(dir.Engine(), o, open.Options{Logger: o.log, Unlogged: true, Advice: replaceAdvice}); err != nil {
		return d, err
	}
	d.spools, err = snapshot.OpenDirectory(dir.Snapshots())
	return d, err
}

// begin writes the first state of the store, once (see datadir, invariant 4), and has the scheduler know of it before it
// promises anything to anybody: so a store that loses its directory can't come back under its id, for the scheduler has it.
func begin(ctx context.Context, dir *datadir.Dir, d disks, e *enlistment) error {
	if dir.Identity().Begun {
		return lostNothing(dir, d, e)
	}
	if !e.joined() {
		if err := store.Bootstrap(d.log, d.data, e.peers.firstRegion(), e.ids.StoreID); err != nil {
			return err
		}
	}
	if err := e.announce(ctx); err != nil {
		return err
	}
	return dir.Begin()
}

// lostNothing refuses logs that are empty although the store has begun.
func lostNothing(dir *datadir.Dir, d disks, e *enlistment) error {
	if e.joined() {
		return nil // it may never have been given a peer; keptByJoined has looked
	}
	logged, err := d.log.Regions()
	if err != nil || len(logged) > 0 {
		return err
	}
	snap, err := d.data.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	recorded, err := replica.RecordedRegions(snap)
	if err != nil || len(recorded) > 0 {
		return err
	}
	return fmt.Errorf("the store has lost what it kept: %s and %s are empty; %s", dir.Raft(), dir.Engine(), replaceAdvice)
}

// openReplicated runs the store and its transport.
func (r *running) openReplicated(d disks, e *enlistment, o serveOptions) (*replicated.Store, *transport.Transport, error) {
	var t *transport.Transport
	s, err := replicated.Open(replicated.Options{
		ClusterID: e.ids.ClusterID, StoreID: e.ids.StoreID, Log: d.log, Data: d.data, Spools: d.spools,
		TickInterval: o.tick, Raft: raft.Config{ReadMode: o.readMode()},
		Logger: o.log, Metrics: r.metrics.replicated, Failed: r.markBroken,
		Connect: func(s *replicated.Store) replicated.Transport {
			t = transport.New(transport.Options{
				ClusterID: e.ids.ClusterID, StoreID: e.ids.StoreID, Resolver: resolver{e}, Log: o.log,
			}, roomy{s, roomOn(e.dir.Snapshots())})
			for _, id := range o.cutOff {
				t.Cut(id)
			}
			return t
		},
	})
	if err != nil {
		return nil, nil, advised(err)
	}
	r.metrics.transport.Store(t)
	return s, t, nil
}

// readMode is how the store makes sure that it leads before it answers a read.
func (o *serveOptions) readMode() raft.ReadMode {
	if o.reads == readsIndex {
		return raft.ReadQuorum
	}
	return raft.ReadLease
}

// resolver knows where stores are: the list that this one was given says so, and for others the scheduler.
type resolver struct{ *enlistment }

// Address implements transport.Resolver.
func (r resolver) Address(ctx context.Context, storeID uint64) (string, error) {
	if addr, ok := r.peers[storeID]; ok {
		return addr, nil
	}
	info, err := r.scheduler.Store(ctx, storeID)
	return info.Store.Address, err
}

// startReplicatedService answers clients and other stores, on one port. What it takes to stop is in one place, because the
// order matters: while requests end the other stores must be reached, and their streams never end by themselves.
func (r *running) startReplicatedService(s *replicated.Store, t *transport.Transport, p ports) *server.Server {
	service, g := r.newService(s)
	t.Register(g)
	r.serveGRPC(g, p.store)
	r.onClose(func(ctx context.Context) error {
		r.health.Shutdown()
		service.Stop()
		stopped := make(chan struct{})
		go func() { g.GracefulStop(); close(stopped) }()
		s.Close()
		err := t.Close()
		r.awaitStop(ctx, g, stopped)
		return err
	})
	return service
}

// tellLeaders logs who leads, when that changes; and, as long as nobody does, who is waited for.
func tellLeaders(ctx context.Context, s *replicated.Store, o serveOptions) {
	known := map[uint64]uint64{} // region -> store that leads
	reminder := time.NewTicker(waitingReminder)
	defer reminder.Stop()
	for {
		changed, remind := s.Changed(), false
		for _, v := range s.Views() {
			if old, ok := known[v.Region.ID]; s.Failure() == nil && (!ok || old != v.Leader.StoreID) {
				known[v.Region.ID] = v.Leader.StoreID
				logLeader(o, v)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-reminder.C:
			remind = true
		}
		for id, leader := range known {
			if remind && leader == 0 {
				delete(known, id) // is told again
			}
		}
	}
}

// logLeader is not called for a store that has failed: it knows of no leader because it listens to nobody.
func logLeader(o serveOptions, v replica.View) {
	switch {
	case v.Leads():
		o.log.Info("this store leads the region", "region", v.Region.ID, "term", v.Term)
	case v.Leader.StoreID != 0:
		o.log.Info("another store leads the region", "region", v.Region.ID, "store", v.Leader.StoreID, "term", v.Term)
	default:
		o.log.Info("nobody leads the region, as far as this store knows: waiting for the other stores", "region", v.Region.ID,
			"stores", o.peers.String())
	}
}
