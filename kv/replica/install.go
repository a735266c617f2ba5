// Receiving snapshots: what is refused, and how one takes the place of the log and the data without a moment at which a
// crash would leave half of it.
//
//	received   the whole snapshot is durable in a spool; raft is asked whether it wants it (MsgSnap)
//	   │         no: the spool is discarded
//	accepted   one write to the log, synced: this spool is to be installed, the log is dropped, the hard state
//	   │         from here on there is no way back; a restart installs anew
//	installing the data is replaced in the background; the peer votes, takes and acknowledges entries, but applies
//	   │         and serves nothing
//	installed  the data is durable, and the applied position with it: the log's note is cleared, the spool discarded
//
// The position in the data store decides whether a snapshot is installed, for it is part of the last batch that
// installs it. So the note in the log may be cleared without a sync: a restart finds the position, and clears it
// again.

package replica

import (
	"errors"
	"fmt"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// installation is where a peer stands with the snapshots it received.
type installation struct {
	received []Install // of this turn; raft takes one of them at most
	current  *Install  // accepted, and not yet known to be installed
	begin    bool      // current's installation is to be asked for, by the next Work
	finished string    // the spool that was installed; the note in the log is still to be cleared
	begun    uint64
}

// installing tells whether the data is being replaced.
func (r *Replica) installing() bool { return r.install.current != nil }

// appliedOrInstalling is the index that raft takes for applied.
func (r *Replica) appliedOrInstalling() uint64 {
	if r.installing() {
		return r.install.current.Head.Position.Index
	}
	return r.applied.Index
}

// ReceiveSnapshot takes a snapshot for this peer that arrived in a spool, which is durable. With nil, the spool is the
// replica's, and ends in Work.Installs or Work.Discards. A RefusedError has no effect, and the spool is the caller's to
// discard. Any other error is the log's.
//
// It is refused, in this order, if it is for another peer, or this one was removed (StalePeer); while another snapshot
// is being installed (Installing); if it is of an older epoch than the region has here (StaleEpoch); if it contradicts
// itself (checkHead; BadSnapshot); or if raft refuses it (Replica.refusal).
//
// Who sent it can be answered from then on (addressBook.learn). Raft is stepped with the MsgSnap that the head stands
// for: from, to and term as the head says them, its metadata, and the name of the spool as Data, by which the snapshot
// that raft takes is known again. Whether raft takes it, and which of several, the next Ready tells: until then it is
// noted as received (install.received). Nothing else changes here.
func (r *Replica) ReceiveSnapshot(head *snapshot.Head, spool string) error {
	switch {
	case head.To.ID != r.peer.ID || r.removed != nil:
		return refuse(StalePeer, fmt.Errorf("it is for peer %v, this is peer %v", head.To, r.peer))
	case r.installing():
		return refuse(Installing, nil)
	case head.Region.Epoch.OlderThan(r.region.Epoch):
		return refuse(StaleEpoch, fmt.Errorf("epoch %v, ours is %v", head.Region.Epoch, r.region.Epoch))
	}
	if err := checkHead(head); err != nil {
		return refuse(BadSnapshot, err)
	}
	r.book.learn(head.From)
	err := r.node.Step(raft.Message{Type: raft.MsgSnap, From: head.From.ID, To: head.To.ID, Term: head.Term,
		Snapshot: &raft.Snapshot{Data: []byte(spool), Metadata: metadata(head)}})
	if err != nil {
		return r.refusal(err)
	}
	r.install.received = append(r.install.received, Install{RegionID: r.id, Spool: spool, Head: *head})
	return nil
}

func metadata(head *snapshot.Head) raft.SnapshotMetadata {
	return raft.SnapshotMetadata{Index: head.Position.Index, Term: head.Position.Term, ConfState: head.ConfState}
}

// Claims tells whether the peer holds, or is about to hold, keys of a range.
func (r *Replica) Claims(keys region.Range) bool {
	if r.Initialized() && r.region.Range.Overlaps(keys) {
		return true
	}
	return slices.ContainsFunc(r.install.received, func(in Install) bool { return in.Head.Region.Range.Overlaps(keys) })
}

// checkHead finds contradictions in the head of a snapshot: it is of another region than it says; it does not know the
// peer that it is for; or its configuration has members that the region has not.
func checkHead(head *snapshot.Head) error {
	reg, conf := &head.Region, &head.ConfState
	switch {
	case reg.ID != head.RegionID:
		return fmt.Errorf("region %d in a snapshot of region %d", reg.ID, head.RegionID)
	case !slices.Contains(reg.Peers, head.To):
		return fmt.Errorf("peer %v is not among the peers %v", head.To, reg.Peers)
	case reg.Range.IsEmpty():
		return errors.New("its range is empty")
	}
	for _, ids := range [][]uint64{conf.Voters, conf.VotersOutgoing, conf.Learners, conf.LearnersNext} {
		for _, id := range ids {
			if !slices.ContainsFunc(reg.Peers, func(p region.Peer) bool { return p.ID == id }) {
				return fmt.Errorf("member %d of the configuration is not among the peers %v", id, reg.Peers)
			}
		}
	}
	return nil
}

// acceptSnapshot judges what was received since the last turn (install.received, which is empty afterwards), now that
// raft has said which snapshot it took, if any (nil: none); its Data is the name of the spool. The others are discarded
// (Work.Discards). Accepting is part of the turn's one write to the log, with raft's hard state, which follows: the
// log, which knows the region by then (logCreated), is dropped, and remembers what is to be installed in its place
// (Batch.Install with the position, the spool and the encoded head). From here on
//
//   - writes that wait learn their fate as far as it can be known (pendingWrites.covered);
//   - the snapshot is the one that is being installed (current), and its region and configuration are this peer's (region,
//     conf), though not yet its position; the account of the log begins anew behind it (compact, compactedTo);
//   - nothing is applied (raft.PauseApply) until the data is installed, which is asked for at once (begin,
//     beginInstall).
func (r *Replica) acceptSnapshot(taken *raft.Snapshot, w *Work) error {
	received := r.install.received
	r.install.received = nil
	for i := range received {
		in := &received[i]
		if taken == nil || in.Spool != string(taken.Data) {
			w.Discards = append(w.Discards, in.Spool)
			continue
		}
		encoded, err := snapshot.EncodeHead(in.Head)
		if err != nil {
			return err
		}
		r.logCreated(w)
		w.Log.Install(r.id, in.Head.Position, raftlog.Install{Spool: in.Spool, Head: encoded})
		r.writes.covered(in.Head.Position, w)
		r.adopt(in)
		r.node.PauseApply(true)
		r.install.begin = true
		r.beginInstall(w)
	}
	return nil
}

// adopt makes a snapshot's region this peer's, and starts the count of its log anew.
func (r *Replica) adopt(in *Install) {
	head := &in.Head
	r.install.current = in
	r.region, r.conf = head.Region, head.ConfState
	r.compact = compactedTo(head.Position)
}

// beginInstall asks for the installation of the snapshot that was accepted, in this life or before, if that is still
// to be done (begin): once, by Work.Installs. It counts it (begun, which views tell as Installs): what readers take
// from the data store from now on is no state of any moment. The records that make it complete go with it
// (Install.Records, a batch of their own): this peer's, with the snapshot's region and configuration (PutRecord), and
// its position as the applied one (PutApplied).
func (r *Replica) beginInstall(w *Work) {
	if !r.install.begin {
		return
	}
	r.install.begin = false
	r.install.begun++
	in := *r.install.current
	in.Records = new(engine.Batch)
	PutRecord(in.Records, &Record{Peer: r.peer, Region: in.Head.Region, ConfState: in.Head.ConfState})
	PutApplied(in.Records, r.id, in.Head.Position)
	w.Installs = append(w.Installs, in)
}

// Installed says that the snapshot in a spool is installed, and durable in the data store. It reports whether this
// peer waited for that, with this spool; if not, nothing changes. The snapshot's position is the applied one from now
// on, nothing is being installed any more (current), and what is committed behind it will be applied (raft.PauseApply).
// The next turn clears the note in the log (finished, the spool that was installed).
func (r *Replica) Installed(spool string) bool {
	in := r.install.current
	if in == nil || in.Spool != spool {
		return false
	}
	r.applied = in.Head.Position
	r.install.current, r.install.finished = nil, spool
	r.node.PauseApply(false)
	return true
}

// noteInstalled clears the note in the log (Batch.Installed) of a snapshot that is installed (finished), and gives up its
// spool (Work.Discards), once. No sync is asked for: if a crash brings the note back, resumeInstall clears it again. In
// between the spool may be gone already; nobody opens it then. Without such a snapshot nothing happens.
func (r *Replica) noteInstalled(w *Work) {
	if r.install.finished == "" {
		return
	}
	w.Log.Installed(r.id)
	w.Discards = append(w.Discards, r.install.finished)
	r.install.finished = ""
}

// resumeInstall goes on, when the peer is opened, with a snapshot that the log says is to be installed (note; nil: there
// is none). The applied position of the data store, which is the last thing an installation writes, tells how far it
// came before the end of the last life. At the snapshot's position, or beyond, it was complete: it must not be begun
// anew, only the note is left to be cleared (finished). Before it, the peer becomes what acceptSnapshot would have made of
// it (current, region, conf, compact), with the head as the note has it, and the installation is still to be asked for
// (begin). There is no raft node yet: start pauses it. Errors are those of snapshot.DecodeHead.
func (r *Replica) resumeInstall(note *raftlog.Install) error {
	if note == nil {
		return nil
	}
	head, err := snapshot.DecodeHead(note.Head)
	if err != nil {
		return fmt.Errorf("region %d: snapshot to be installed: %w", r.id, err)
	}
	if r.applied.Index >= head.Position.Index {
		r.install.finished = note.Spool
		return nil
	}
	r.adopt(&Install{RegionID: r.id, Spool: note.Spool, Head: head})
	r.install.begin = true
	return nil
}

// dropSpools discards all that was received, or was installed, and is not discarded yet.
func (r *Replica) dropSpools(w *Work) {
	for i := range r.install.received {
		w.Discards = append(w.Discards, r.install.received[i].Spool)
	}
	if r.install.finished != "" {
		w.Discards = append(w.Discards, r.install.finished)
	}
	r.install.received, r.install.finished = nil, ""
}

// Spool is the name of the spool that this peer still needs; empty if it needs none.
func (r *Replica) Spool() string {
	if r.install.current == nil {
		return ""
	}
	return r.install.current.Spool
}
