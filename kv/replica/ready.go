// A peer's part of a turn: raft's Ready becomes Work.

package replica

import "fmt"

// HasReady reports whether raft has something to do that Ready would take.
func (r *Replica) HasReady() bool { return r.node.HasReady() }

// Ready adds to w what this peer has to do in this turn. Done must follow, when all of it is carried out, before
// Ready is called again. An error is the log's or the data store's: the store can't go on, and w is worth nothing.
//
// The steps, in the order in which they depend on each other: who waits for this peer as a leader is told if it is
// none any more; raft's Ready is persisted and its messages are addressed; what is committed is applied; reads whose
// index is applied are answered; and what others may know is published.
func (r *Replica) Ready(w *Work) error {
	r.beginTurn(w)
	if err := r.take(w); err != nil {
		return fmt.Errorf("region %d: %w", r.id, err)
	}
	if err := r.truncateLog(w); err != nil {
		return fmt.Errorf("region %d: %w", r.id, err)
	}
	r.answerReads(w)
	r.publish(w)
	return nil
}

// beginTurn does what does not depend on raft's Ready, or has to come before it is taken.
func (r *Replica) beginTurn(w *Work) {
	r.followLeadership(w)
	r.noteInstalled(w)
	r.beginInstall(w)
	r.askReads()
}

// take takes raft's Ready, if there is one. Snapshots that raft does not want by now, it never will.
func (r *Replica) take(w *Work) error {
	if !r.node.HasReady() {
		return r.acceptSnapshot(nil, w)
	}
	rd, err := r.node.Ready()
	if err != nil {
		return err
	}
	r.node.Advance() // with AsyncStorage: it was taken over; Done reports the rest
	r.taken.number = rd.Number
	if err := r.persist(&rd, w); err != nil {
		return err
	}
	r.confirmReads(rd.ReadStates)
	return r.apply(rd.CommittedEntries, w)
}

// Done says that the Work of the last Ready was carried out: the log is written as durable as it asked for, the data
// store has what was applied. Raft is told, and draws its conclusions: HasReady may be true again. It is told of the
// Ready by its number (Persisted), if there was one, and of the index up to which entries were applied (Applied), if
// any were: taken has both. Each is told once: taken is empty afterwards. And what the Work published (next) is what
// readers know from now on (published).
func (r *Replica) Done() {
	if r.taken.number > 0 {
		r.node.Persisted(r.taken.number)
	}
	if r.taken.applied > 0 {
		r.node.Applied(r.taken.applied)
	}
	r.taken.number, r.taken.applied = 0, 0
	r.published = r.next
}

// followLeadership compares the term in which this peer leads with that of the last turn. If it leads in none, or in
// another than then, reads that wait are refused (NotLeaderError: nothing was promised to them). One turn may bring an
// election and reads, which wait on then; and the end of that leadership, too, and they are refused. Writes wait on:
// their entries may well be committed by the next leader (R3).
func (r *Replica) followLeadership(w *Work) {
	before := r.leadTerm
	r.leadTerm = 0
	if r.node.IsLeader() {
		r.leadTerm = r.node.Term()
	}
	deposed := r.leadTerm == 0 || before != 0 && before != r.leadTerm
	if deposed && r.reads.waits() {
		r.reads.fail(r.notLeader(), w)
	}
	r.writes.dismiss(r.leadTerm, w)
}
