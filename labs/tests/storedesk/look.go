// Looking at what a store has on its disks. Of a region that is not named, these speak of region 1.

package storedesk

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/raft"
)

// View is the last view that the store published in this life.
func (s *Store) View(regionID ...uint64) replica.View { return s.Views[first(regionID)] }

// Leads tells whether the store leads, as it published last.
func (s *Store) Leads(regionID ...uint64) bool {
	v := s.View(regionID...)
	return s.Core != nil && v.Leads()
}

// State is what the raft log keeps of a region beside its entries.
func (s *Store) State(regionID ...uint64) raftlog.State {
	s.D.T.Helper()
	state, _, err := s.Log.State(first(regionID))
	s.D.Must(fmt.Sprintf("reading the state of store %d's log", s.ID), err)
	return state
}

// Entries are all entries of the raft log of a region, as raft would get them.
func (s *Store) Entries(regionID ...uint64) []raft.Entry {
	s.D.T.Helper()
	return s.D.entries(s.Log, first(regionID))
}

// OnDisk is what a store would find that was started on what is written by now, synced or not: it looks past the cache.
func (s *Store) OnDisk(regionID ...uint64) (raftlog.State, []raft.Entry) {
	s.D.T.Helper()
	log, err := raftlog.Open(readOnly{s.Under}, raftlog.Options{})
	s.D.Must(fmt.Sprintf("opening store %d's log once more", s.ID), err)
	state, _, err := log.State(first(regionID))
	s.D.Must(fmt.Sprintf("reading the state of store %d's log", s.ID), err)
	return state, s.D.entries(log, first(regionID))
}

func (d *Desk) entries(log raftlog.Log, regionID uint64) []raft.Entry {
	d.T.Helper()
	state, _, err := log.State(regionID)
	d.Must("reading the state of a log", err)
	if state.Last.Index == state.Truncated.Index {
		return nil
	}
	list, err := log.Entries(regionID, state.Truncated.Index+1, state.Last.Index+1, math.MaxUint64)
	d.Must("reading the entries of a log", err)
	return list
}

// readOnly is an engine that forgets what is written to it.
type readOnly struct{ engine.Engine }

func (readOnly) Write(*engine.Batch, engine.Durability) error { return nil }

// Applied is the position up to which the data store has applied a region's log, as the data store says.
func (s *Store) Applied(regionID ...uint64) raftlog.Position {
	s.D.T.Helper()
	snap, err := s.Data.Snapshot()
	s.D.Must("a snapshot of the data store", err)
	defer snap.Close()
	p, _, err := replica.ReadApplied(snap, first(regionID))
	s.D.Must("reading the applied position", err)
	return p
}

// Nothing is what Get returns for a key that has no value.
const Nothing = "(nothing)"

// Get is what the data store has under a key, in family default.
func (s *Store) Get(key string) string {
	s.D.T.Helper()
	snap, err := s.Data.Snapshot()
	s.D.Must("a snapshot of the data store", err)
	defer snap.Close()
	value, err := snap.Get(engine.Default, []byte(key))
	if errors.Is(err, engine.ErrNotFound) {
		return Nothing
	}
	s.D.Must("reading "+key, err)
	return string(value)
}

// Pairs are all that clients put into the data store, one line for each family.
func (s *Store) Pairs() string {
	s.D.T.Helper()
	snap, err := s.Data.Snapshot()
	s.D.Must("a snapshot of the data store", err)
	defer snap.Close()
	var lines []string
	for _, cf := range []engine.CF{engine.Default, engine.Lock, engine.Write} {
		it, err := snap.Iterator(cf, engine.IterOptions{})
		s.D.Must("an iterator", err)
		var pairs []string
		for ok := it.First(); ok; ok = it.Next() {
			pairs = append(pairs, fmt.Sprintf("%s=%s", short(it.Key()), short(it.Value())))
		}
		s.D.Must("reading all pairs", it.Close())
		if len(pairs) > 0 {
			lines = append(lines, fmt.Sprintf("%v: %s", cf, strings.Join(pairs, " ")))
		}
	}
	return strings.Join(lines, "\n")
}

// LogSyncs is how often the disk of the raft log was synced.
func (s *Store) LogSyncs() int { return s.LogDisk.Stats().Syncs }

// DataSyncs is how often the disk of the data was synced.
func (s *Store) DataSyncs() int { return s.DataDisk.Stats().Syncs }

// states are the states of all regions of the log.
func (s *Store) states() map[uint64]raftlog.State {
	states := map[uint64]raftlog.State{}
	ids, _ := s.Log.Regions()
	for _, id := range ids {
		states[id], _, _ = s.Log.State(id)
	}
	return states
}
