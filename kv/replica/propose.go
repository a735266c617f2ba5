// Proposing a write: who may, and how its fate will be recognized.

package replica

import (
	"errors"
	"fmt"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/raft"
)

// Propose asks for a batch to be replicated and applied; id is the caller's, and gets its answer in the Work of a later
// turn. An error is the answer: nothing was or will be done. The batch must not be written to any more.
//
// It is refused, in this order, if
//
//   - the asker's picture of the region is wrong (check);
//   - this peer does not lead (NotLeaderError), or leads in another term than the one that is demanded (term != 0;
//     StaleCommandError): what the caller has seen may have been overwritten;
//   - the batch can't be applied to this region (checkBatch);
//   - as many callers wait already as may (Limits.MaxWrites; BusyError).
//
// An empty batch is only checked: done is true, and there will be no other answer.
func (r *Replica) Propose(id uint64, rc *RequestContext, term uint64, batch *engine.Batch) (done bool, err error) {
	if err := r.admitWrite(rc, term, batch); err != nil || batch.Len() == 0 {
		return err == nil, err
	}
	data, err := command.Encode(command.Write{Epoch: r.region.Epoch, Batch: batch})
	if err != nil {
		return false, fmt.Errorf("%w: %w", engine.ErrTooLarge, err)
	}
	return false, r.propose(id, r.node.Propose(data))
}

// admitWrite decides whether a write may be proposed, by the list of Propose.
func (r *Replica) admitWrite(rc *RequestContext, term uint64, batch *engine.Batch) error {
	if err := r.check(rc); err != nil {
		return err
	}
	if err := r.checkLeads(); err != nil {
		return err
	}
	if term != 0 && term != r.node.Term() {
		return &region.StaleCommandError{}
	}
	if err := checkBatch(batch, &r.region); err != nil {
		return err
	}
	if r.writes.len() >= r.cfg.Limits.MaxWrites {
		return &region.BusyError{Reason: "too many writes wait for their turn"}
	}
	return nil
}

// propose notes the caller of what was just proposed to raft, if raft took it (err is nil), under the index and term
// that it has there: those of the end of this leader's log. Otherwise nobody waits, and the error is the answer:
// BusyError for what raft dropped (raft.ErrProposalDropped), since nothing was appended, and the limits or the
// transfer of leadership that are in the way will pass; any other error as it is.
func (r *Replica) propose(id uint64, err error) error {
	switch {
	case errors.Is(err, raft.ErrProposalDropped):
		return &region.BusyError{Reason: err.Error()}
	case err != nil:
		return err
	}
	r.writes.add(pendingWrite{id: id, index: r.node.LastIndex(), term: r.node.Term()})
	return nil
}

// Cancel says that the caller of a request does not wait any more. A read that waits is forgotten: answered is true,
// and the answer is ErrCancelled. A write that waits is noted (pendingWrites.dismiss), and answered by the Work of
// this or a later turn.
func (r *Replica) Cancel(id uint64) (answered bool) {
	return !r.writes.cancel(id) && r.reads.cancel(id)
}

// Abandon answers all who wait, with reason: this peer has no future.
func (r *Replica) Abandon(reason string, w *Work) {
	r.writes.abandon(reason, w)
	r.reads.fail(&region.BusyError{Reason: reason}, w)
}
