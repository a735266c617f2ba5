// How a store becomes part of its cluster, and what it tells the scheduler from then on.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/kv/server"
	"tinykv/proto/kvrpcpb"
	schedulerclient "tinykv/scheduler/client"
)

// member is this store as a part of its cluster.
type member struct {
	clusterID uint64
	store     schedulerclient.Store
	region    region.Region // the one region of a standalone store
}

// context is the context of requests that the store makes to itself.
func (m member) context() *kvrpcpb.Context {
	return &kvrpcpb.Context{
		RegionId: m.region.ID, RegionEpoch: regionpb.FromEpoch(m.region.Epoch), Peer: regionpb.FromPeer(m.region.Peers[0]),
	}
}

// join makes the store a member of its scheduler's cluster, or finds that it is one already. It may be broken off at
// any point and called again: the ids are durable before anyone else hears of them.
func join(ctx context.Context, pd *schedulerclient.Client, dir *datadir.Dir, addr string) (member, error) {
	members, err := pd.Members(ctx)
	if err != nil {
		return member{}, fmt.Errorf("ask the scheduler for its cluster: %w", err)
	}
	if !dir.Identity().Joined() {
		ids, err := allocate(ctx, pd, members.ClusterID)
		if err != nil {
			return member{}, err
		}
		if err := dir.Join(ids); err != nil {
			return member{}, err
		}
	}
	ids := dir.Identity().IDs
	if ids.ClusterID != members.ClusterID {
		return member{}, fmt.Errorf("the data directory belongs to cluster %d, the scheduler to cluster %d: give the one that belongs to the other",
			ids.ClusterID, members.ClusterID)
	}
	me := member{
		clusterID: ids.ClusterID,
		store:     schedulerclient.Store{ID: ids.StoreID, Address: addr, Version: version},
		region: region.Region{
			ID: ids.RegionID, Epoch: region.Epoch{ConfVer: 1, Version: 1},
			Peers: []region.Peer{{ID: ids.PeerID, StoreID: ids.StoreID}},
		},
	}
	return me, introduce(ctx, pd, me)
}

// allocate asks for the numbers of a new store and its first region.
func allocate(ctx context.Context, pd *schedulerclient.Client, clusterID uint64) (datadir.IDs, error) {
	ids := datadir.IDs{ClusterID: clusterID}
	for _, id := range []*uint64{&ids.StoreID, &ids.RegionID, &ids.PeerID} {
		var err error
		if *id, err = pd.AllocID(ctx); err != nil {
			return ids, fmt.Errorf("ask the scheduler for an id: %w", err)
		}
	}
	return ids, nil
}

// introduce bootstraps the cluster with this store, or tells an old cluster the store's present address.
func introduce(ctx context.Context, pd *schedulerclient.Client, me member) error {
	created, err := pd.Bootstrap(ctx, me.store, me.region)
	if err != nil {
		return fmt.Errorf("bootstrap the cluster: %w", err)
	}
	if created {
		return nil
	}
	if _, err := pd.Store(ctx, me.store.ID); err != nil {
		if errors.Is(err, schedulerclient.ErrUnknownStore) {
			return fmt.Errorf("the cluster has a store already, and it is not this one: a standalone store can't join it")
		}
		return fmt.Errorf("ask the scheduler for this store: %w", err)
	}
	if err := pd.PutStore(ctx, me.store); err != nil {
		return fmt.Errorf("tell the scheduler the store's address: %w", err)
	}
	return nil
}

const (
	reportEvery = 10 * time.Second // of the store and its region: TiKV's default for stores
	sweepEvery  = time.Minute      // between two rounds through all pairs, for those that have expired
)

// reporter tells the scheduler how the store is.
type reporter struct {
	pd  *schedulerclient.Client
	me  member
	db  engine.Engine
	dir string // on the disk whose room is reported
	log *slog.Logger
}

// run reports at once and then regularly, until ctx ends. A report that fails is a line in the log: the next one
// comes soon.
func (r reporter) run(ctx context.Context) {
	beats := r.pd.Heartbeats(r.log)
	defer beats.Close()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		if err := r.report(ctx, beats); err != nil && ctx.Err() == nil {
			r.log.Warn("a report to the scheduler failed; the next one comes soon", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r reporter) report(ctx context.Context, beats *schedulerclient.Heartbeats) error {
	var size uint64
	for _, cf := range engine.CFs {
		n, err := r.db.ApproximateSize(cf, nil, nil)
		if err != nil {
			return fmt.Errorf("measure %s: %w", cf, err)
		}
		size += n
	}
	disk, err := vfs.Default.GetDiskUsage(r.dir)
	if err != nil {
		return fmt.Errorf("ask how much room the disk has: %w", err)
	}
	err = r.pd.StoreHeartbeat(ctx, schedulerclient.StoreStats{
		StoreID: r.me.store.ID, RegionCount: 1, UsedSize: size, Capacity: disk.TotalBytes, Available: disk.AvailBytes,
	})
	return errors.Join(err, beats.Send(ctx, schedulerclient.RegionHeartbeat{
		Region: r.me.region, Leader: r.me.region.Peers[0], Term: 1, ApproximateSize: size,
	}))
}

// sweepExpired removes expired pairs now and then, until ctx ends.
func sweepExpired(ctx context.Context, s *server.Server, me member, log *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		removed, err := s.SweepExpired(ctx, me.context())
		if err != nil && ctx.Err() == nil {
			log.Warn("removing expired pairs failed; the next round will try again", "error", err)
		} else if removed > 0 {
			log.Info("removed expired pairs", "pairs", removed)
		}
	}
}
