// Log compaction: when the log is cut, how far, and what must be durable first.
//
//	leader    the log is too long ──► proposes CompactLog{Index, Term}
//	every     applies it: target = Index                     (nothing is removed yet)
//	replica   has the data store synced: durable = applied   (SyncData, DataSynced)
//	          cuts the log at min(target, durable)
//
// The log is the redo log of the data store, whose writes are not synced one by one. So an entry may go only when
// what it did is durable there (R6): otherwise a crash would take the data back to before the entry, and nothing
// could bring it forth again.

package replica

import (
	"tinykv/kv/command"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// compaction is what a replica knows of the length of its log.
//
//	kept         target                 last
//	 │ may go once │ durable │           │
//	 └─────────────┴─────────┴───────────┘
//	               └── bytes ────────────┘
type compaction struct {
	kept    raftlog.Position // the entry before the first that is kept
	target  uint64           // the log may be cut up to here; not before kept
	durable uint64           // the applied index that the data store is known to have made durable
	bytes   uint64           // an estimate of what is after target

	term     uint64 // the last one in which this peer looked at its log as the leader
	floor    uint64 // target when it did so for the first time in that term
	proposed uint64 // index of the last CompactLog that it proposed in that term; 0: there is none
}

// entryOverheadBytes is what an entry costs in the log beside its data.
const entryOverheadBytes = 32

// compactedTo is the state of a log that begins after p.
func compactedTo(p raftlog.Position) compaction { return compaction{kept: p, target: p.Index} }

// appended counts what is added to the log. What it replaces is not taken off: it is an estimate.
func (c *compaction) appended(entries []raft.Entry) {
	for i := range entries {
		c.bytes += uint64(len(entries[i].Data)) + entryOverheadBytes
	}
}

// lead begins anew with a term in which this peer leads: it has proposed nothing yet, and what was proposed before may
// be lost.
func (c *compaction) lead(term uint64) {
	if c.term != term {
		c.term, c.floor, c.proposed = term, c.target, 0
	}
}

// allowCompaction applies a command.CompactLog that is the entry at index own: the log may be cut up to the entry that
// it names, so that is the target. Nothing is removed yet (truncateLog). What comes from no correct leader, or too late,
// does nothing: an index that is not after the target; one that is not before own; one whose entry here (TermOf) has
// another term. Of the bytes that were after the target, as many are after the new one as its share of the entries, up to
// the end of the log. An error is the log's.
func (r *Replica) allowCompaction(cmd *command.CompactLog, own uint64) error {
	c := &r.compact
	if cmd.Index <= c.target || cmd.Index >= own {
		return nil
	}
	term, err := r.node.TermOf(cmd.Index)
	if err != nil || term != cmd.Term {
		return err
	}
	last := r.node.LastIndex()
	c.bytes = uint64(float64(c.bytes) * float64(last-cmd.Index) / float64(last-c.target))
	c.target = cmd.Index
	return nil
}

// tickCompaction proposes a command.CompactLog if this peer leads, no snapshot is being installed, the log is tooLong,
// and compactUpTo finds something that can go. The command names the entry at that index, so it has its term, too
// (TermOf). Then it waits until this proposal is applied (proposed, its index) before it makes another; but no longer
// than the term in which it was made ([compaction.lead], called in each tick in which this peer leads). If raft drops the
// proposal, or the log can't tell the term, nothing is lost: a later tick tries again.
func (r *Replica) tickCompaction() {
	c := &r.compact
	if !r.node.IsLeader() || r.installing() {
		return
	}
	c.lead(r.node.Term())
	if c.proposed > r.applied.Index || !r.tooLong() {
		return
	}
	index := r.compactUpTo()
	if index <= c.target {
		return
	}
	term, err := r.node.TermOf(index)
	if err != nil {
		return // raft asks again, and reports it
	}
	data, err := command.Encode(command.CompactLog{Index: index, Term: term})
	if err == nil && r.node.Propose(data) == nil {
		c.proposed = r.node.LastIndex()
	}
}

// tooLong tells whether what may not be cut yet, that is, what is after the target, exceeds what is kept for followers
// that were away for a short time: the applied entries CompactEntries, or the bytes of all of it CompactBytes.
func (r *Replica) tooLong() bool {
	limits := &r.cfg.Limits
	return r.applied.Index-r.compact.target > limits.CompactEntries || r.compact.bytes > limits.CompactBytes
}

// compactUpTo is the index up to which the leader's log is not needed: applied here, and either in the log of every
// other member (Match of its progress in raft.Status) or in the snapshot that is on its way to it (Snapshot). A member of
// which nothing was heard since this peer leads (both are 0) may have no more than what is before the floor. One that lags
// too far behind the end of the log (lagsTooFar) is passed over: it will need a snapshot, whoever waits for it.
//
// It is 0 if nothing more than the target could go, or less than an eighth of the entries after it: each compaction is an
// entry of its own.
func (r *Replica) compactUpTo() uint64 {
	status := r.node.Status()
	last, target := status.LastIndex, r.compact.target
	upTo := r.applied.Index
	for i := range status.Progress {
		p := &status.Progress[i]
		has := max(p.Match, p.Snapshot)
		if has == 0 {
			has = r.compact.floor
		}
		if p.ID != r.peer.ID && !r.lagsTooFar(last-min(has, last)) {
			upTo = min(upTo, has)
		}
	}
	if upTo <= target || 8*(upTo-target) < last-target {
		return 0
	}
	return upTo
}

// lagsTooFar tells whether a member that lacks so many entries of the end of the log must not hold up compaction: more
// than MaxLagEntries, or more than MaxLagBytes if each is as large as the average entry after the target (bytes, by the
// number of these entries, which may be 0).
func (r *Replica) lagsTooFar(entries uint64) bool {
	after := max(1, r.node.LastIndex()-r.compact.target)
	return entries > r.cfg.Limits.MaxLagEntries ||
		float64(r.compact.bytes)*float64(entries)/float64(after) > float64(r.cfg.Limits.MaxLagBytes)
}

// WantsDurable reports whether the log could be cut further if the data store were synced: more is allowed (target) than
// is known to be durable, and than was cut. (All that is allowed is applied, because what allows it is an entry after it.)
// It also returns the applied index, which will be durable after a sync that follows this turn's writes.
func (r *Replica) WantsDurable() (applied uint64, wants bool) {
	c := &r.compact
	return r.applied.Index, c.target > max(c.durable, c.kept.Index)
}

// DataDurable says that everything applied up to an index is durable in the data store. What it was told before stays
// true.
func (r *Replica) DataDurable(applied uint64) {
	r.compact.durable = max(r.compact.durable, applied)
}

// truncateLog cuts the log (Batch.Compact in w.Log) as far as that is both allowed (target) and durable, if that is further
// than it was cut before (kept), and notes it. The position has the term of the entry at that index (TermOf), which need not
// be one that a CompactLog named. The cut need not be synced: a log that is longer than it had to be does no harm. An error
// is the log's.
func (r *Replica) truncateLog(w *Work) error {
	c := &r.compact
	upTo := min(c.target, c.durable)
	if upTo <= c.kept.Index {
		return nil
	}
	term, err := r.node.TermOf(upTo)
	if err != nil {
		return err
	}
	c.kept = raftlog.Position{Index: upTo, Term: term}
	w.Log.Compact(r.id, c.kept)
	return nil
}
