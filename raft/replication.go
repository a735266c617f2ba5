package raft

import (
	"errors"
	"fmt"
)

// Log replication (§5.3): how a leader appends and sends, how a follower answers, what the leader makes of it.
// Appends are not built when something is proposed but when Ready is taken: one for each follower, with all that came
// in meanwhile.

// propose appends one entry if this node leads, and otherwise sends it on to the leader. ErrProposalDropped says that
// nothing was done.
func (r *raft) propose(t EntryType, data []byte) error {
	if r.role != StateLeader {
		return r.forwardProposal(t, data)
	}
	if r.handsOver() {
		return fmt.Errorf("%w: leadership goes to another node", ErrProposalDropped)
	}
	e := Entry{Type: t, Data: data}
	held := r.leader.uncommittedBytes
	if held > 0 && held+e.size() > r.cfg.MaxUncommittedBytes {
		return fmt.Errorf("%w: %d bytes uncommitted", ErrProposalDropped, held)
	}
	if t == EntryConfChange {
		if err := r.checkProposedConf(data); err != nil {
			return err
		}
	}
	r.appendEntry(t, data)
	if r.cfg.EagerAppend {
		_ = r.sendAppends() // the entry is appended; what Storage refuses now, Ready asks for again and hands up
	}
	return nil
}

// forwardProposal sends a proposal to the leader, together with those that wait for the same Ready. Nobody answers it.
func (r *raft) forwardProposal(t EntryType, data []byte) error {
	if r.lead == None || r.cfg.DisableForwarding {
		return fmt.Errorf("%w: node %d does not lead term %d", ErrProposalDropped, r.id, r.term)
	}
	e := Entry{Type: t, Data: data}
	if out := r.outbox.immediate; len(out) > 0 {
		if m := &out[len(out)-1]; m.Type == MsgProp && m.To == r.lead {
			m.Entries = append(m.Entries, e)
			return nil
		}
	}
	r.send(Message{Type: MsgProp, To: r.lead, Entries: []Entry{e}})
	return nil
}

// appendEntry appends one entry of the present term to the leader's own log (raftLog.push), after the last. Its size
// counts as uncommitted (leader.uncommittedBytes), and a configuration change is the pending one from now on
// (leader.pendingConf). Nothing is sent: Ready does that. The entry counts as replicated here when it is durable, see
// persisted.
func (r *raft) appendEntry(t EntryType, data []byte) {
	e := Entry{Term: r.term, Index: r.log.last() + 1, Type: t, Data: data}
	r.log.push(e)
	r.leader.uncommittedBytes += e.size()
	if t == EntryConfChange {
		r.leader.pendingConf = e.Index
	}
}

// persisted notes what has become durable here: the leader may now count itself.
func (r *raft) persisted() {
	if r.role != StateLeader {
		return
	}
	if p := findProgress(r.leader.progress, r.id); p != nil && p.match < r.log.offset-1 {
		p.match = r.log.offset - 1
		p.next = p.match + 1
		r.maybeCommit()
	}
}

// sendAppends builds the appends that are due, at most one for each follower. An error of Storage leaves the follower
// it concerns, and those after it, for the next time.
func (r *raft) sendAppends() error {
	last := r.log.last()
	for i := range r.leader.progress {
		p := &r.leader.progress[i]
		if p.id == r.id || !p.due(last) {
			continue
		}
		if r.outbox.immediate == nil {
			r.outbox.immediate = make([]Message, 0, len(r.leader.progress)-1)
		}
		if err := r.sendAppend(p); err != nil {
			return fmt.Errorf("raft: append for node %d: %w", p.id, err)
		}
	}
	return nil
}

// sendAppend sends a follower the entries it is to have next, from p.next on, as many as fit into MaxMessageBytes
// (raftLog.slice); none if it has all. The MsgApp tells the index and term of the entry before them, our commit index,
// and as Context the present round of heartbeats (leader.reads.round); it may leave before our own log is durable
// (send). Then p notes it (progress.sent). If the entries, or the term of the one before, are compacted
// (ErrCompacted), it sends a snapshot (sendSnapshot) instead. Any other error is Storage's, and handed on.
func (r *raft) sendAppend(p *progress) error {
	prev := p.next - 1
	prevTerm, err := r.log.term(prev)
	var entries []Entry
	if err == nil {
		entries, err = r.log.slice(p.next, r.log.last()+1, r.cfg.MaxMessageBytes)
	}
	if errors.Is(err, ErrCompacted) {
		return r.sendSnapshot(p)
	}
	if err != nil {
		return err
	}
	r.send(Message{
		Type: MsgApp, To: p.id, Index: prev, LogTerm: prevTerm, Entries: entries,
		Commit: r.log.committed, Context: r.leader.reads.round,
	})
	p.sent(entries)
	return nil
}

// handleAppend is a follower's part of AppendEntries (figure 2): make the log agree with the leader's as far as the
// message reaches, and answer how far that is.
//
//   - The append begins before our commit index: an old message. Up to there the logs agree anyway, and the leader should
//     know: acknowledge the commit index (ackAppend), and look at nothing.
//   - The entry before the append is not here with that term: rejectAppend.
//   - Else merge the entries. What the message vouches for ends with its last entry, or with the entry before it if it has
//     none, whatever else our log holds behind. No more than that is acknowledged (ackAppend), and no more than that is
//     taken to be committed, even if the leader's commit index is higher (commitTo).
//
// Errors of Storage and of merge are handed on, and no answer is sent.
func (r *raft) handleAppend(m *Message) error {
	if m.Index < r.log.committed {
		// An old message: up to the commit index the logs agree anyway, and the leader should know.
		r.ackAppend(m, r.log.committed)
		return nil
	}
	ok, err := r.log.matches(m.Index, m.LogTerm)
	if err != nil {
		return fmt.Errorf("raft: term of entry %d: %w", m.Index, err)
	}
	if !ok {
		return r.rejectAppend(m)
	}
	if err := r.log.merge(m.Entries); err != nil {
		return err
	}
	lastNew := m.Index + uint64(len(m.Entries))
	r.log.commitTo(min(m.Commit, lastNew))
	r.ackAppend(m, lastNew)
	return nil
}

// ackAppend acknowledges everything up to index, once it is durable. Of several acknowledgements that wait for the
// same Ready one is enough.
func (r *raft) ackAppend(m *Message, index uint64) {
	if out := r.outbox.deferred; len(out) > 0 {
		last := &out[len(out)-1]
		if last.Type == MsgAppResp && !last.Reject && last.To == m.From && last.Term == r.term {
			last.Index = max(last.Index, index)
			last.Context = max(last.Context, m.Context)
			return
		}
	}
	r.sendDeferred(Message{Type: MsgAppResp, To: m.From, Index: index, Context: m.Context})
}

// rejectAppend says that the entry before the append is not here (a MsgAppResp with Reject, whose Index is that
// entry's and whose Context is the message's), and where to look: the logs can agree only up to an entry whose term is
// not later than the leader's at that place (end of §5.3), and they do agree up to our commit index (lastNotAfterTerm
// finds the place). Hint is that entry's index, LogTerm its term. So a follower that diverged for whole terms is found
// out in one round trip for each term, not for each entry. The answer waits for the write (sendDeferred).
func (r *raft) rejectAppend(m *Message) error {
	hint, term, err := r.log.lastNotAfterTerm(m.Index, m.LogTerm, r.log.committed)
	if err != nil {
		return fmt.Errorf("raft: looking for term %d: %w", m.LogTerm, err)
	}
	r.sendDeferred(Message{Type: MsgAppResp, To: m.From, Reject: true, Index: m.Index, Hint: hint, LogTerm: term,
		Context: m.Context})
	return nil
}

// handleAppendResp takes a follower's answer to an append.
func (r *raft) handleAppendResp(p *progress, m *Message) error {
	if m.Reject {
		return r.handleRejection(p, m)
	}
	if !p.acked(m.Index) {
		return nil
	}
	r.maybeCommit()
	r.maybeSendTimeoutNow(p)
	r.maybeHandOver()
	return nil
}

// handleRejection steps back: past every entry of ours that is of a later term than the follower has at the hint
// (m.Hint, m.LogTerm; lastNotAfterTerm, not below what is known to match). With Config.LinearBacktrack it steps back
// by one entry. If that is news (progress.rejected), another append is due at once (nudge).
func (r *raft) handleRejection(p *progress, m *Message) error {
	hint := m.Index - 1
	if !r.cfg.LinearBacktrack {
		var err error
		if hint, _, err = r.log.lastNotAfterTerm(m.Hint, m.LogTerm, p.match); err != nil {
			return fmt.Errorf("raft: looking for term %d: %w", m.LogTerm, err)
		}
	}
	if p.rejected(m.Index, hint) {
		p.nudge = true
	}
	return nil
}

// broadcastHeartbeat tells every other member that we lead, and of the present round of heartbeats
// (leader.reads.round, as Context). It also tells what is committed, but no more than what is known to match there:
// beyond, the follower may have something else, and must not commit it.
func (r *raft) broadcastHeartbeat() {
	for i := range r.leader.progress {
		p := &r.leader.progress[i]
		if p.id == r.id {
			continue
		}
		r.send(Message{Type: MsgHeartbeat, To: p.id, Commit: min(p.match, r.log.committed),
			Context: r.leader.reads.round})
	}
}

// handleHeartbeat is a follower's part. What the leader says is committed here lies within what it knows to match, so
// a commit index beyond our log comes from no correct leader and is not believed.
func (r *raft) handleHeartbeat(m *Message) {
	if m.Commit <= r.log.last() {
		r.log.commitTo(m.Commit)
	}
	r.sendDeferred(Message{Type: MsgHeartbeatResp, To: m.From, Context: m.Context})
}

// handleHeartbeatResp takes a sign of life: whatever was on its way may be lost, so ask again.
func (r *raft) handleHeartbeatResp(p *progress) {
	p.waiting = false
	if p.state == ProgressReplicate && p.window.full() {
		p.window.freeFirst() // room for one append that finds out
	}
	if p.match < r.log.last() {
		p.nudge = true
	}
}

// reportUnreachable is the transport's hint that messages to a node were lost: do not go on sending blindly.
func (r *raft) reportUnreachable(id uint64) {
	if r.role != StateLeader {
		return
	}
	if p := findProgress(r.leader.progress, id); p != nil && p.state == ProgressReplicate {
		p.become(ProgressProbe)
		p.next = p.match + 1
	}
}
