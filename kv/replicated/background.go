// The background: what takes long and must not hold up the loop. Each job ends with a report to the loop.

package replicated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"tinykv/kv/engine"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
)

// background runs jobs until it is stopped. Their number is bounded by who starts them.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc
	jobs   sync.WaitGroup
}

func newBackground() *background {
	b := &background{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// start runs a job. Only the loop calls it, so none is started after the loop has ended.
func (b *background) start(job func()) { b.jobs.Go(job) }

// stop ends the jobs that can be ended early and waits for all.
func (b *background) stop() {
	b.cancel()
	b.jobs.Wait()
}

// failBackground tells the loop that a disk failed.
func (s *Store) failBackground(err error) { _ = s.inbox.post(item{failure: err}) }

// syncData makes durable what the data store holds.
func (s *Store) syncData(e store.SyncData) {
	if err := s.opts.Data.Write(&engine.Batch{}, engine.Synced); err != nil {
		if !errors.Is(err, engine.ErrClosed) {
			s.failBackground(fmt.Errorf("sync the data: %w", err))
		}
		return
	}
	s.metrics.dataSyncs.Inc()
	s.report(store.DataSynced{Token: e.Token})
}

// stream sends a snapshot.
func (s *Store) stream(e store.Stream) {
	defer e.Source.Close()
	source := snapshot.NewSource(e.Source, e.Head, 0)
	err := s.transport.SendSnapshot(s.background.ctx, e.Head.To.StoreID, source)
	if err != nil {
		s.metrics.snapshots.WithLabelValues("send_failed").Inc()
		s.log.Warn("a snapshot could not be sent, another one will be made", "region", e.Head.RegionID,
			"to_store", e.Head.To.StoreID, "err", err)
	} else {
		s.metrics.snapshots.WithLabelValues("sent").Inc()
		s.log.Info("snapshot sent", "region", e.Head.RegionID, "to_store", e.Head.To.StoreID, "index", e.Head.Position.Index)
	}
	s.report(store.StreamEnded{Ticket: e.Ticket, OK: err == nil})
}

// install replaces a region's data by what a snapshot holds. After a stop in between it begins anew at the next start.
func (s *Store) install(e store.Install) {
	err := s.installAll(e)
	if s.background.ctx.Err() != nil {
		return
	}
	if err == nil {
		s.metrics.snapshots.WithLabelValues("installed").Inc()
		s.log.Info("snapshot installed", "region", e.RegionID, "index", e.Head.Position.Index)
	}
	s.report(store.InstallEnded{RegionID: e.RegionID, Spool: e.Spool, Err: err})
}

// installFlushBytes is how much of an install may wait in the data store's memory. It has room for more, but that is for
// small writes, which come more slowly.
const installFlushBytes = 8 << 20

// installAll writes what the spool holds into the data store, and makes it durable.
func (s *Store) installAll(e store.Install) (err error) {
	file, err := s.opts.Spools.Open(e.Spool)
	if err != nil {
		return fmt.Errorf("open the received snapshot %s: %w", e.Spool, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	old, err := s.opts.Data.Snapshot()
	if err != nil {
		return fmt.Errorf("read the data: %w", err)
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	installer := snapshot.NewInstaller(file, e.Head, old, e.Records)
	for waiting := 0; s.background.ctx.Err() == nil; {
		batch, err := installer.Next()
		if errors.Is(err, io.EOF) {
			return wrapInstall(e.Spool, s.opts.Data.Write(&engine.Batch{}, engine.Synced))
		}
		if err == nil {
			waiting += batch.Size()
			err = s.opts.Data.Write(batch, engine.Buffered)
		}
		if err == nil && waiting > installFlushBytes {
			waiting = 0
			err = s.opts.Data.Write(&engine.Batch{}, engine.Synced)
		}
		if err != nil {
			return wrapInstall(e.Spool, err)
		}
	}
	return s.background.ctx.Err()
}

func wrapInstall(spool string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("install the received snapshot %s: %w", spool, err)
}

// receiveInto takes a snapshot chunk by chunk into a spool, and returns what it is and the name of the spool.
func (s *Store) receiveInto(next func() (snapshot.Chunk, error)) (head snapshot.Head, spool string, err error) {
	receiver := snapshot.NewReceiver(s.opts.Spools, snapshot.Wanted{ClusterID: s.opts.ClusterID, StoreID: s.opts.StoreID})
	defer func() { err = errors.Join(err, receiver.Close()) }()
	complete := false
	for {
		chunk, err := next()
		if errors.Is(err, io.EOF) && complete {
			return receiver.Head(), receiver.Name(), nil
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the snapshot ended before its last chunk")
		}
		now := complete
		if err == nil {
			now, err = receiver.Accept(chunk)
		}
		if err != nil && complete { // its sender believes that it failed, and will send another
			err = errors.Join(err, s.opts.Spools.Remove(receiver.Name()))
		}
		if err != nil {
			return head, "", err
		}
		complete = now
	}
}

// discard removes a spool that nobody needs.
func (s *Store) discard(spool string) {
	if err := s.opts.Spools.Remove(spool); err != nil {
		s.log.Warn("a received snapshot could not be removed, the next start tries again", "spool", spool, "err", err)
	}
}

// removeLeftovers removes the spools that nobody needs any more: a crash has cut short how they came or went.
func removeLeftovers(spools snapshot.Spool, needed []string) error {
	names, err := spools.List()
	if err != nil {
		return fmt.Errorf("list the received snapshots: %w", err)
	}
	for _, name := range names {
		if slices.Contains(needed, name) {
			continue
		}
		if err := spools.Remove(name); err != nil {
			return fmt.Errorf("remove a received snapshot that nobody needs: %w", err)
		}
	}
	return nil
}
