package raft

import "fmt"

// Leadership transfer (dissertation §3.10): stop taking proposals, bring the target up to date, tell it to campaign at
// once. If it has not won after an election timeout, go on leading.

// transferLeader begins a transfer, or sends the wish to the leader. A second wish for the same target changes nothing,
// one for another target replaces the first.
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
	r.leader.transferee = to
	r.leader.transferElapsed = 0
	p := findProgress(r.leader.progress, to)
	p.nudge = p.match < r.log.last() // if something was lost, find out now
	r.maybeSendTimeoutNow(p)
	return nil
}

// maybeSendTimeoutNow lets the target campaign as soon as it has the whole log; no proposal can be added to it now.
// From here on this leader's lease is worth nothing: the target may win without waiting for it, even if the message
// arrives after we gave up.
func (r *raft) maybeSendTimeoutNow(p *progress) {
	if p.id != r.leader.transferee || p.match != r.log.last() {
		return
	}
	r.leader.reads.leaseGivenUp = true
	r.send(Message{Type: MsgTimeoutNow, To: p.id})
}

// tickTransfer gives a transfer up after an election timeout: proposals must not be refused for ever.
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
// is committed might elect nobody.
func (r *raft) maybeHandOver() {
	if r.members.isVoter(r.id) || r.leader.transferee != None {
		return
	}
	for i := range r.leader.progress {
		p := &r.leader.progress[i]
		if p.match == r.log.last() && p.active && r.members.isVoter(p.id) {
			r.leader.transferee, r.leader.transferElapsed = p.id, 0
			r.maybeSendTimeoutNow(p)
			return
		}
	}
}

func (r *raft) abortTransfer() { r.leader.transferee = None }

// handleTimeoutNow campaigns at the leader's request. It is obeyed only if it comes from the leader of our term.
func (r *raft) handleTimeoutNow(m *Message) {
	if r.role != StateFollower || r.lead != m.From || !r.members.isVoter(r.id) {
		return
	}
	r.calledInTerm = r.term
	r.answerCall()
}

// answerCall campaigns if the leader called us in this term: without a pre-vote, and so that the others do not stick to
// the leader. Only a voter does so, and one that has a configuration change to apply does so after that.
func (r *raft) answerCall() {
	called := r.calledInTerm != 0 && r.calledInTerm == r.term && r.role == StateFollower
	if !called || !r.members.isVoter(r.id) || !r.promotable() {
		return
	}
	r.becomeCandidate()
	r.requestVotes(MsgVote, r.term, true)
}
