package raft

import "fmt"

// MemoryStorage keeps everything in memory: for tests, examples and benchmarks, and as the plainest implementation of
// the Storage contract. It has no lock: it belongs to whoever drives the RawNode.
//
// Layout: ents[0] is a dummy that stands for the snapshot (its index and term), so that ents[i] has the index
// ents[0].Index+i and Term works for the entry just before the first.
type MemoryStorage struct {
	hard HardState
	snap Snapshot
	ents []Entry
}

// NewMemoryStorage returns an empty log with no configuration: a node that waits to be told one by a snapshot, or is
// given one by Bootstrap.
func NewMemoryStorage() *MemoryStorage {
	return &MemoryStorage{ents: make([]Entry, 1)}
}

// Bootstrap founds a cluster: every founding member is given the same configuration before its first start. It stands
// in a snapshot at index 1 of term 1, before the first entry, so that a node that joins later is sent it too: from the
// log alone it could not learn how the cluster began. (TiKV does the same, with 5 and 5.)
func (s *MemoryStorage) Bootstrap(c ConfState) {
	s.snap = Snapshot{Metadata: SnapshotMetadata{Index: 1, Term: 1, ConfState: c.clone()}}
	s.ents = []Entry{{Index: 1, Term: 1}}
	s.hard = HardState{Term: 1, Commit: 1}
}

// SetConfState sets the configuration of an empty log, for a cluster that never grows and for tests.
func (s *MemoryStorage) SetConfState(c ConfState) { s.snap.Metadata.ConfState = c.clone() }

// SetHardState records a hard state.
func (s *MemoryStorage) SetHardState(h HardState) { s.hard = h }

// Clone returns a copy that goes its own way: what a crash would leave if everything up to now were durable. It costs
// nothing, for what is written once is never changed.
func (s *MemoryStorage) Clone() *MemoryStorage {
	c := *s
	c.ents = s.ents[:len(s.ents):len(s.ents)]
	return &c
}

// InitialState implements Storage.
func (s *MemoryStorage) InitialState() (HardState, ConfState, error) {
	return s.hard, s.snap.Metadata.ConfState, nil
}

// FirstIndex implements Storage.
func (s *MemoryStorage) FirstIndex() (uint64, error) { return s.ents[0].Index + 1, nil }

// LastIndex implements Storage.
func (s *MemoryStorage) LastIndex() (uint64, error) { return s.last(), nil }

func (s *MemoryStorage) last() uint64 { return s.ents[0].Index + uint64(len(s.ents)) - 1 }

// Entries implements Storage. It copies nothing: what it returns is never written again, because Append replaces the
// array when it truncates.
func (s *MemoryStorage) Entries(lo, hi, maxBytes uint64) ([]Entry, error) {
	base := s.ents[0].Index
	if lo <= base {
		return nil, ErrCompacted
	}
	if hi > s.last()+1 || lo > hi {
		return nil, ErrUnavailable
	}
	return firstBytes(s.ents[lo-base:hi-base], maxBytes), nil
}

// Term implements Storage.
func (s *MemoryStorage) Term(index uint64) (uint64, error) {
	base := s.ents[0].Index
	if index < base {
		return 0, ErrCompacted
	}
	if index-base >= uint64(len(s.ents)) {
		return 0, ErrUnavailable
	}
	return s.ents[index-base].Term, nil
}

// Snapshot implements Storage.
func (s *MemoryStorage) Snapshot() (Snapshot, error) { return s.snap, nil }

// Append records entries as a Ready hands them out: they start at the latest one after the last, and whatever is there
// from the first one's index on is replaced. Entries that the snapshot covers are skipped.
func (s *MemoryStorage) Append(entries []Entry) error {
	base := s.ents[0].Index
	for len(entries) > 0 && entries[0].Index <= base {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	at := entries[0].Index - base
	if at > uint64(len(s.ents)) {
		return fmt.Errorf("append at %d after %d: %w", entries[0].Index, s.last(), ErrUnavailable)
	}
	if at < uint64(len(s.ents)) {
		s.ents = s.ents[:at:at] // copy on truncate: readers may still hold what lies behind
	}
	s.ents = append(s.ents, entries...)
	return nil
}

// ApplySnapshot replaces everything by a snapshot that was received: the log is empty behind it, and Term still knows its
// last entry. One that is not newer than the present is refused with an error and changes nothing. The hard state is the
// caller's to set.
func (s *MemoryStorage) ApplySnapshot(snap Snapshot) error {
	if snap.Metadata.Index <= s.snap.Metadata.Index {
		return fmt.Errorf("snapshot at %d is older than %d", snap.Metadata.Index, s.snap.Metadata.Index)
	}
	s.snap = snap
	s.ents = []Entry{{Index: snap.Metadata.Index, Term: snap.Metadata.Term}}
	return nil
}

// CreateSnapshot records the application's state at index, to be sent to followers that need it: with the term of that
// entry, and with a copy of the configuration, for the caller goes on using its own. The log is untouched. An index that
// the log does not hold (ErrCompacted, ErrUnavailable, wrapped) or that is not after the present snapshot's is refused
// and changes nothing.
func (s *MemoryStorage) CreateSnapshot(index uint64, conf ConfState, data []byte) error {
	term, err := s.Term(index)
	if err != nil {
		return fmt.Errorf("snapshot at %d: %w", index, err)
	}
	if index <= s.snap.Metadata.Index {
		return fmt.Errorf("snapshot at %d is older than %d", index, s.snap.Metadata.Index)
	}
	s.snap = Snapshot{Data: data, Metadata: SnapshotMetadata{Index: index, Term: term, ConfState: conf.clone()}}
	return nil
}

// Compact forgets the entries up to and with index; Term still knows the term of the last of them. Below what is
// compacted already it is ErrCompacted. It refuses to go beyond the snapshot, for a follower that needs those entries
// could be sent neither. Refused, it changes nothing. What is kept goes on in a new array: readers may still hold the old
// one, and the memory of what was forgotten must be free when they are done.
func (s *MemoryStorage) Compact(index uint64) error {
	base := s.ents[0].Index
	if index <= base {
		return ErrCompacted
	}
	if index > s.snap.Metadata.Index {
		return fmt.Errorf("compact to %d: the snapshot reaches %d only", index, s.snap.Metadata.Index)
	}
	kept := make([]Entry, 1, len(s.ents)) // room to grow to the same length again, which is what logs do
	kept[0] = Entry{Index: index, Term: s.ents[index-base].Term}
	s.ents = append(kept, s.ents[index-base+1:]...)
	return nil
}

// firstBytes returns the longest prefix that fits into maxBytes, at least one entry if there is any; capped, so that
// an append to it cannot write into the array it lies in.
func firstBytes(entries []Entry, maxBytes uint64) []Entry {
	var sum uint64
	for i := range entries {
		sum += entries[i].size()
		if sum > maxBytes && i > 0 {
			return entries[:i:i]
		}
	}
	return entries[:len(entries):len(entries)]
}
