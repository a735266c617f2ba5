// Membership: how a standalone store becomes known to the scheduler, and stays so. That of others is in enlist.go.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/scheduler/client"
)

const (
	joinLimit      = 10 * time.Second // for everything that must be said before the store serves
	reportInterval = 10 * time.Second // between two reports of the store and its region
	believedPause  = 5 * time.Millisecond
)

// membership is the store's side of its cluster.
type membership struct {
	scheduler             *client.Client
	dir                   *datadir.Dir
	db                    engine.Engine
	storeAddr, statusAddr string
	log                   *slog.Logger

	ids     datadir.IDs
	reports *client.Heartbeats
}

// join makes sure that the store has ids and that they are of this cluster. The ids are durable before anyone hears
// of them, so that a crash in between can't make two stores of one.
func (m *membership) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	members, err := m.scheduler.Members(ctx)
	if err != nil {
		return err
	}
	if id := m.dir.Identity(); id.Joined() {
		m.ids = id.IDs
		if m.ids.ClusterID != members.ClusterID {
			return fmt.Errorf("the data belongs to cluster %d, the scheduler to cluster %d: "+
				"its directory beside the data was replaced, restore it", m.ids.ClusterID, members.ClusterID)
		}
		return nil
	}
	m.ids.ClusterID = members.ClusterID
	for _, id := range []*uint64{&m.ids.StoreID, &m.ids.RegionID, &m.ids.PeerID} {
		if *id, err = m.scheduler.AllocID(ctx); err != nil {
			return err
		}
	}
	return m.dir.Join(m.ids)
}

// announce tells the scheduler of the store and its region, and returns when clients can find both.
func (m *membership) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	created, err := m.scheduler.Bootstrap(ctx, m.store(), m.region())
	if err == nil && !created {
		err = m.scheduler.PutStore(ctx, m.store())
	}
	if err != nil {
		return err
	}
	m.reports = m.scheduler.Heartbeats(m.log)
	if err := m.reportOnce(ctx); err != nil {
		return err
	}
	return m.believed(ctx)
}

// believed waits until the scheduler tells clients of the region's leader: reports are one-way.
func (m *membership) believed(ctx context.Context) error {
	for {
		info, found, err := m.scheduler.RegionByID(ctx, m.ids.RegionID)
		if err != nil {
			return err
		}
		if found && info.Leader == m.peer() {
			return nil
		}
		select {
		case <-time.After(believedPause):
		case <-ctx.Done():
			return errors.New("the scheduler does not take this store's region for one of its cluster: " +
				"a standalone store needs a cluster of its own")
		}
	}
}

// report repeats the reports until ctx ends.
func (m *membership) report(ctx context.Context) {
	defer m.reports.Close()
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := m.reportOnce(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("a report to the scheduler failed, the next one follows", "err", err)
		}
	}
}

func (m *membership) reportOnce(ctx context.Context) error {
	used, err := usedSize(m.db)
	if err != nil {
		return err
	}
	capacity, available := diskSpace(m.dir.Engine())
	err = m.scheduler.StoreHeartbeat(ctx, client.StoreStats{
		StoreID: m.ids.StoreID, RegionCount: 1, Capacity: capacity, Available: available, UsedSize: used,
	})
	if err != nil {
		return err
	}
	return m.reports.Send(ctx, client.RegionHeartbeat{
		Region: m.region(), Leader: m.peer(), Term: 1, ApproximateSize: used,
	})
}

// usedSize is about how many bytes the data takes.
func usedSize(db engine.Engine) (total uint64, err error) {
	for _, cf := range engine.CFs {
		size, err := db.ApproximateSize(cf, nil, nil)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func (m *membership) store() client.Store {
	return client.Store{ID: m.ids.StoreID, Address: m.storeAddr, StatusAddress: m.statusAddr, Version: "standalone"}
}

// region is the one region of a standalone store. It never changes.
func (m *membership) region() region.Region {
	return region.Region{ID: m.ids.RegionID, Epoch: region.Epoch{ConfVer: 1, Version: 1}, Peers: []region.Peer{m.peer()}}
}

func (m *membership) peer() region.Peer { return region.Peer{ID: m.ids.PeerID, StoreID: m.ids.StoreID} }
