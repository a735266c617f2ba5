// The store: which requests it serves.

package standalone

import (
	"context"
	"fmt"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/kvrpcpb"
)

// Options say who the store is.
type Options struct {
	ClusterID uint64
	Peer      region.Peer   // this store, and its peer of the region
	Region    region.Region // what it holds

	Wrote  func(batches, bytes int, took time.Duration) // told of each write to the engine; nil: nobody is told
	Broken func(err error)                              // told once, when the engine takes no more writes; nil: nobody is told
}

// Store serves one region from one engine. Its methods may be called from any goroutine.
type Store struct {
	opts   Options
	engine engine.Engine
	queue  *queue
}

// New makes a store on an engine, which stays the caller's to close, after the store.
func New(e engine.Engine, opts Options) *Store {
	if opts.Wrote == nil {
		opts.Wrote = func(int, int, time.Duration) {}
	}
	if opts.Broken == nil {
		opts.Broken = func(error) {}
	}
	return &Store{opts: opts, engine: e, queue: newQueue(e, opts)}
}

// Close answers all who wait to write, and returns when the last write is done. Later writes get region.BusyError.
func (s *Store) Close() { s.queue.close() }

// Snapshot returns a view that contains every write acknowledged before the call. The caller must Close it. Errors:
// ClusterError or those of package region, if the request is not for what this store holds; that of ctx;
// engine.ErrClosed.
func (s *Store) Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.check(rc); err != nil {
		return nil, err
	}
	return s.engine.Snapshot()
}

// Write makes the batch visible and durable as one. The caller must not change the batch until Write returns.
// Errors: ClusterError or those of package region, or that of ctx, and then nothing was or will be written; those of
// engine.Engine's Write.
func (s *Store) Write(ctx context.Context, rc *kvrpcpb.Context, batch *engine.Batch) error {
	if err := s.check(rc); err != nil {
		return err
	}
	if err := s.checkKeys(batch); err != nil {
		return err
	}
	if err := batch.Check(); err != nil {
		return err
	}
	if batch.Len() == 0 {
		return ctx.Err()
	}
	return s.queue.write(ctx, batch)
}

// ClusterError: the request is for another cluster. The client was given the address of the wrong one.
type ClusterError struct {
	Requested, Actual uint64
}

// OtherCluster is the cluster that the request was meant for.
func (e *ClusterError) OtherCluster() uint64 { return e.Requested }

func (e *ClusterError) Error() string {
	return fmt.Sprintf("the request is for cluster %d, this store belongs to cluster %d", e.Requested, e.Actual)
}

// check compares the client's picture of the cluster with the truth. What a client leaves out can't be wrong, except
// for the region, which each request must name.
func (s *Store) check(rc *kvrpcpb.Context) error {
	held := s.opts.Region
	if id := rc.GetClusterId(); id != 0 && id != s.opts.ClusterID {
		return &ClusterError{Requested: id, Actual: s.opts.ClusterID}
	}
	if id := rc.GetPeer().GetStoreId(); id != 0 && id != s.opts.Peer.StoreID {
		return &region.StoreNotMatchError{Requested: id, Actual: s.opts.Peer.StoreID}
	}
	if rc.GetRegionId() != held.ID {
		return &region.NotFoundError{RegionID: rc.GetRegionId()}
	}
	if id := rc.GetPeer().GetId(); id != 0 && id != s.opts.Peer.ID {
		return &region.PeerNotMatchError{Requested: id, Actual: s.opts.Peer.ID}
	}
	if regionpb.ToEpoch(rc.GetRegionEpoch()) != held.Epoch {
		return &region.EpochNotMatchError{Current: []region.Region{held}}
	}
	return nil
}

// checkKeys refuses a batch that reaches out of the region.
func (s *Store) checkKeys(batch *engine.Batch) error {
	held := s.opts.Region
	for op := range batch.Ops() {
		inside := held.Range.Contains(op.Key)
		if op.Kind == engine.OpDeleteRange {
			whole := region.Range{Start: op.Key, End: op.Value}
			inside = whole.IsEmpty() || held.Range.Intersect(whole).Equal(whole)
		}
		if !inside {
			return &region.KeyNotInRegionError{Key: op.Key, RegionID: held.ID, Range: held.Range}
		}
	}
	return nil
}

// Contexts is the context of a request to the one region by somebody who knows the truth: for work that the process gives
// itself.
func (s *Store) Contexts() []*kvrpcpb.Context {
	return []*kvrpcpb.Context{{
		ClusterId:   s.opts.ClusterID,
		RegionId:    s.opts.Region.ID,
		RegionEpoch: regionpb.FromEpoch(s.opts.Region.Epoch),
		Peer:        regionpb.FromPeer(s.opts.Peer),
	}}
}
