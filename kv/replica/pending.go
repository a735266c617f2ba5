// Who waits for a write, and when its fate is known.

package replica

import (
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
)

// pendingWrite is a proposal whose caller waits. It was made by this peer as the leader of term, and is known
// everywhere by its index and term: an entry with these two, wherever it is applied, is this proposal (Log Matching,
// Raft §5.3).
type pendingWrite struct {
	id        uint64
	index     uint64
	term      uint64
	cancelled bool // its caller does not wait any more, and is told at the next occasion
}

// pendingWrites are the proposals that wait for their fate, in the order in which they were made. So their terms
// never fall, and within a term their indexes rise. An index may occur twice: what an earlier term put there may be
// overwritten by a later one, or may not: nobody knows until an entry at that place is applied.
type pendingWrites struct {
	queue     []pendingWrite
	cancelled int // how many of them are; those that were answered meanwhile may be counted, too
}

func (q *pendingWrites) len() int { return len(q.queue) }

// add takes a proposal that was made just now.
func (q *pendingWrites) add(p pendingWrite) { q.queue = append(q.queue, p) }

// applied tells the fate of proposals, now that the entry (index, term) is applied with the result err. They stand at
// the head of the queue, are answered (Work.answer), and leave it:
//
//   - all of an earlier term than the entry's are lost, wherever they are: a log that holds a committed entry of this
//     term has no entry of an earlier term after it, and what is before it is applied (StaleCommandError);
//   - the one with this index and term is this entry (err, and the term, in which this peer led then).
//
// All others wait: those of this term with a later index, and those of a later term, for the entry with which that
// term began is still to come.
func (q *pendingWrites) applied(index, term uint64, err error, w *Work) {
	n := 0
	for n < len(q.queue) && q.queue[n].term < term {
		w.answer(q.queue[n].id, &region.StaleCommandError{}, 0)
		n++
	}
	if n < len(q.queue) && q.queue[n].term == term && q.queue[n].index == index {
		w.answer(q.queue[n].id, err, term)
		n++
	}
	q.queue = q.queue[n:]
}

// covered tells the fate of proposals, now that a snapshot takes the place of the log up to a position. What may be
// within the snapshot, by its index, may have taken effect, or may have been overwritten: it shows only the result
// (UndeterminedError). Those after it, of an earlier term than its last entry's, are lost (as in applied). The others
// wait.
func (q *pendingWrites) covered(upTo raftlog.Position, w *Work) {
	kept := q.queue[:0]
	for _, p := range q.queue {
		switch {
		case p.index <= upTo.Index && p.term <= upTo.Term:
			w.answer(p.id, &region.UndeterminedError{Reason: "a snapshot took the place of the log"}, 0)
		case p.term < upTo.Term:
			w.answer(p.id, &region.StaleCommandError{}, 0)
		default:
			kept = append(kept, p)
		}
	}
	q.queue = kept
}

// cancel notes that a caller does not wait any more. It reports whether the proposal was found.
func (q *pendingWrites) cancel(id uint64) bool {
	for i := range q.queue {
		if q.queue[i].id == id {
			q.queue[i].cancelled = true
			q.cancelled++
			return true
		}
	}
	return false
}

// dismiss answers the cancelled proposals of all terms but the one in which this peer leads (0: none), with
// UndeterminedError. As long as the peer leads in the term of a proposal its fate will be known here soon, and who
// relies on it, a latch, is to wait for that. Otherwise it may take for ever. Every turn of every peer calls it, so when
// nobody has given up (cancelled is 0) it costs nothing.
func (q *pendingWrites) dismiss(leadTerm uint64, w *Work) {
	if q.cancelled == 0 {
		return
	}
	q.cancelled = 0
	kept := q.queue[:0]
	for _, p := range q.queue {
		if !p.cancelled || p.term == leadTerm {
			kept = append(kept, p)
			if p.cancelled {
				q.cancelled++
			}
			continue
		}
		w.answer(p.id, &region.UndeterminedError{Reason: "given up by its caller, after leadership was lost"}, 0)
	}
	q.queue = kept
}

// abandon answers all: the peer will not learn their fate.
func (q *pendingWrites) abandon(reason string, w *Work) {
	for _, p := range q.queue {
		w.answer(p.id, &region.UndeterminedError{Reason: reason}, 0)
	}
	q.queue = nil
}
