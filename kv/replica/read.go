// Linearizable reads without a log entry (Raft dissertation §6.4): an index that the leader knows to be committed
// when the read came, a quorum that still follows it, and a state that has applied so much.

package replica

import (
	"slices"

	"tinykv/kv/region"
	"tinykv/raft"
)

// readBatch is the reads that came in one turn. One index is good for all of them.
type readBatch struct {
	number uint64 // by which raft answers
	ids    []uint64
	index  uint64 // everything up to here must be applied first; known when raft has answered
}

// pendingReads are the reads that wait, in three queues through which they go in order:
//
//	collected ──(Ready: raft is asked for an index)──► asked ──(ReadState)──► confirmed ──(index applied)──► answered
type pendingReads struct {
	collected []uint64
	asked     []readBatch
	confirmed []readBatch
	number    uint64 // of the last batch
	count     int    // of all reads that wait
}

// waits tells whether any read waits.
func (q *pendingReads) waits() bool { return len(q.collected)+len(q.asked)+len(q.confirmed) > 0 }

// Read asks to read the newest state; id gets its answer in the Work of a later turn. An error is the answer, and there
// will be no other. In this order: the picture of the region is wrong ([Replica.check]); this peer does not lead
// ([Replica.checkLeads]); or as many reads wait already as may (Limits.MaxReads; region.BusyError). What is taken is
// collected, and counted in count until it has its answer.
func (r *Replica) Read(id uint64, rc *RequestContext) error {
	if err := r.check(rc); err != nil {
		return err
	}
	if err := r.checkLeads(); err != nil {
		return err
	}
	if r.reads.count >= r.cfg.Limits.MaxReads {
		return &region.BusyError{Reason: "too many reads wait for their turn"}
	}
	r.reads.collected = append(r.reads.collected, id)
	r.reads.count++
	return nil
}

// askReads asks raft for one index (raft.ReadIndex) for all reads that came since the last turn; none came: it asks
// nothing. They are a batch with a number of its own, by which raft will answer, and go from collected to asked. It
// must not be asked before they came: what was acknowledged in between would be missed. If raft does not take the
// question, they stay where they are: this peer does not lead any more, and the next turn says so to them
// (followLeadership).
func (r *Replica) askReads() {
	q := &r.reads
	if len(q.collected) == 0 {
		return
	}
	q.number++
	if err := r.node.ReadIndex(q.number); err != nil {
		return
	}
	q.asked = append(q.asked, readBatch{number: q.number, ids: q.collected})
	q.collected = nil
}

// confirmReads takes raft's answers: a batch that is answered has an index now, and goes from asked to confirmed. An
// answer to a question that nobody waits for any more means nothing.
func (r *Replica) confirmReads(states []raft.ReadState) {
	q := &r.reads
	for _, state := range states {
		for i := range q.asked {
			if q.asked[i].number != state.RequestID {
				continue
			}
			batch := q.asked[i]
			batch.index = state.Index
			q.confirmed = append(q.confirmed, batch)
			q.asked = slices.Delete(q.asked, i, i+1)
			break
		}
	}
}

// answerReads answers the confirmed reads whose index is applied, with the term in which this peer leads (leadTerm), in
// the order in which they were confirmed. The data store will hold what is applied when the answer is carried out,
// because Answers come after Data. (While a snapshot is being installed, none is: what is committed lies after it.)
func (r *Replica) answerReads(w *Work) {
	q := &r.reads
	n := 0
	for n < len(q.confirmed) && q.confirmed[n].index <= r.applied.Index {
		for _, id := range q.confirmed[n].ids {
			w.answerRead(id, nil, r.leadTerm)
			q.count--
		}
		n++
	}
	q.confirmed = slices.Delete(q.confirmed, 0, n)
}

// fail answers all reads that wait, in whichever queue, with an error; then none waits. Batches are numbered on from
// where they were: raft may still answer an old one.
func (q *pendingReads) fail(err error, w *Work) {
	for _, list := range [][]readBatch{q.confirmed, q.asked, {{ids: q.collected}}} {
		for _, batch := range list {
			for _, id := range batch.ids {
				w.answerRead(id, err, 0)
			}
		}
	}
	*q = pendingReads{number: q.number}
}

// cancel forgets one read, in whichever queue it waits, and reports whether it did. The others of its batch wait on.
func (q *pendingReads) cancel(id uint64) bool {
	found := false
	forget := func(ids []uint64) []uint64 {
		i := slices.Index(ids, id)
		if found || i < 0 {
			return ids
		}
		found = true
		return slices.Delete(ids, i, i+1)
	}
	q.collected = forget(q.collected)
	for i := range q.asked {
		q.asked[i].ids = forget(q.asked[i].ids)
	}
	for i := range q.confirmed {
		q.confirmed[i].ids = forget(q.confirmed[i].ids)
	}
	if found {
		q.count--
	}
	return found
}
