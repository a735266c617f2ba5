package raft

import (
	"errors"
	"fmt"
)

// Snapshots (§7): how a follower whose next entry is compacted gets the state instead, and how it installs it.

// sendSnapshot asks Storage for a snapshot and sends it (MsgSnap). Until the follower acknowledges it, or the transport
// reports what became of it, nothing else is sent there: its progress becomes ProgressSnapshot, and pendingSnapshot is the
// index of the snapshot. Nothing that was due (nudge, tellCommit) is due after it.
//
// A follower that was not heard from lately (progress.active) is not worth a snapshot, and one that Storage is still
// making (ErrSnapshotTemporarilyUnavailable) cannot be sent. In both cases the progress is that of a probe that is out
// (ProgressProbe, waiting) with nothing due: the answer to a heartbeat tries again, and it is no error. Any other error of
// Storage is returned and changes nothing; so does a snapshot that cannot be continued by the log, because it is of index
// 0 or ends before the entry that precedes p.next.
func (r *raft) sendSnapshot(p *progress) error {
	if !p.active {
		p.nudge, p.tellCommit, p.waiting = false, false, true
		p.state = ProgressProbe
		return nil
	}
	snap, err := r.cfg.Storage.Snapshot()
	if errors.Is(err, ErrSnapshotTemporarilyUnavailable) {
		p.become(ProgressProbe)
		p.nudge, p.tellCommit, p.waiting = false, false, true // a heartbeat's answer tries again
		return nil
	}
	if err != nil {
		return err
	}
	if snap.Metadata.Index < p.next-1 || snap.Metadata.Index == 0 {
		return fmt.Errorf("storage returned a snapshot at %d, before its first entry", snap.Metadata.Index)
	}
	r.send(Message{Type: MsgSnap, To: p.id, Snapshot: &snap})
	p.become(ProgressSnapshot)
	p.pendingSnapshot = snap.Metadata.Index
	p.nudge, p.tellCommit = false, false
	return nil
}

// handleSnapshot is a follower's part. A snapshot is installed only if it brings something: not if it is older than
// what is committed, and not if the log already holds its last entry (then it only tells that much is committed). One
// that does not know this node yet is as good as any: the log after it will bring the change that let us in. To install
// it is to restore the log and to go over to its configuration ([newMembership], [raft.switchTo]); a message is shared,
// so the log is given a snapshot of its own, with a copy of the lists of ids. The answer, a deferred MsgAppResp, says how
// far the log now agrees: to the commit index.
func (r *raft) handleSnapshot(m *Message) {
	meta := m.Snapshot.Metadata
	members, err := newMembership(meta.ConfState)
	if err != nil {
		return // checked before
	}
	switch {
	case meta.Index <= r.log.committed:
	case r.hasEntry(meta.Index, meta.Term):
		r.log.commitTo(meta.Index)
	default:
		snap := *m.Snapshot
		snap.Metadata.ConfState = meta.ConfState.clone()
		r.log.restore(&snap)
		r.switchTo(members)
	}
	r.sendDeferred(Message{Type: MsgAppResp, To: m.From, Index: r.log.committed})
}

// hasEntry reports whether the log surely holds an entry of this index and term ([raftLog.matches]); if Storage cannot
// say, it does not.
func (r *raft) hasEntry(index, term uint64) bool {
	ok, err := r.log.matches(index, term)
	return ok && err == nil
}

// reportSnapshot is the transport's word about a snapshot it was given. Without it a lost one would be waited for as
// long as the leader leads. It means something only to a leader, about a member to which a snapshot is on its way; that
// one goes on by [progress.probeAfterSnapshot], with SnapshotFinish as arrived.
func (r *raft) reportSnapshot(id uint64, status SnapshotStatus) {
	if r.role != StateLeader {
		return
	}
	p := findProgress(r.leader.progress, id)
	if p == nil || p.state != ProgressSnapshot {
		return
	}
	p.probeAfterSnapshot(status == SnapshotFinish)
}
