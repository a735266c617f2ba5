// Enlistment: how a replicated store becomes known to its cluster's scheduler, and stays so. It needs the scheduler for that
// the first time only; later it serves without.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tinykv/kv/datadir"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/replicated"
	"tinykv/scheduler/client"
)

const (
	greetingPatience  = 500 * time.Millisecond // for the scheduler's first word, at the start
	schedulerPatience = 2 * time.Second        // for one report
	schedulerPause    = 100 * time.Millisecond // before it is asked again
	waitingReminder   = 10 * time.Second       // between two lines in the log about who is waited for
)

// enlistment is a replicated store's side of its cluster.
type enlistment struct {
	scheduler             *client.Client
	dir                   *datadir.Dir
	peers                 peers
	joins                 bool
	storeAddr, statusAddr string
	log                   *slog.Logger

	ids       datadir.IDs
	announced bool // the scheduler knows of the store's present addresses
}

// join makes sure that the store knows its cluster, that the scheduler is of the same one, and that the cluster was begun
// with the list of stores that this one was given. A store that has not begun waits for the scheduler for as long as ctx
// allows; one that has does not. Errors are of one line that says what to do.
func (e *enlistment) join(ctx context.Context) error {
	id := e.dir.Identity()
	e.ids = id.IDs
	if id.Begun {
		return e.rejoin(ctx)
	}
	clusterID, err := e.awaitScheduler(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	if id.Joined() { // and was cut short before it began
		err = e.sameCluster(clusterID)
	} else {
		err = e.mayJoin(ctx, clusterID)
	}
	if err != nil {
		return err
	}
	if e.joins {
		return e.joinLater(ctx, clusterID)
	}
	if err := e.sameBeginning(ctx); err != nil {
		return err
	}
	first, mine := e.beginning()
	e.ids = datadir.IDs{ClusterID: clusterID, StoreID: mine.StoreID, RegionID: first.ID, PeerID: mine.ID}
	if err := e.dir.Join(e.ids); err != nil {
		return err
	}
	return e.agree(ctx)
}

// beginning is the first region by the list of this store, and this store's peer of it.
func (e *enlistment) beginning() (first region.Region, mine region.Peer) {
	first = e.peers.firstRegion()
	mine, _ = first.PeerOn(e.dir.Identity().StoreID) // peers.check has seen it
	return first, mine
}

// rejoin is join for a store that has begun.
func (e *enlistment) rejoin(ctx context.Context) error {
	if err := e.joinsAsBefore(); err != nil {
		return err
	}
	if !e.joins && !e.beganSo() {
		return fmt.Errorf("the store has begun with another list than --peers %v: give it the stores that it was given first; "+
			"only their addresses may be others", e.peers)
	}
	short, cancel := context.WithTimeout(ctx, greetingPatience)
	defer cancel()
	members, err := e.scheduler.Members(short)
	if err != nil {
		e.log.Warn("the scheduler does not answer, the store serves all the same", "err", err)
		return nil
	}
	if err := e.sameCluster(members.ClusterID); err != nil {
		return err
	}
	return e.sameDirectory(short)
}

// sameDirectory refuses a directory that is not the one with which the scheduler knows the store: two were made for one id,
// and what the other has promised is not in this one. If the scheduler does not say, it is the same.
func (e *enlistment) sameDirectory(ctx context.Context) error {
	info, err := e.scheduler.Store(ctx, e.ids.StoreID)
	if err != nil {
		return nil
	}
	mine := e.dir.Identity().Nonce
	for _, l := range info.Store.Labels {
		if l.Key == client.DirectoryLabel && mine != "" && l.Value != mine {
			return fmt.Errorf("store %d of the cluster has another data directory (at %s): start it with that one; this one "+
				"has to go", e.ids.StoreID, info.Store.Address)
		}
	}
	return nil
}

// beganSo tells whether the list is that with which the store began.
func (e *enlistment) beganSo() bool {
	first, mine := e.beginning()
	return e.ids.RegionID == first.ID && e.ids.PeerID == mine.ID
}

// agree makes sure, before this store says anything to others, that all of the cluster begin with the same list: the list
// of whichever comes first counts. Those that start at the same time can't see that by a look at what there is.
func (e *enlistment) agree(ctx context.Context) error {
	first, _ := e.beginning()
	created, err := e.scheduler.Bootstrap(ctx, e.store(), first)
	if err != nil || created {
		return err
	}
	return e.sameBeginning(ctx)
}

func (e *enlistment) sameCluster(clusterID uint64) error {
	if clusterID != e.ids.ClusterID {
		return fmt.Errorf("the data belongs to cluster %d, the scheduler to cluster %d: say the --scheduler of the data's "+
			"cluster, or choose another --data-dir", e.ids.ClusterID, clusterID)
	}
	return nil
}

// awaitScheduler waits until the scheduler answers, and returns its cluster's id.
func (e *enlistment) awaitScheduler(ctx context.Context) (clusterID uint64, err error) {
	var said time.Time
	for {
		short, cancel := context.WithTimeout(ctx, greetingPatience)
		members, err := e.scheduler.Members(short)
		cancel()
		if err == nil {
			return members.ClusterID, nil
		}
		if time.Since(said) >= waitingReminder {
			said = time.Now()
			e.log.Info("waiting for the scheduler", "err", err)
		}
		select {
		case <-time.After(schedulerPause):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// mayJoin refuses a store that the cluster knows already, although its directory is new: it has lost its data, and with it
// its votes and what it promised to keep.
func (e *enlistment) mayJoin(ctx context.Context, clusterID uint64) error {
	id := e.dir.Identity().StoreID
	info, err := e.scheduler.Store(ctx, id)
	switch {
	case errors.Is(err, client.ErrNotBootstrapped), errors.Is(err, client.ErrUnknownStore):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("store %d is a member of cluster %d already (at %s), but this data directory is new: start it with the "+
		"directory it had; if that is lost, it can't come back under its id: "+replaceAdvice, id, clusterID, info.Store.Address)
}

// sameBeginning refuses a cluster that was begun with another list of stores.
func (e *enlistment) sameBeginning(ctx context.Context) error {
	bootstrapped, err := e.scheduler.IsBootstrapped(ctx)
	if err != nil || !bootstrapped {
		return err
	}
	first, mine := e.beginning()
	info, found, err := e.scheduler.RegionByID(ctx, first.ID)
	if err != nil {
		return err
	}
	if found && info.Region.Epoch == first.Epoch && slices.Equal(info.Region.Peers, first.Peers) {
		return nil
	}
	if peer, ok := info.Region.PeerOn(mine.StoreID); found && ok && peer == mine && info.Region.Epoch != first.Epoch {
		return nil // as far as can be known: others have come or gone since
	}
	return fmt.Errorf("the scheduler's cluster was not begun by --peers %v: give all its stores the same list, or an empty "+
		"cluster a scheduler of its own", e.peers)
}

// announce tells the scheduler of the store, and of the region with which the cluster begins if nobody has yet. From then on
// clients find both.
func (e *enlistment) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	members, err := e.scheduler.Members(ctx)
	if err != nil {
		return err
	}
	if err := e.sameCluster(members.ClusterID); err != nil {
		return err
	}
	created := false
	if e.ids.RegionID != 0 {
		created, err = e.scheduler.Bootstrap(ctx, e.store(), e.peers.firstRegion())
	}
	if err == nil && !created {
		err = e.scheduler.PutStore(ctx, e.store())
	}
	e.announced = err == nil
	return err
}

func (e *enlistment) store() client.Store {
	s := client.Store{ID: e.ids.StoreID, Address: e.storeAddr, StatusAddress: e.statusAddr, Version: "replicated"}
	if nonce := e.dir.Identity().Nonce; nonce != "" {
		s.Labels = []client.Label{{Key: client.DirectoryLabel, Value: nonce}}
	}
	return s
}

// reporter repeats what the scheduler should know of a store.
type reporter struct {
	*enlistment
	store *replicated.Store
	used  func() (uint64, error) // bytes that the data takes

	stream *client.Heartbeats
	sent   map[uint64]told // region -> what was last reported of it
	whole  time.Time       // when the store itself was last reported
	silent bool            // the last report failed, and the log says so
}

// told is what the scheduler was told of a region.
type told struct {
	term  uint64
	epoch region.Epoch
	at    time.Time
}

// report tells the scheduler what changes as soon as it does, and everything now and then, until ctx ends.
func (r *reporter) report(ctx context.Context) {
	r.stream, r.sent = r.scheduler.Heartbeats(r.log), map[uint64]told{}
	defer r.stream.Close()
	ticker := time.NewTicker(reportInterval / 10)
	defer ticker.Stop()
	for {
		changed := r.store.Changed()
		if err := r.reportOnce(ctx); err != nil && ctx.Err() == nil {
			if !r.silent {
				r.log.Warn("the scheduler does not take reports, they will be repeated", "err", err)
			}
			r.silent = true
			changed = nil // the ticker sets the pace
		} else {
			r.silent = false
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-ticker.C:
		}
	}
}

func (r *reporter) reportOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, schedulerPatience)
	defer cancel()
	if !r.announced {
		if err := r.announce(ctx); err != nil {
			return err
		}
	}
	views := r.store.Views()
	if now := time.Now(); now.Sub(r.whole) >= reportInterval {
		if err := r.reportStore(ctx, len(views)); err != nil {
			return err
		}
		r.whole = now
	}
	for i := range views {
		if err := r.reportRegion(ctx, &views[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reporter) reportStore(ctx context.Context, regions int) error {
	used, err := r.used()
	if err != nil {
		return err
	}
	capacity, available := diskSpace(r.dir.Engine())
	return r.scheduler.StoreHeartbeat(ctx, client.StoreStats{
		StoreID: r.ids.StoreID, RegionCount: uint32(regions), Capacity: capacity, Available: available, UsedSize: used,
	})
}

// reportRegion reports a region that this store leads, if there is news of it or the last report is old.
func (r *reporter) reportRegion(ctx context.Context, v *replica.View) error {
	if !v.Leads() {
		delete(r.sent, v.Region.ID)
		return nil
	}
	news := told{term: v.Term, epoch: v.Region.Epoch, at: time.Now()}
	old := r.sent[v.Region.ID]
	if old.term == news.term && old.epoch == news.epoch && news.at.Sub(old.at) < reportInterval {
		return nil
	}
	used, err := r.used()
	if err != nil {
		return err
	}
	err = r.stream.Send(ctx, client.RegionHeartbeat{Region: v.Region, Leader: v.Peer, Term: v.Term, ApproximateSize: used})
	if err == nil {
		r.sent[v.Region.ID] = news
	}
	return err
}
