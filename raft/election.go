package raft

import "fmt"

// Elections (§5.2, §5.4.1), pre-votes (dissertation §9.6) and leader stickiness (§6 last paragraph; dissertation
// §4.2.3).
//
//	           timeout             quorum could            quorum of votes
//	follower ---------> pre-candidate ------> candidate ------------------> leader
//	    ^                    |                    |                            |
//	    +--------------------+--------------------+----------------------------+
//	        a later term, the leader of this term, or a quorum that refuses

// resetElectionTimer begins a wait (electionElapsed is 0 again) of a newly drawn length, electionTimeout: each of
// ElectionTicks, ElectionTicks+1, ... 2*ElectionTicks-1 is as likely, by cfg.Rand. Different lengths on different
// nodes are what makes split votes rare (§5.2), so the draw is repeated for each wait and not for each tick.
func (r *raft) resetElectionTimer() {
	r.electionElapsed = 0
	r.electionTimeout = r.cfg.ElectionTicks + r.cfg.Rand.IntN(r.cfg.ElectionTicks)
}

// promotable reports whether this node may campaign: a voter (or one who just was) in its own configuration, with no
// configuration change that is committed but not yet applied (its configuration would be known to be outdated), and no
// snapshot half installed.
func (r *raft) promotable() bool {
	confPending := r.log.lastConf > r.log.applied && r.log.applied < r.log.committed
	return (r.members.isVoter(r.id) || r.stillNeeded()) && !confPending && r.log.snapshot == nil
}

// stillNeeded reports whether this node should campaign although it has lost its vote (dissertation §4.2.2). It knows
// that the configuration without it is committed; others may not know, and need its vote, which they do not get if its
// log is longer than theirs. Nobody would ever lead. So it stands for election itself, without counting its own vote,
// and if it wins brings the others up to date and hands over. A refusal by a quorum tells it that it is not needed.
func (r *raft) stillNeeded() bool { return r.dismissed && r.log.last() > r.log.committed }

// campaign begins an election. With pre-vote (the default; Config.DisablePreVote turns it off) this node becomes a
// pre-candidate and asks for pre-votes for the term after its own; without, it becomes a candidate and asks for votes
// in its new term. A leader does not campaign: nothing happens.
func (r *raft) campaign() {
	switch {
	case r.role == StateLeader:
	case r.cfg.DisablePreVote:
		r.becomeCandidate()
		r.requestVotes(MsgVote, r.term, false)
	default:
		r.becomePreCandidate()
		r.requestVotes(MsgPreVote, r.term+1, false)
	}
}

// becomePreCandidate takes the role, with no answers counted yet and no leader known, and begins a wait anew. Neither
// term nor vote changes: there is nothing to be remembered.
func (r *raft) becomePreCandidate() {
	r.resetElectionTimer()
	r.role = StatePreCandidate
	r.lead = None
	r.candidate = &candidate{}
}

// becomeCandidate enters the next term (enterTerm, which also begins a wait anew), takes the role, with no answers
// counted yet and no leader known, and gives this node's vote to itself.
func (r *raft) becomeCandidate() {
	r.enterTerm(r.term + 1)
	r.role = StateCandidate
	r.lead = None
	r.vote = r.id
	r.candidate = &candidate{}
}

// requestVotes sends a question of type t (MsgVote or MsgPreVote) for the given term to each voter but ourselves, with
// force, and with the index and term of our last entry. It is a promise (sendDeferred): a candidate has voted for
// itself in this term, and that must be durable before anybody hears of it. Then it records our own yes (recordVote,
// which ends nothing), and counts (countVotes): alone in the cluster that is the election.
func (r *raft) requestVotes(t MessageType, term uint64, force bool) {
	for _, id := range r.members.members() {
		if id == r.id || !r.members.isVoter(id) {
			continue
		}
		r.sendDeferred(Message{Type: t, To: id, Term: term, Force: force, Index: r.log.last(), LogTerm: r.log.lastTerm})
	}
	r.recordVote(r.id, true)
	r.countVotes()
}

// hearsLeader reports whether this node leads or heard from a leader within the last ElectionTicks (or may have,
// before a restart).
func (r *raft) hearsLeader() bool { return r.role == StateLeader || r.now < r.voteFrom }

// sticksToLeader reports whether no vote is given because there is a leader: one node that is cut off, or was removed
// and does not know it, must not depose a leader that works (dissertation §4.2.3). A leader sticks to itself; it steps
// down when its quorum is gone. Without that check it might not, and stickiness would keep a dead leader in office.
func (r *raft) sticksToLeader() bool { return !r.cfg.DisableCheckQuorum && r.hearsLeader() }

// handleVote answers a candidate of our term, or a pre-candidate of any later one.
//
// A vote (MsgVoteResp) is granted if we have given it to this candidate in this term already, or have given none and
// know no leader of it; and only if the candidate's log is at least as up to date as ours (upToDate; §5.2, §5.4.1).
// Then it is remembered in vote, and our own wait begins again (electionElapsed). In any other case it is refused.
// Granted or refused, the answer is a promise (sendDeferred): vote is durable before it leaves.
//
// A pre-vote (MsgPreVoteResp) is granted if the log is up to date, the term asked about is later than ours, and we do
// not hear from a leader (hearsLeader). It binds nobody: neither vote nor the wait changes. Of two nodes that ask at
// the same time with equal logs, the one with the larger id goes first (outranks), so that they do not split the vote.
// A granted pre-vote bears the term that was asked about; a refused one our own term, if that is news to the
// candidate, which is in the term before the one it asks about: then it learns that its term is over.
func (r *raft) handleVote(m *Message) {
	grant := r.log.upToDate(m.Index, m.LogTerm)
	if m.Type == MsgPreVote {
		grant = grant && m.Term > r.term && !r.hearsLeader() && !r.outranks(m)
		answer := Message{Type: MsgPreVoteResp, To: m.From, Term: m.Term, Reject: !grant}
		if !grant {
			answer.Term = max(r.term, m.Term-1) // ours if it is news, else the one the candidate is in
		}
		r.sendDeferred(answer)
		return
	}
	grant = grant && (r.vote == m.From || r.vote == None && r.lead == None)
	if grant {
		r.vote = m.From
		r.electionElapsed = 0
	}
	r.sendDeferred(Message{Type: MsgVoteResp, To: m.From, Reject: !grant})
}

// outranks reports whether we are asking for pre-votes ourselves, for the same term, with a log as good and a larger
// id.
func (r *raft) outranks(m *Message) bool {
	return r.role == StatePreCandidate && m.Term == r.term+1 && r.id > m.From &&
		m.Index == r.log.last() && m.LogTerm == r.log.lastTerm
}

// handleVoteResp takes an answer to the kind of question we are asking: as a candidate a MsgVoteResp of our term; as a
// pre-candidate a MsgPreVoteResp that grants the term after ours, or refuses. If the sender is a voter it is recorded,
// and the votes are counted. All other answers are late or mean somebody else: they have no effect.
func (r *raft) handleVoteResp(m *Message) {
	asking := r.role == StateCandidate && m.Type == MsgVoteResp && m.Term == r.term ||
		r.role == StatePreCandidate && m.Type == MsgPreVoteResp && (m.Reject || m.Term == r.term+1)
	if !asking || !r.members.isVoter(m.From) {
		return
	}
	r.recordVote(m.From, !m.Reject)
	r.countVotes()
}

// recordVote notes a voter's answer in candidate.votes. The first one holds: repeated answers have no effect, for
// messages may arrive twice.
func (r *raft) recordVote(id uint64, granted bool) {
	if findBallot(r.candidate.votes, id) < 0 {
		r.candidate.votes = append(r.candidate.votes, ballot{id: id, granted: granted})
	}
}

// countVotes acts on the result (tally), if there is one. A won election makes a leader. A won pre-vote begins the
// election: this node becomes a candidate and asks for votes, without force. A lost one of either kind makes a
// follower of the same term that knows no leader and waits for the next timeout; nor is it needed any more
// (dismissed).
func (r *raft) countVotes() {
	switch r.members.tally(r.candidate.votes) {
	case voteWon:
		if r.role == StateCandidate {
			r.becomeLeader()
			return
		}
		r.becomeCandidate()
		r.requestVotes(MsgVote, r.term, false)
	case voteLost:
		r.dismissed = false
		r.becomeFollower(r.term, None)
	}
}

// becomeLeader takes office, in the present term. All that was a candidate's is gone, timers begin anew (enterTerm
// with the term we are in), the leader we know is ourselves. What a leader has is made: termStart is the index of the
// entry about to be appended, pendingConf what assumedConf says, progress one for each member (progressOf), so that
// nothing an earlier term knew of the followers is believed. Reads that waited for a leader are taken over
// (takeForwardedReads). The first act is an entry of the new term, empty of commands (appendEntry): only by committing
// it can the entries of earlier terms be committed (§5.4.2), and reads be served (§8).
func (r *raft) becomeLeader() {
	r.enterTerm(r.term)
	r.candidate = nil
	r.role = StateLeader
	r.lead = r.id
	r.leader = &leader{
		termStart:   r.log.last() + 1,
		pendingConf: r.assumedConf(),
	}
	r.leader.progress = r.progressOf(r.members.members())
	r.takeForwardedReads()
	r.appendEntry(EntryNormal, nil)
}

// newProgress is what a leader assumes of a member it has not heard from: that it has the same log, which the first
// append finds out.
func (r *raft) newProgress(id uint64) progress {
	p := progress{id: id, next: r.log.last() + 1, active: true, nudge: true}
	p.window.maxCount, p.window.maxBytes = r.cfg.MaxInflightMessages, r.cfg.MaxInflightBytes
	if id == r.id {
		p.match = r.log.offset - 1
		p.nudge = false
	}
	return p
}

// checkQuorum reports whether a quorum was heard from since the last call.
func (r *raft) checkQuorum() bool {
	list := r.leader.progress
	ok := r.members.hasQuorum(func(id uint64) bool {
		p := findProgress(list, id)
		return id == r.id || p != nil && p.active
	})
	for i := range list {
		list[i].active = false
	}
	return ok
}

// campaignNow is the caller's wish for an election. It is refused while a leader may rely on its lease.
func (r *raft) campaignNow() error {
	if r.role == StateLeader {
		return nil
	}
	promised := r.cfg.ReadMode == ReadLease && r.hearsLeader()
	if promised || !r.promotable() {
		return fmt.Errorf("node %d in term %d: %w", r.id, r.term, ErrNotPromotable)
	}
	r.campaign()
	return nil
}
