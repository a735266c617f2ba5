// What raft reads: the durable state of one region, in the shape that raft asks for.

package replica

import (
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// storage is raft.Storage over the store's raft log. It keeps nothing of its own but the configuration that was in
// force when the peer was opened; snapshots are made by the replica (snapshot.go).
//
// A region that the log knows nothing of is one whose log is empty and begins at 1.
type storage struct {
	region  uint64
	log     raftlog.Log
	conf    raft.ConfState
	replica *Replica // makes the snapshots
}

// InitialState returns the hard state that the log keeps of the region, the empty one if it knows nothing of it, and
// the configuration at the applied index, which is the one that the peer was opened with.
func (s *storage) InitialState() (raft.HardState, raft.ConfState, error) {
	state, _, err := s.log.State(s.region)
	return state.Hard, s.conf, err
}

// Entries returns the entries in [lo, hi), at least one, as many as fit into maxBytes.
func (s *storage) Entries(lo, hi, maxBytes uint64) ([]raft.Entry, error) {
	return s.log.Entries(s.region, lo, hi, maxBytes)
}

// Term returns the term of an entry, or of the one before the first that is kept.
func (s *storage) Term(index uint64) (uint64, error) {
	state, _, err := s.log.State(s.region)
	switch {
	case err != nil:
		return 0, err
	case index == state.Truncated.Index:
		return state.Truncated.Term, nil
	case index == state.Last.Index:
		return state.Last.Term, nil
	case index < state.Truncated.Index:
		return 0, raft.ErrCompacted
	case index > state.Last.Index:
		return 0, raft.ErrUnavailable
	}
	return s.log.Term(s.region, index)
}

// FirstIndex is the index of the first entry that is kept.
func (s *storage) FirstIndex() (uint64, error) {
	state, _, err := s.log.State(s.region)
	return state.Truncated.Index + 1, err
}

// LastIndex is the index of the last entry, or of the one before the first if none is kept.
func (s *storage) LastIndex() (uint64, error) {
	state, _, err := s.log.State(s.region)
	return state.Last.Index, err
}

// Snapshot makes a snapshot to be sent, or says that it can't be made now.
func (s *storage) Snapshot() (raft.Snapshot, error) { return s.replica.makeSnapshot() }
