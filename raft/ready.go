package raft

import "fmt"

// Ready is everything a node asks its caller to do, as values. Zero fields ask for nothing. The order in which it may
// be done is the contract of this package; doc.go has it as a list.
//
// A Ready belongs to the caller. Its slices are immutable, and never written by this package again.
type Ready struct {
	// Number counts the Readies of this RawNode from 1; Persisted refers to it.
	Number uint64

	// SoftState is set if the role or the known leader changed.
	SoftState *SoftState

	// HardState is set if it changed; it goes into the same atomic write as Entries.
	HardState HardState

	// Entries are to be appended to the log in Storage. They may begin before its end: then what is there from the
	// first one's index on is to be replaced.
	Entries []Entry

	// Snapshot is to replace everything in Storage and in the application, before Entries. Atomically: a crash leaves
	// the old state or the new one.
	Snapshot *Snapshot

	// MustSync says that the write has to be flushed to the disk. It need not be if only HardState.Commit changed.
	MustSync bool

	// CommittedEntries are to be applied to the application's state, in order, after Snapshot and Entries are written.
	// For an entry of type EntryConfChange call ApplyConfChange.
	CommittedEntries []Entry

	// ReadStates answer ReadIndex.
	ReadStates []ReadState

	// Messages are to be sent, in any order, and may be lost. Report what is known about that: ReportUnreachable,
	// ReportSnapshot. All of them may be sent once the write is durable; see Immediate for more parallelism.
	Messages []Message

	immediate int
}

// Immediate returns those of Messages that may be sent before the write is durable, in parallel with it: the appends
// and heartbeats of a leader whose term is durable, and what is only passed on (dissertation §10.2.1).
func (rd *Ready) Immediate() []Message { return rd.Messages[:rd.immediate:rd.immediate] }

// Deferred returns the others. They are promises - a vote, an acknowledgement - that a crash must not be able to break.
func (rd *Ready) Deferred() []Message { return rd.Messages[rd.immediate:] }

// write is a Ready whose write is not known to be durable.
type write struct {
	number   uint64
	last     uint64 // the log up to here is durable with it, unless it was truncated since
	term     uint64
	snapshot *Snapshot
}

// HasReady reports whether Ready would return anything. While a Ready is out, there is none. What makes one: a message
// or a read state in the outbox, entries after log.offered, a snapshot that was not offered, committed entries after
// log.handedApply (see [raftLog.applyLimit]), a hard or soft state other than lastHard or lastSoft, and messages that
// are built only when Ready is taken ([raft.outputDue]). It changes nothing, and asks nothing of Storage.
func (rn *RawNode) HasReady() bool {
	r := rn.r
	if rn.outstanding {
		return false
	}
	return len(r.outbox.immediate) > 0 || len(r.outbox.deferred) > 0 || len(r.outbox.readStates) > 0 ||
		r.log.offered < r.log.last() || r.log.snapshot != nil && !r.log.snapshotOffered ||
		r.log.handedApply < r.log.applyLimit(r.cfg.AsyncStorage) ||
		rn.hardState() != rn.lastHard || r.softState() != rn.lastSoft || r.outputDue()
}

// outputDue reports whether buildOutput would build messages: on a leader if reads wait that can be served
// ([raft.readsDue]) or an append is due to a member other than this node ([progress.due]); on others if reads wait to be
// forwarded ([raft.forwardReadsDue]). It changes nothing.
func (r *raft) outputDue() bool {
	if r.role != StateLeader {
		return r.forwardReadsDue()
	}
	if r.readsDue() {
		return true
	}
	last := r.log.last()
	for i := range r.leader.progress {
		if p := &r.leader.progress[i]; p.id != r.id && p.due(last) {
			return true
		}
	}
	return false
}

// Ready takes what there is to do. It must be followed by Advance before it is called again: else it panics with
// ErrReadyTwice. An error comes from Storage, wrapped; then nothing was taken, and Ready may be called again. So what
// can fail comes first: the output is built ([raft.buildOutput]), the committed entries are read, and then all is taken.
func (rn *RawNode) Ready() (Ready, error) {
	if rn.outstanding {
		panic(ErrReadyTwice)
	}
	if err := rn.r.buildOutput(); err != nil {
		return Ready{}, err
	}
	committed, err := rn.r.nextCommitted()
	if err != nil {
		return Ready{}, err
	}
	return rn.take(committed), nil
}

// buildOutput makes the messages that are put together only now, so that one carries what came in since the last time.
func (r *raft) buildOutput() error {
	if r.role != StateLeader {
		r.forwardReads()
		return nil
	}
	r.serveReads()
	return r.sendAppends()
}

// nextCommitted reads the next entries to apply: after log.handedApply, up to [raftLog.applyLimit], and no more than fit
// into MaxApplyBytes (one always does). None is no error. It changes nothing: until [raft.handOut] they count as not
// handed out. An error of Storage is wrapped with what was asked for.
func (r *raft) nextCommitted() ([]Entry, error) {
	lo, hi := r.log.handedApply+1, r.log.applyLimit(r.cfg.AsyncStorage)+1
	entries, err := r.log.slice(lo, hi, r.cfg.MaxApplyBytes)
	if err != nil {
		return nil, fmt.Errorf("raft: committed entries [%d, %d): %w", lo, hi, err)
	}
	return entries, nil
}

// take moves everything from the state machine into a Ready. From here on nothing can fail. The Ready is numbered and
// outstanding. SoftState and HardState are set only if they differ from what the last Ready that had one said, and are
// remembered. MustSync as its field says. Messages come from [outbox.take]; how many of them are immediate, too, but none
// are while the term is not durable (r.durableTerm), nor with Config.SequentialAppend.
//
// Last, a write is recorded in log.writes for [raft.persistedTo]: its number, the last entry that is offered by now, the
// term, and the snapshot that waits, if any.
func (rn *RawNode) take(committed []Entry) Ready {
	r := rn.r
	rn.outstanding = true
	rn.number++
	rd := Ready{Number: rn.number, CommittedEntries: committed, ReadStates: r.outbox.readStates}
	r.outbox.readStates = nil
	r.handOut(committed)
	if r.softState() != rn.lastSoft {
		rn.lastSoft = r.softState()
		soft := rn.lastSoft
		rd.SoftState = &soft
	}
	if hard := rn.hardState(); hard != rn.lastHard {
		rd.HardState = hard
		rd.MustSync = hard.Term != rn.lastHard.Term || hard.Vote != rn.lastHard.Vote
		rn.lastHard = hard
	}
	rd.Entries = r.log.offerEntries()
	rd.Snapshot = r.log.offerSnapshot()
	rd.MustSync = rd.MustSync || len(rd.Entries) > 0 || rd.Snapshot != nil
	rd.Messages, rd.immediate = r.outbox.take()
	if r.durableTerm != r.term || r.cfg.SequentialAppend {
		rd.immediate = 0
	}
	r.log.writes = append(r.log.writes, write{
		number: rn.number, last: r.log.offered, term: r.term, snapshot: r.log.snapshot,
	})
	return rd
}

// handOut notes that committed entries are given to the application: log.handedApply goes up to the last of them. On a
// leader they no longer count as uncommitted: the size of each entry that it appended itself in this term (from
// leader.termStart on; only those were counted) is taken off leader.uncommittedBytes, which never goes below zero.
func (r *raft) handOut(committed []Entry) {
	if len(committed) == 0 {
		return
	}
	r.log.handedApply = committed[len(committed)-1].Index
	if r.role != StateLeader {
		return
	}
	for i := range committed {
		if e := &committed[i]; e.Index >= r.leader.termStart {
			r.leader.uncommittedBytes -= min(r.leader.uncommittedBytes, e.size())
		}
	}
}

// take empties the outbox of its messages: the immediate ones first, then the deferred, and how many the first are. What
// it returns is not used again, for it belongs to the caller. If there is only one kind, nothing need be copied.
func (o *outbox) take() (messages []Message, immediate int) {
	immediate = len(o.immediate)
	switch {
	case len(o.deferred) == 0:
		messages = o.immediate
	case immediate == 0:
		messages = o.deferred
	default:
		messages = append(o.immediate, o.deferred...)
	}
	o.immediate, o.deferred = nil, nil
	return messages, immediate
}

// offerEntries hands out the entries that no Ready has had yet, those after offered, and moves offered to the last; nil
// if there are none. They are not copied (U3): the capacity of what is returned ends with its length, so that neither
// side can write over what the other has.
func (u *unstable) offerEntries() []Entry {
	if u.offered >= u.last() {
		return nil
	}
	entries := u.entries[u.offered+1-u.offset:]
	u.offered = u.last()
	return entries[:len(entries):len(entries)]
}

// offerSnapshot hands out the snapshot that was received, once: nil if there is none or a Ready has had it. It stays in
// u.snapshot until it is durable.
func (u *unstable) offerSnapshot() *Snapshot {
	if u.snapshot == nil || u.snapshotOffered {
		return nil
	}
	u.snapshotOffered = true
	return u.snapshot
}

// Advance says that the last Ready is done: its write is durable, its committed entries are applied (with AsyncStorage:
// that it was taken over, and nothing else). It panics with ErrAdvanceWithoutReady if there is none. What follows from
// it is concluded by [raft.persistedTo], for all Readies up to this one, and then [raft.appliedTo], for all that was
// handed out to be applied.
func (rn *RawNode) Advance() {
	if !rn.outstanding {
		panic(ErrAdvanceWithoutReady)
	}
	rn.outstanding = false
	if rn.r.cfg.AsyncStorage {
		return
	}
	rn.r.persistedTo(rn.number)
	rn.r.appliedTo(rn.r.log.handedApply)
}

// Persisted says, with AsyncStorage, that the writes of all Readies up to this number are durable.
func (rn *RawNode) Persisted(number uint64) {
	switch {
	case !rn.r.cfg.AsyncStorage:
		panic(ErrAckInSyncMode)
	case number > rn.number:
		panic(ErrAckOutOfRange)
	}
	rn.r.persistedTo(number)
}

// Applied says, with AsyncStorage, that the application has applied everything up to index.
func (rn *RawNode) Applied(index uint64) {
	switch {
	case !rn.r.cfg.AsyncStorage:
		panic(ErrAckInSyncMode)
	case index > rn.r.log.handedApply:
		panic(ErrAckOutOfRange)
	}
	rn.r.appliedTo(index)
}

// persistedTo draws the conclusions of writes having become durable: those in log.writes with this number or a lower one,
// oldest first, each taken off the list. With a write its term is durable (r.durableTerm), and the log up to its last
// entry (stableTo). If it held the snapshot that still waits, and not one that a newer has replaced, then that waits no
// longer, and counts as applied ([raft.appliedTo]), before the entries count. At the end, always, a leader draws its own
// conclusion: [raft.persisted].
func (r *raft) persistedTo(number uint64) {
	writes := r.log.writes
	n := 0
	for n < len(writes) && writes[n].number <= number {
		w := &writes[n]
		r.durableTerm = w.term
		if w.snapshot != nil && w.snapshot == r.log.snapshot {
			r.log.snapshot, r.log.snapshotOffered = nil, false
			r.appliedTo(w.snapshot.Metadata.Index)
		}
		r.log.stableTo(w.last)
		n++
	}
	r.log.writes = append(writes[:0], writes[n:]...)
	r.persisted()
}

// appliedTo notes how far the application is; an index that is not news does nothing (L2). After it, a joint
// configuration that was applied may be left ([raft.maybeLeaveJoint]), and a call to campaign that had to wait for a
// configuration change is answered ([raft.answerCall]).
func (r *raft) appliedTo(index uint64) {
	if index <= r.log.applied {
		return
	}
	r.log.applied = index
	r.maybeLeaveJoint()
	r.answerCall()
}
