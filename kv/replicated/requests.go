// Requests: how a caller's call becomes an event, and the way of its answer. Implements the Storage of kv/server.

package replicated

import (
	"context"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/proto/kvrpcpb"
	"tinykv/raft"
)

// Snapshot returns a view of the region that contains every write acknowledged before the call: at once if a lease says
// that this peer leads, else after the loop has made sure. Its Term is the one in which this peer led. The caller must
// Close it. Errors: store.ClusterError, those of package region, that of ctx.
func (s *Store) Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if snap, ok := s.byLease(rc); ok {
		s.metrics.byLease.Inc()
		return snap, nil
	}
	s.metrics.byIndex.Inc()
	c, id := newCaller(true), s.nextID.Add(1)
	asked := contextOf(rc)
	if err := s.inbox.post(item{event: store.Read{ID: id, RequestContext: asked}, caller: c, kind: request}); err != nil {
		return nil, err
	}
	var a answer
	select {
	case a = <-c.done:
	case <-ctx.Done():
		if c.leave() {
			s.report(store.Cancel{ID: id, RegionID: asked.RegionID})
			return nil, ctx.Err()
		}
		a = <-c.done // too late to leave
	}
	if a.err != nil {
		return nil, a.err
	}
	view := s.views.of(asked.RegionID)
	if view == nil || rc.GetTerm() != 0 && rc.GetTerm() != a.term {
		_ = a.snapshot.Close()
		return nil, &region.StaleCommandError{}
	}
	if asked.Epoch != (region.Epoch{}) && view.Region.Epoch != asked.Epoch {
		_ = a.snapshot.Close()
		return nil, &region.EpochNotMatchError{Current: []region.Region{view.Region}}
	}
	return &regionSnapshot{Snapshot: a.snapshot, region: view.Region, term: a.term}, nil
}

// byLease answers a read without the loop, if the newest view of its region allows it: the request fits it ([fits]), and
// its term, if it demands one, is the view's; the peer leads and installs nothing; and its lease has not ended by now
// (LeaseUntil). Only then it takes the engine snapshot; if it can't, the loop knows what to say. If the newest view has
// other Installs afterwards, or there is none, the data was being replaced meanwhile: the snapshot is closed, and the
// loop is asked. What is handed out sees the region alone, in the view's term ([regionSnapshot]).
func (s *Store) byLease(rc *kvrpcpb.Context) (engine.Snapshot, bool) {
	view := s.views.of(rc.GetRegionId())
	if view == nil || !fits(view, contextOf(rc), s.opts.ClusterID) || !view.Leads() || view.Installing ||
		rc.GetTerm() != 0 && rc.GetTerm() != view.Term || s.now() >= view.LeaseUntil {
		return nil, false
	}
	snap, err := s.opts.Data.Snapshot()
	if err != nil {
		return nil, false // the loop knows what to say
	}
	if after := s.views.of(view.Region.ID); after == nil || after.Installs != view.Installs {
		_ = snap.Close()
		return nil, false
	}
	return &regionSnapshot{Snapshot: snap, region: view.Region, term: view.Term}, true
}

// fits tells whether the asker's picture of the cluster is what the view shows: cluster, store, peer, and epoch. Zero
// means "not said", and fits.
func fits(v *replica.View, rc store.RequestContext, clusterID uint64) bool {
	return (rc.ClusterID == 0 || rc.ClusterID == clusterID) &&
		(rc.StoreID == 0 || rc.StoreID == v.Peer.StoreID) &&
		(rc.PeerID == 0 || rc.PeerID == v.Peer.ID) &&
		(rc.Epoch == region.Epoch{} || rc.Epoch == v.Region.Epoch)
}

// Write replicates the batch and returns nil when it is applied here and durable on a quorum. The batch must not be changed
// until then, nor after an error. Errors: region.UndeterminedError: it may or may not take effect; store.ClusterError, the
// others of package region, those of engine.Batch's Check, that of ctx: it has none and never will.
//
// When ctx ends, Write does not return at once: not before the fate of the batch is known, or leadership was lost and it
// can't be. So what the caller holds meanwhile, its latches above all, it holds for as long as the write may take effect
// here.
func (s *Store) Write(ctx context.Context, rc *kvrpcpb.Context, batch *engine.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, id := newCaller(false), s.nextID.Add(1)
	asked := contextOf(rc)
	e := store.Write{ID: id, RequestContext: asked, Term: rc.GetTerm(), Batch: batch}
	if err := s.inbox.post(item{event: e, caller: c, kind: request, bytes: batch.Size()}); err != nil {
		return err
	}
	return s.await(ctx, c, store.Cancel{ID: id, RegionID: asked.RegionID}).err
}

// TransferLeader asks this store's peer of a region to hand leadership to another peer. Nil: it has begun to. Errors:
// those of package region, raft.ErrBadTransfer, that of ctx.
func (s *Store) TransferLeader(ctx context.Context, regionID, to uint64) error {
	c, id := newCaller(false), s.nextID.Add(1)
	e := store.TransferLeader{ID: id, RequestContext: store.RequestContext{RegionID: regionID}, To: to}
	if err := s.inbox.post(item{event: e, caller: c, kind: request}); err != nil {
		return err
	}
	return s.await(ctx, c, store.Cancel{ID: id, RegionID: regionID}).err
}

// ChangePeer asks this store's peer of a region, which leads it, for a change of its members: that peer comes, or goes. Nil:
// it is applied here. A peer that comes has nothing yet; it is sent a snapshot. Errors: those of package region,
// raft.ErrConfChangePending (ask again later), raft.ErrBadConfChange, that of ctx.
func (s *Store) ChangePeer(ctx context.Context, regionID uint64, kind raft.ConfChangeType, peer region.Peer) error {
	c, id := newCaller(false), s.nextID.Add(1)
	e := store.ChangePeer{ID: id, RequestContext: store.RequestContext{RegionID: regionID}, Type: kind, Peer: peer}
	if err := s.inbox.post(item{event: e, caller: c, kind: request}); err != nil {
		return err
	}
	return s.await(ctx, c, store.Cancel{ID: id, RegionID: regionID}).err
}

// await waits for the one answer. When ctx ends it says so to the loop and goes on waiting: the loop knows when there is no
// more to be known.
func (s *Store) await(ctx context.Context, c *caller, cancel store.Cancel) answer {
	select {
	case a := <-c.done:
		return a
	case <-ctx.Done():
	}
	s.report(cancel)
	a := <-c.done
	if errIsCancelled(a.err) {
		a.err = ctx.Err()
	}
	return a
}

// contextOf is the asker's picture of the cluster as values.
func contextOf(rc *kvrpcpb.Context) store.RequestContext {
	return store.RequestContext{
		ClusterID: rc.GetClusterId(), StoreID: rc.GetPeer().GetStoreId(), RegionID: rc.GetRegionId(),
		PeerID: rc.GetPeer().GetId(), Epoch: regionpb.ToEpoch(rc.GetRegionEpoch()),
	}
}

// Contexts are the contexts of requests to the regions that this store leads, by somebody who knows the truth: for work that
// the process gives itself.
func (s *Store) Contexts() []*kvrpcpb.Context {
	var contexts []*kvrpcpb.Context
	for _, v := range s.Views() {
		if v.Leads() {
			contexts = append(contexts, &kvrpcpb.Context{
				ClusterId: s.opts.ClusterID, RegionId: v.Region.ID, RegionEpoch: regionpb.FromEpoch(v.Region.Epoch),
				Peer: regionpb.FromPeer(v.Peer),
			})
		}
	}
	return contexts
}
