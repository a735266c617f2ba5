// What goes on beside the loop: syncs of the data store, streams of snapshots, installs.

package storedesk

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Job is something that an effect began. It goes on by steps, between any two of which a store may crash: a sync has one, a
// stream one for each chunk, an install one for each batch and one for the sync at the end.
type Job struct {
	Store  *Store
	Effect store.Effect // store.SyncData, store.Stream or store.Install
	Held   bool         // Run does not touch it
	Steps  int          // done so far

	step func(j *Job) (done bool, err error) // err: the disk has failed
	end  func(j *Job, err error)
}

// begin notes a job. Run, or the test, lets it go on.
func (s *Store) begin(e store.Effect) {
	j := &Job{Store: s, Effect: e, Held: s.HoldJobs != nil && s.HoldJobs(e)}
	switch e := e.(type) {
	case store.SyncData:
		s.D.Say("store %d: begins to sync its data", s.ID)
		j.step = func(j *Job) (bool, error) { return true, s.Data.Write(new(engine.Batch), engine.Synced) }
		j.end = func(_ *Job, err error) { s.syncEnded(e, err) }
	case store.Stream:
		s.D.Say("store %d: begins to send a snapshot at %s to store %d", s.ID, ShowPosition(e.Head.Position), e.Head.To.StoreID)
		s.beginStream(j, &e)
	case store.Install:
		s.D.Say("store %d: begins to install the snapshot at %s from spool %s", s.ID, ShowPosition(e.Head.Position), e.Spool)
		s.beginInstall(j, &e)
	}
	s.Jobs = append(s.Jobs, j)
}

// Step lets a job go on. It reports whether it has ended. Of a store that crashed meanwhile, no job goes on.
func (j *Job) Step() (ended bool) {
	if !slices.Contains(j.Store.Jobs, j) {
		return true
	}
	done, err := j.step(j)
	j.Steps++
	if !done && err == nil {
		return false
	}
	j.Store.Jobs = slices.DeleteFunc(j.Store.Jobs, func(o *Job) bool { return o == j })
	j.end(j, err)
	return true
}

// Finish lets a job go on to its end.
func (j *Job) Finish() {
	for !j.Step() {
	}
}

func (s *Store) syncEnded(e store.SyncData, err error) {
	if err != nil {
		s.D.Say("store %d: the sync of its data fails: %v", s.ID, err)
		s.Core.Fail(err)
		return
	}
	s.D.Say("store %d: its data is synced", s.ID)
	s.Hears(store.DataSynced{Token: e.Token})
}

// beginStream makes a job that carries a snapshot to another store, chunk by chunk. Net decides about it as about a message
// of type MsgSnap: what is not delivered fails.
func (s *Store) beginStream(j *Job, e *store.Stream) {
	to := s.D.Store(e.Head.To.StoreID)
	source := snapshot.NewSource(e.Source, e.Head, s.D.ChunkBytes)
	receiver := snapshot.NewReceiver(to.Spool, snapshot.Wanted{ClusterID: ClusterID, StoreID: to.ID, RegionID: e.Head.RegionID})
	life := to.lives
	j.step = func(j *Job) (bool, error) {
		chunk, err := source.Next()
		if err != nil {
			return true, err
		}
		if to.Core == nil || to.lives != life || s.D.loses(&e.Head) {
			return true, errLost
		}
		return receiver.Accept(slices.Clone(chunk))
	}
	j.end = func(j *Job, err error) {
		_ = receiver.Close()
		_ = e.Source.Close()
		if err != nil {
			s.D.Say("store %d: the snapshot to store %d is lost: %v", s.ID, to.ID, err)
		} else {
			s.D.Say("store %d: has received a snapshot as spool %s", to.ID, receiver.Name())
			to.Hears(store.SnapshotReceived{Head: receiver.Head(), Spool: receiver.Name()})
		}
		s.Hears(store.StreamEnded{Ticket: e.Ticket, OK: err == nil})
	}
}

var errLost = errors.New("the connection broke")

func (d *Desk) loses(h *snapshot.Head) bool {
	m := replica.Message{RegionID: h.RegionID, From: h.From, To: h.To, Epoch: h.Region.Epoch,
		Raft: raft.Message{Type: raft.MsgSnap, From: h.From.ID, To: h.To.ID, Term: h.Term}}
	return d.cut(&m) || d.Net != nil && d.Net(&m) != Deliver
}

// beginInstall makes a job that installs a snapshot, batch by batch; its last step syncs.
func (s *Store) beginInstall(j *Job, e *store.Install) {
	var file io.ReadCloser
	var old engine.Snapshot
	var installer *snapshot.Installer
	j.step = func(j *Job) (done bool, err error) {
		if installer == nil {
			if file, err = s.Spool.Open(e.Spool); err != nil {
				return true, fmt.Errorf("spool %s: %w", e.Spool, err)
			}
			if old, err = s.Data.Snapshot(); err != nil {
				return true, err
			}
			installer = snapshot.NewInstaller(file, e.Head, old, e.Records)
		}
		b, err := installer.Next()
		if errors.Is(err, io.EOF) {
			return true, s.Data.Write(new(engine.Batch), engine.Synced)
		}
		if err != nil {
			return true, err
		}
		s.D.Say("store %d: install writes %s", s.ID, ShowBatch(b))
		return false, s.Data.Write(b, engine.Buffered)
	}
	j.end = func(j *Job, err error) {
		if file != nil {
			_ = file.Close()
		}
		if old != nil {
			_ = old.Close()
		}
		s.D.Say("store %d: the install ends, error %v", s.ID, err)
		s.Hears(store.InstallEnded{RegionID: e.RegionID, Spool: e.Spool, Err: err})
	}
}
