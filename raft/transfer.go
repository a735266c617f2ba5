package raft

import "fmt"

// Leadership transfer (dissertation §3.10): stop taking proposals, bring the target up to date, tell it to campaign at
// once. If it has not won after an election timeout, go on leading.

// transferLeader serves the wish to make the node to the leader. In this order:
//
//   - Not leading, the wish is sent on, as MsgTransferLeader with the target as Context, to the leader of the term.
//     Without a known leader, or with Config.DisableForwarding, it is ErrNoLeader.
//   - A target without a vote is ErrBadTransfer; nothing changed then.
//   - A leader that is itself the target goes on leading, and gives up a transfer to another node (abortTransfer).
//   - The target of the transfer that is under way changes nothing: neither does it get more time.
//   - Otherwise beginTransfer; a transfer to another node is replaced by that.
func (r *raft) transferLeader(to uint64) error {
	switch {
	case r.role != StateLeader && (r.lead == None || r.cfg.DisableForwarding):
		return fmt.Errorf("transfer to %d: %w", to, ErrNoLeader)
	case r.role != StateLeader:
		r.send(Message{Type: MsgTransferLeader, To: r.lead, Context: to})
		return nil
	case !r.members.isVoter(to):
		return fmt.Errorf("transfer to %d: %w", to, ErrBadTransfer)
	case to == r.id:
		r.abortTransfer()
		return nil
	case to == r.leader.transferee:
		return nil
	}
	r.beginTransfer(to)
	return nil
}

// beginTransfer makes a voter the transferee, with an election timeout from now (transferElapsed, in ticks). If it
// lacks a part of the log, an append becomes due at once, whatever was sent already and may be lost (progress.nudge);
// if it lacks nothing, it may campaign at once (maybeSendTimeoutNow).
func (r *raft) beginTransfer(to uint64) {
	r.leader.transferee = to
	r.leader.transferElapsed = 0
	p := findProgress(r.leader.progress, to)
	p.nudge = p.match < r.log.last()
	r.maybeSendTimeoutNow(p)
}

// handsOver reports whether leadership is about to go to another node: a transfer is under way, or this leader has lost
// its vote and waits for a successor. It then takes no proposal: each would make the log longer, and the target would
// never have all of it.
func (r *raft) handsOver() bool {
	return r.leader.transferee != None || !r.members.isVoter(r.id)
}

// maybeSendTimeoutNow lets the target campaign as soon as it has the whole log; no proposal can be added to it now. It
// is called for each member that is heard of to have got further, and sends MsgTimeoutNow if that is the transferee and
// its match is the end of our log. From here on this leader's lease is worth nothing (reads.leaseGivenUp, until it
// leads no more): the target may win without waiting for it, even if the message arrives after we gave up.
func (r *raft) maybeSendTimeoutNow(p *progress) {
	if p.id != r.leader.transferee || p.match != r.log.last() {
		return
	}
	r.leader.reads.leaseGivenUp = true
	r.send(Message{Type: MsgTimeoutNow, To: p.id})
}

// tickTransfer counts a tick of a transfer that is under way, and gives it up (abortTransfer) with the tick that
// completes Config.ElectionTicks: proposals must not be refused for ever.
func (r *raft) tickTransfer() {
	if r.leader.transferee == None {
		return
	}
	r.leader.transferElapsed++
	if r.leader.transferElapsed >= r.cfg.ElectionTicks {
		r.abortTransfer()
	}
}

// maybeHandOver is for a leader that has lost its vote. It goes on leading, without counting itself, until a voter has
// the whole log, and then hands over (dissertation §4.2.2). If it just left, those who do not know yet that the change
// is committed might elect nobody. So: unless this leader votes, or a transfer is under way already, the first voter
// that is active and whose match is the end of the log becomes the transferee, and may campaign.
func (r *raft) maybeHandOver() {
	if r.members.isVoter(r.id) || r.leader.transferee != None {
		return
	}
	for i := range r.leader.progress {
		p := &r.leader.progress[i]
		if p.match == r.log.last() && p.active && r.members.isVoter(p.id) {
			r.beginTransfer(p.id)
			return
		}
	}
}

// abortTransfer ends a transfer that did not come about: this leader goes on, and takes proposals again.
func (r *raft) abortTransfer() { r.leader.transferee = None }

// handleTimeoutNow campaigns at the leader's request, which is of our term. It is obeyed only by a follower, only if it
// comes from the leader that this node follows, and only if this node has a vote. The call is noted (calledInTerm) and
// answered now, if it can be (answerCall).
func (r *raft) handleTimeoutNow(m *Message) {
	if r.role != StateFollower || r.lead != m.From || !r.members.isVoter(r.id) {
		return
	}
	r.calledInTerm = r.term
	r.answerCall()
}

// answerCall campaigns if the leader called us in the present term (calledInTerm) and we still follow in it: without a
// pre-vote, and with Force in the requests, so that the others do not stick to the leader (becomeCandidate,
// requestVotes). Only a voter does so, and only one that is promotable: one with a committed configuration change to
// apply campaigns after that, for this is called again when something was applied.
func (r *raft) answerCall() {
	called := r.calledInTerm != 0 && r.calledInTerm == r.term && r.role == StateFollower
	if !called || !r.members.isVoter(r.id) || !r.promotable() {
		return
	}
	r.becomeCandidate()
	r.requestVotes(MsgVote, r.term, true)
}
