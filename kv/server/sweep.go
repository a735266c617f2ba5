// The sweep: expired pairs are removed from the disk, in the background and a little at a time.

package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/proto/kvrpcpb"
)

const (
	// sweepPairs is how many pairs one step looks at: some milliseconds of work.
	sweepPairs = 1024
	// sweepPause is the rest between two steps, which leaves most of a processor to requests.
	sweepPause = 20 * time.Millisecond
)

// SweepEvery sweeps the regions that contexts name, one after the other, now and then until ctx ends. contexts is asked each
// time: which regions a store leads changes.
func (s *Server) SweepEvery(ctx context.Context, interval time.Duration, contexts func() []*kvrpcpb.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, rc := range contexts() {
			removed, err := s.SweepExpired(ctx, rc)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("the sweep of expired pairs ended early", "region", rc.GetRegionId(), "err", err, "removed", removed)
			} else if removed > 0 {
				s.log.Info("swept expired pairs", "region", rc.GetRegionId(), "removed", removed)
			}
		}
	}
}

// SweepExpired goes once through the region that rc names and removes the raw pairs that have expired, step by step,
// with a pause after each. It returns how many it removed. A pair that is written anew meanwhile is never removed: a
// removal holds its keys as a compare-and-swap does, and looks again.
//
// It takes every pair of the default column family for a raw one, so keep it off stores with transactions.
// Errors: those of the storage, engine.ErrCorrupt, that of ctx. What was removed before stays removed.
func (s *Server) SweepExpired(ctx context.Context, rc *kvrpcpb.Context) (removed int, err error) {
	pause := time.NewTicker(sweepPause)
	defer pause.Stop()
	for start := []byte(nil); ; {
		n, next, err := s.sweepStep(ctx, rc, start)
		removed += n
		if err != nil || next == nil {
			return removed, err
		}
		start = next
		select {
		case <-pause.C:
		case <-ctx.Done():
			return removed, ctx.Err()
		}
	}
}

// sweepStep looks at the next pairs and removes those that have expired.
func (s *Server) sweepStep(
	ctx context.Context, rc *kvrpcpb.Context, start []byte,
) (removed int, next []byte, err error) {
	var keys [][]byte
	now, cfName := s.now(), engine.Default.String()
	err = s.read(ctx, rc, cfName, func(snap engine.Snapshot, cf engine.CF) error {
		keys, next, err = raw.FindExpired(snap, cf, start, sweepPairs, now)
		return err
	})
	if err != nil || len(keys) == 0 {
		return 0, next, err
	}
	own := proto.CloneOf(rc) // the change binds it to a term, which must not bind the next step
	err = s.change(ctx, own, cfName, keys, func(snap engine.Snapshot, cf engine.CF) (*engine.Batch, error) {
		batch, err := raw.DeleteExpired(snap, cf, keys, now)
		if err == nil {
			removed = batch.Len()
		}
		return batch, err
	})
	if err != nil {
		return 0, nil, err
	}
	return removed, next, nil
}
