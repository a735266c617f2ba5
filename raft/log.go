package raft

import (
	"errors"
	"fmt"
)

// raftLog is the log as this node has it: a durable part, read through Storage, and an unstable tail. It knows nothing
// of roles and terms of office; it answers where entries are and keeps the three marks.
//
//	applied <= handedApply <= committed <= last
//
// Invariants:
//
//	L1. committed never falls, and no entry at or below it is ever replaced (State Machine Safety, §5.4.3).
//	L2. applied never falls.
//	L3. lastTerm is the term of the entry at last(), so that elections need no read of Storage.
type raftLog struct {
	storage Storage
	unstable

	committed   uint64 // known to be on a quorum
	handedApply uint64 // handed out to be applied
	applied     uint64 // acknowledged as applied
	applyPaused bool   // the application wants nothing to apply now
	lastTerm    uint64

	// lastConf is at least the index of the last configuration change in the log; it may be too large after a
	// truncation, which only delays an election until that index has been applied.
	lastConf uint64
}

// newRaftLog opens the log that storage holds, on a start or restart: everything in it is durable and was offered, so
// unstable begins empty after the last entry. applied is what the caller says was applied; it is no less than what a
// snapshot covers, which ends just before the first index. What was applied was committed, even if the hard state says
// less; and it was handed out. lastTerm is the term of the last entry. Which entry is the last configuration change is
// not known without reading all: lastConf is last, to be safe. Errors of storage are wrapped with what was asked for;
// a commit or applied index beyond the last entry is no state that a crash leaves: ErrBadConfig.
func newRaftLog(storage Storage, hard HardState, applied uint64) (raftLog, error) {
	first, err := storage.FirstIndex()
	if err != nil {
		return raftLog{}, fmt.Errorf("raft: first index: %w", err)
	}
	last, err := storage.LastIndex()
	if err != nil {
		return raftLog{}, fmt.Errorf("raft: last index: %w", err)
	}
	lastTerm, err := storage.Term(last)
	if err != nil {
		return raftLog{}, fmt.Errorf("raft: term of the last entry %d: %w", last, err)
	}
	// What a snapshot covers was applied, and what was applied was committed, whatever the hard state says: its commit
	// index need not be flushed (Ready.MustSync), and may be older than both.
	applied = max(applied, first-1)
	committed := max(hard.Commit, applied)
	if committed > last {
		return raftLog{}, fmt.Errorf("%w: committed or applied to %d, but the log ends at %d", ErrBadConfig, committed, last)
	}
	return raftLog{
		storage:     storage,
		unstable:    unstable{offset: last + 1, offered: last},
		committed:   committed,
		handedApply: applied,
		applied:     applied,
		lastTerm:    lastTerm,
		lastConf:    last, // unknown without reading all, so assume the worst
	}, nil
}

// push appends one entry, which must follow the last.
func (l *raftLog) push(e Entry) {
	l.unstable.push(e)
	l.lastTerm = e.Term
	if e.Type == EntryConfChange {
		l.lastConf = e.Index
	}
}

// term returns the term of the entry at index: 0 for index 0, ErrCompacted or ErrUnavailable outside of the log, or an
// error of Storage.
func (l *raftLog) term(index uint64) (uint64, error) {
	switch {
	case index == l.last():
		return l.lastTerm, nil
	case index > l.last():
		return 0, ErrUnavailable
	case index >= l.offset:
		return l.entries[index-l.offset].Term, nil
	case l.snapshot != nil:
		if index == l.snapshot.Metadata.Index {
			return l.snapshot.Metadata.Term, nil
		}
		return 0, ErrCompacted // what Storage still has is about to be replaced
	case index == 0:
		return 0, nil
	}
	return l.storage.Term(index)
}

// matches reports whether the log holds an entry with this index and term. Index 0, before the first entry, always
// matches term 0. What is compacted or beyond the end of the log (ErrCompacted, ErrUnavailable from term) matches
// nothing, which is no error; any other error is Storage's own, and handed on.
func (l *raftLog) matches(index, term uint64) (bool, error) {
	t, err := l.term(index)
	if errors.Is(err, ErrCompacted) || errors.Is(err, ErrUnavailable) {
		return false, nil
	}
	return t == term, err
}

// upToDate reports whether a log that ends with the given entry is at least as up to date as this one: a later last
// term wins, with equal terms the longer log (§5.4.1).
func (l *raftLog) upToDate(lastIndex, lastTerm uint64) bool {
	return lastTerm > l.lastTerm || lastTerm == l.lastTerm && lastIndex >= l.last()
}

// slice returns the entries from lo on and before hi, one at least and then as many as fit into maxBytes; it may
// return fewer, so that a result lies either in Storage or in unstable and nothing needs to be copied.
func (l *raftLog) slice(lo, hi, maxBytes uint64) ([]Entry, error) {
	if lo >= hi {
		return nil, nil
	}
	if lo >= l.offset {
		return l.unstable.slice(lo, hi, maxBytes), nil
	}
	if l.snapshot != nil {
		return nil, ErrCompacted
	}
	entries, err := l.storage.Entries(lo, min(hi, l.offset), maxBytes)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("storage returned no entry for %d: %w", lo, ErrUnavailable)
	}
	return entries[:len(entries):len(entries)], nil
}

// merge makes the log agree with entries, which follow an entry known to match (AppendEntries, steps 3 and 4 of figure
// 2): those that are here already (matches) are skipped; from the first that conflicts on, everything is replaced: the
// log is cut off there (unstable.truncate) and the rest of entries appended (raftLog.push). Nothing is cut off if
// there is no conflict, for the message may be an old one. A conflict with what is committed comes from no correct
// leader: it is refused with ErrBadMessage and changes nothing.
func (l *raftLog) merge(entries []Entry) error {
	n, err := l.countPresent(entries)
	if err != nil || n == len(entries) {
		return err
	}
	entries = entries[n:]
	if entries[0].Index <= l.committed {
		return fmt.Errorf("%w: entry %d conflicts with a committed one", ErrBadMessage, entries[0].Index)
	}
	if entries[0].Index <= l.last() {
		l.truncate(entries[0].Index)
	}
	for i := range entries {
		l.push(entries[i])
	}
	return nil
}

// countPresent returns how many of the leading entries the log holds.
func (l *raftLog) countPresent(entries []Entry) (int, error) {
	for i := range entries {
		ok, err := l.matches(entries[i].Index, entries[i].Term)
		if err != nil || !ok {
			return i, err
		}
	}
	return len(entries), nil
}

// lastNotAfterTerm returns the largest index not above from whose entry is of a term not above term, and that entry's
// term: the last place up to which a log with such terms can possibly agree with this one. It goes no further back
// than floor, up to where the logs are known to agree; what is at floor is returned whatever its term. If it comes to
// an entry that is compacted (ErrCompacted from term), it ends there, and the term is 0: there a snapshot is needed
// anyway. Other errors are handed on.
func (l *raftLog) lastNotAfterTerm(from, term, floor uint64) (index, termThere uint64, err error) {
	for index = min(from, l.last()); index > floor; index-- {
		termThere, err = l.term(index)
		if errors.Is(err, ErrCompacted) {
			return index, 0, nil
		}
		if err != nil || termThere <= term {
			return index, termThere, err
		}
	}
	termThere, err = l.term(floor)
	if errors.Is(err, ErrCompacted) {
		err = nil
	}
	return floor, termThere, err
}

// commitTo raises the commit index, and reports whether it rose; it never lowers it (L1). index must not be beyond the
// log: that is a broken invariant of our own, and a panic.
func (l *raftLog) commitTo(index uint64) bool {
	if index <= l.committed {
		return false
	}
	if index > l.last() {
		panic(fmt.Sprintf("raft: commit %d beyond the end of the log %d", index, l.last()))
	}
	l.committed = index
	return true
}

// applyLimit is the index up to which entries may be handed out to be applied: committed, and durable here by the time
// they are applied. In a Ready the write comes before the applying, so that is every committed entry; with async
// storage only those before unstable.offset are durable. It is never below handedApply, and is that while a snapshot
// waits to be installed, because there is nothing yet to apply them to, and while the application wants none
// (applyPaused).
func (l *raftLog) applyLimit(async bool) uint64 {
	switch {
	case l.snapshot != nil || l.applyPaused:
		return l.handedApply
	case async:
		return max(l.handedApply, min(l.committed, l.offset-1))
	}
	return l.committed
}

// restore makes a snapshot that was received the whole log ([unstable.restore]): what it covers is committed, and the
// application gets it from the snapshot, so it counts as handed out. It is applied only when it is durable. The last
// entry and the last configuration change are at its index now.
func (l *raftLog) restore(s *Snapshot) {
	l.unstable.restore(s)
	l.committed = s.Metadata.Index
	l.handedApply = s.Metadata.Index
	l.lastTerm = s.Metadata.Term
	l.lastConf = s.Metadata.Index
}
