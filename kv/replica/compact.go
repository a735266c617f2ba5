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
type compaction struct {
	kept     raftlog.Position // the entry before the first that is kept
	bytes    uint64           // an estimate of what is kept; after a restart, of what came since
	target   uint64           // the log may be cut up to here
	durable  uint64           // the applied index that the data store is known to have made durable
	proposed uint64           // index of the leader's CompactLog that is not applied yet; 0: there is none
}

// entryOverheadBytes is what an entry costs in the log beside its data.
const entryOverheadBytes = 32

// appended counts what is added to the log. What it replaces is not taken off: it is an estimate.
func (c *compaction) appended(entries []raft.Entry) {
	for i := range entries {
		c.bytes += uint64(len(entries[i].Data)) + entryOverheadBytes
	}
}

// allow notes that the entry at index own allows the log to be cut up to position p. An older one than what was allowed
// before does nothing; one that allows more than what is before it comes from no correct leader.
func (c *compaction) allow(p raftlog.Position, own uint64) {
	if p.Index > c.target && p.Index < own {
		c.target = p.Index
	}
	if own >= c.proposed {
		c.proposed = 0
	}
}

// tickCompaction proposes a command.CompactLog if this peer leads, the log is tooLong, and compactUpTo finds
// something that can go. The command has the term of the entry at that index, too. Then it waits until this proposal
// is applied (proposed, its index) before it makes another. Not while a snapshot is being installed. If raft drops
// the proposal, or the log can't tell the term, nothing is lost: a later tick tries again.
func (r *Replica) tickCompaction() {
	if !r.node.IsLeader() || r.installing() || r.compact.proposed > 0 || !r.tooLong() {
		return
	}
	index := r.compactUpTo()
	if index <= r.compact.kept.Index {
		return
	}
	term, err := r.node.TermOf(index)
	if err != nil {
		return // raft asks again, and reports it
	}
	data, err := command.Encode(command.CompactLog{Index: index, Term: term})
	if err == nil && r.node.Propose(data) == nil {
		r.compact.proposed = r.node.LastIndex()
	}
}

// tooLong tells whether the log exceeds what is kept for followers that were away for a short time: its applied part by
// CompactEntries, or all of it by CompactBytes.
func (r *Replica) tooLong() bool {
	limits := &r.cfg.Limits
	return r.applied.Index-r.compact.kept.Index > limits.CompactEntries || r.compact.bytes > limits.CompactBytes
}

// compactUpTo is the index up to which the leader's log is not needed: applied here, and either in the log of every
// other member (Match of its progress) or in the snapshot that is on its way to it (Snapshot). A member that lags too
// far behind the end of the log (lagsTooFar) is passed over: it will need a snapshot, whoever waits for it. It is 0
// if nothing could go, or less than an eighth of the entries that are kept: each compaction is an entry of its own.
func (r *Replica) compactUpTo() uint64 {
	status := r.node.Status()
	last := status.LastIndex
	upTo := r.applied.Index
	for i := range status.Progress {
		p := &status.Progress[i]
		has := max(p.Match, p.Snapshot)
		if p.ID != r.peer.ID && !r.lagsTooFar(last-min(has, last)) {
			upTo = min(upTo, has)
		}
	}
	if upTo <= r.compact.kept.Index || 8*(upTo-r.compact.kept.Index) < last-r.compact.kept.Index {
		return 0
	}
	return upTo
}

// lagsTooFar tells whether a member that lacks so many entries of the end of the log must not hold up compaction. The
// bytes are estimated by the average entry.
func (r *Replica) lagsTooFar(entries uint64) bool {
	kept := max(1, r.node.LastIndex()-r.compact.kept.Index)
	return entries > r.cfg.Limits.MaxLagEntries ||
		float64(r.compact.bytes)*float64(entries)/float64(kept) > float64(r.cfg.Limits.MaxLagBytes)
}

// WantsDurable reports whether the log could be cut further if the data store were synced: more is allowed than is
// durable. (All that is allowed is applied, because what allows it is an entry after it.) It also returns the applied
// index, which will be durable after a sync that follows this turn's writes.
func (r *Replica) WantsDurable() (applied uint64, wants bool) {
	return r.applied.Index, r.compact.target > r.compact.durable
}

// DataDurable says that everything applied up to an index is durable in the data store. What it was told before stays
// true.
func (r *Replica) DataDurable(applied uint64) {
	r.compact.durable = max(r.compact.durable, applied)
}

// truncateLog cuts the log (Batch.Compact) as far as that is both allowed and durable, if that is further than it was
// cut before; the position needs the term of that entry, too. The estimate of what is kept shrinks with the number of
// entries. Not while a snapshot is being installed, which cuts the log by itself. The cut need not be synced: a log
// that is longer than it had to be does no harm. An error is the log's.
func (r *Replica) truncateLog(w *Work) error {
	c := &r.compact
	upTo := min(c.target, c.durable)
	if r.installing() || upTo <= c.kept.Index {
		return nil
	}
	term, err := r.node.TermOf(upTo)
	if err != nil {
		return err
	}
	last := r.node.LastIndex()
	c.bytes = uint64(float64(c.bytes) * float64(last-upTo) / float64(last-c.kept.Index))
	c.kept = raftlog.Position{Index: upTo, Term: term}
	w.Log.Compact(r.id, c.kept)
	return nil
}
