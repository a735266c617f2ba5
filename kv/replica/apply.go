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

// apply applies committed entries, in order, to the data store: their operations and the position up to which they are
// applied are one batch (R4), so that each is applied exactly once, whatever a crash leaves. Entries that do not fit into
// one batch go into several, each complete in itself.
//
// Each entry decides the fate of the writes that wait (pendingWrites.applied). An error means that an entry can't be
// applied, which never happens to an entry that a correct leader proposed: ErrCorrupt.
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

// entry applies one entry. The result is for whoever proposed it; it is the same on all replicas.
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
		a.compact.allow(raftlog.Position{Index: c.Index, Term: c.Term}, e.Index)
	}
	return nil, nil
}

// write applies a write, unless the region is not any more what its proposer took it for (R1): it was proposed at another
// Version (EpochNotMatchError), or does not fit (checkBatch). Then nothing is changed, on any replica. ConfVer may differ:
// who holds the region does not matter to what is in it.
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

// into returns the batch to which operations of the given size are to be added. If it is another than before, the one
// before is complete: it holds all up to the applied position.
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
