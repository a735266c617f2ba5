// Applying what is committed: entries become one batch with the position up to which it applies, and answers.

package replica

import (
	"fmt"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

// application is one call of apply on its way.
type application struct {
	*Replica
	w     *Work
	batch *engine.Batch // holds what was applied and is not yet complete; nil: nothing
}

// apply applies committed entries, in order, to the data store: their operations and the position up to which they
// are applied are one batch (R4), so that each is applied exactly once, whatever a crash leaves. Entries that do not
// fit into one batch go into several, each complete in itself: it ends with the record of the position up to which it
// applies (PutApplied).
//
// For each entry: it is applied (entry); then it is the applied position; then the fate of the writes that wait is
// decided by it and its result (pendingWrites.applied). At the end the last batch is completed, also if no entry had
// an operation: how far is applied is worth knowing. Done will tell raft the last index (taken.applied). Without
// entries nothing happens.
//
// An error means that an entry can't be applied, which never happens to one that a correct leader proposed
// (ErrCorrupt), or is the log's. Nothing is skipped: what comes after is not applied.
func (r *Replica) apply(entries []raft.Entry, w *Work) error {
	if len(entries) == 0 {
		return nil
	}
	a := application{Replica: r, w: w}
	for i := range entries {
		e := &entries[i]
		result, err := a.entry(e)
		if err != nil {
			return fmt.Errorf("applying entry %d of term %d: %w", e.Index, e.Term, err)
		}
		r.applied = raftlog.Position{Index: e.Index, Term: e.Term}
		r.writes.applied(e.Index, e.Term, result, w)
	}
	a.complete(a.into(0))
	r.taken.applied = r.applied.Index
	return nil
}

// entry applies one entry: a change of the members (confChange), nothing (an entry without data opens a term, Raft
// §8), a command.Write (write), or a command.CompactLog, which only allows something (allowCompaction). The result is
// for whoever proposed it, and the same on all replicas. An err is for nobody, and ends the store: ErrCorrupt, that of
// this package, if the entry is not the one after the applied position, or its command does not decode (around
// Decode's own error); those of confChange and allowCompaction as they are.
func (a *application) entry(e *raft.Entry) (result, err error) {
	switch {
	case e.Index != a.applied.Index+1:
		return nil, fmt.Errorf("%w: applied up to %d", ErrCorrupt, a.applied.Index)
	case e.Type == raft.EntryConfChange:
		return a.confChange(e)
	case len(e.Data) == 0:
		return nil, nil // opens a term (Raft §8)
	}
	c, err := command.Decode(e.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	switch c := c.(type) {
	case command.Write:
		return a.write(&c), nil
	case command.CompactLog:
		return nil, a.allowCompaction(&c, e.Index)
	}
	return nil, nil
}

// write applies a write, unless the region is not any more what its proposer took it for (R1): it was proposed at
// another Version (EpochNotMatchError with the region as it is), or does not fit (checkBatch). Then nothing is
// changed, on any replica, and that is the result. ConfVer may differ: who holds the region does not matter to what
// is in it. The batch is taken over as it is (engine.Batch.Append), without a copy of keys and values.
func (a *application) write(c *command.Write) error {
	if c.Epoch.Version != a.region.Epoch.Version {
		return &region.EpochNotMatchError{Current: []region.Region{a.region}}
	}
	if err := checkBatch(c.Batch, &a.region); err != nil {
		return err
	}
	a.into(c.Batch.Size()).Append(c.Batch)
	return nil
}

// into returns the batch of the turn to which operations of the given size are to be added (dataBatches.room). If
// that is another than the one before (a.batch), nothing more comes into that one, and it is completed (PutApplied): it
// holds all up to the applied position, which is that of the entry before.
func (a *application) into(size int) *engine.Batch {
	b := a.w.Data.room(size)
	if a.batch != nil && a.batch != b {
		a.complete(a.batch)
	}
	a.batch = b
	return b
}

// complete adds the applied position to a batch.
func (a *application) complete(b *engine.Batch) { PutApplied(b, a.id, a.applied) }
