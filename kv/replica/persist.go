// Persisting a Ready: what goes into the log, and what may be said before and after.

package replica

import (
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// persist adds the part of a Ready that must be remembered, and its messages, to the work of a turn, in which there
// may be that of other peers already:
//
//   - Immediate messages go out before the log is written, Deferred ones after (addressAll): they are promises.
//   - A snapshot that raft took is accepted first, and if there is none the others are discarded (acceptSnapshot): it
//     replaces the log.
//   - Then the entries are appended (logEntries). They may begin before the end of the log; Append replaces what is
//     there.
//   - Then the hard state, if it is not empty (SetHard), after logCreated: it may be the first thing that the log
//     hears of this region.
//   - If the Ready must be synced, so must the write of the whole turn (Durability). If not (only the commit index
//     moved), it is written all the same, so that a restart knows what to apply; but a sync is asked for on no
//     account, and one that another peer asked for stays.
func (r *Replica) persist(rd *raft.Ready, w *Work) error {
	if err := r.acceptSnapshot(rd.Snapshot, w); err != nil {
		return err
	}
	r.logEntries(rd.Entries, w)
	if !rd.HardState.IsEmpty() {
		r.logCreated(w)
		w.Log.SetHard(r.id, rd.HardState)
	}
	if rd.MustSync {
		w.Durability = engine.Synced
	}
	w.Immediate = r.addressAll(w.Immediate, rd.Immediate(), w)
	w.Deferred = r.addressAll(w.Deferred, rd.Deferred(), w)
	return nil
}

// logCreated makes the log know this region, before anything else is written of it.
func (r *Replica) logCreated(w *Work) {
	if !r.logged {
		r.logged = true
		w.Log.Create(r.id, raftlog.Position{}, raft.HardState{})
	}
}

// logEntries appends entries to the log, if there are any.
func (r *Replica) logEntries(entries []raft.Entry, w *Work) {
	if len(entries) == 0 {
		return
	}
	w.Log.Append(r.id, entries)
	r.compact.appended(entries)
}

// addressAll puts messages into envelopes, behind those that are in out: the region, this peer, the peer that it is
// for as the address book knows it (find), and the region's epoch as it is applied here. A snapshot (MsgSnap) is no
// message but a stream (stream). A message to a peer of whom nobody knows where it is, is lost, as messages may be.
func (r *Replica) addressAll(out []Message, messages []raft.Message, w *Work) []Message {
	for i := range messages {
		m := &messages[i]
		to := r.book.find(m.To)
		switch {
		case m.Type == raft.MsgSnap:
			r.stream(m, to, w)
		case to.ID != raft.None:
			out = append(out, Message{RegionID: r.id, From: r.peer, To: to, Epoch: r.region.Epoch, Raft: *m})
		}
	}
	return out
}
