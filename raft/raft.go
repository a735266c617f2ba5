package raft

import (
	"errors"
	"fmt"
)

// raft is the state machine of one node: what it remembers, and the two inputs, messages and ticks. What is to be done
// about them is in the file of the concept: election.go, replication.go, commit.go, read.go, transfer.go, snapshot.go,
// membership.go. What comes out is collected in outbox and taken by ready.go.
//
// Invariants:
//
//	R1. term never falls; vote changes only from None to a node, or with the term.
//	R2. leader is not nil if and only if role is StateLeader; candidate likewise for the two kinds of candidate.
//	R3. A leader never replaces or removes an entry of its log, it only appends (Leader Append-Only, §5.3).
type raft struct {
	id  uint64
	cfg Config

	term uint64
	vote uint64
	log  raftLog

	role      StateType
	lead      uint64 // the leader of term, if known
	leader    *leader
	candidate *candidate

	members membership

	// dismissed says that this node lost its vote, and may still be needed: see stillNeeded.
	dismissed bool

	// electionElapsed counts ticks since a follower last heard from a leader or voted, since a candidate began, since a
	// leader last checked its quorum. heartbeatElapsed is the leader's.
	electionElapsed  int
	heartbeatElapsed int
	electionTimeout  int    // drawn anew for each wait
	now              uint64 // ticks since the start

	// voteFrom is the tick before which this node sticks to the leader it heard from, and gives no vote, whatever else
	// it learns meanwhile (election.go). A node that was restarted may have heard from one just before it crashed.
	voteFrom uint64

	calledInTerm uint64 // the term whose leader told us to campaign; 0: none did

	forwarded forwardedReads
	outbox    outbox

	durableTerm uint64 // the term of the last hard state that is known to be durable
}

// leader is what only a leader has; it is made when a node wins and gone when it steps down.
type leader struct {
	progress []progress // sorted by id, this node included

	// termStart is the index of the no-op that opened the term. Entries from there on are of this term, all before are
	// of earlier ones (R3), so "is the entry of my term?" is a comparison of indexes.
	termStart uint64

	// pendingConf is the index of the last configuration change that may be in the log; the next one may be appended
	// when this has been applied.
	pendingConf uint64

	uncommittedBytes uint64

	transferee      uint64
	transferElapsed int

	reads readRounds
}

// candidate is what only a candidate or pre-candidate has.
type candidate struct {
	votes []ballot
}

// outbox holds what the next Ready will carry.
type outbox struct {
	immediate  []Message // may leave before anything is durable
	deferred   []Message // must wait until this Ready is durable
	readStates []ReadState
}

// newRaft restarts a node from what Storage holds. A fresh Storage is just a durable state like any other.
func newRaft(cfg Config) (*raft, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	hard, conf, err := cfg.Storage.InitialState()
	if err != nil {
		return nil, fmt.Errorf("raft: initial state: %w", err)
	}
	log, err := newRaftLog(cfg.Storage, hard, cfg.Applied)
	if err != nil {
		return nil, err
	}
	r := &raft{id: cfg.ID, cfg: cfg, log: log, vote: hard.Vote, durableTerm: hard.Term}
	if len(conf.Voters) > 0 {
		if r.members, err = newMembership(conf); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadConfig, err)
		}
		r.dismissed = !r.members.isMember(r.id)
	}
	if cfg.ReadMode == ReadLease && hard.Term > 0 {
		r.voteFrom = uint64(cfg.ElectionTicks)
	}
	// A crash may have lost the hard state that belongs to the last entries. Whoever voted in that term did so in a hard
	// state that is durable, so nothing but the number of the term is missing.
	r.term = max(hard.Term, log.lastTerm)
	if r.term > hard.Term {
		r.vote = None
	}
	r.forwarded.batch = cfg.Rand.Uint64()
	r.becomeFollower(r.term, None)
	return r, nil
}

// becomeFollower enters term (which is not before the present one) as a follower of lead, or of nobody known.
func (r *raft) becomeFollower(term, lead uint64) {
	r.enterTerm(term)
	r.keepReadsOfLeader()
	r.leader, r.candidate = nil, nil
	r.role = StateFollower
	r.lead = lead
}

// enterTerm resets what belongs to a term or to a wait for a leader.
func (r *raft) enterTerm(term uint64) {
	if term > r.term {
		r.term = term
		r.vote = None
	}
	r.resetElectionTimer()
	r.heartbeatElapsed = 0
}

// tick lets one unit of time pass.
func (r *raft) tick() {
	r.now++
	r.electionElapsed++
	r.log.release()
	if r.role == StateLeader {
		r.tickLeader()
		return
	}
	r.tickForwardedReads()
	if r.electionElapsed >= r.electionTimeout {
		r.resetElectionTimer()
		if r.promotable() {
			r.campaign()
		}
	}
}

// tickLeader sends heartbeats, gives up transfers that take too long and, once per election timeout, makes sure that a
// quorum still hears us (dissertation §6.2).
func (r *raft) tickLeader() {
	r.heartbeatElapsed++
	r.tickTransfer()
	r.maybeHandOver()
	if r.electionElapsed >= r.cfg.ElectionTicks {
		r.electionElapsed = 0
		if !r.cfg.DisableCheckQuorum && !r.checkQuorum() {
			r.becomeFollower(r.term, None)
			return
		}
	}
	if r.heartbeatElapsed >= r.cfg.HeartbeatTicks {
		r.heartbeatElapsed = 0
		r.startRound()
		r.broadcastHeartbeat()
		r.maybeLeaveJoint()
	}
}

// maxTermJump is by how much the term of a message may exceed ours. Every election raises a term by one, so no cluster
// gets there; a term beyond it is garbage, and believing it would leave no terms for anybody else.
const maxTermJump = 1 << 32

// maxIndexJump is by how much the index of a snapshot may be beyond our log. What a snapshot covers is committed, so one
// that is garbage would leave no indexes for the entries to come.
const maxIndexJump = 1 << 48

// step handles one message, in this order, the same for every type:
//
//  1. Refuse what is malformed, for another node, from nowhere or from the absurd future: no effect at all.
//  2. Compare terms (§5.1): a later term makes us a follower of it, except where that would help a node that only
//     wants to know (pre-votes), or disturb a leader that is alive (leader stickiness); an earlier one is refused, and
//     its sender told our term.
//  3. In equal terms hand it to the file of its concept.
func (r *raft) step(m *Message) error {
	if err := r.admit(m); err != nil {
		return err
	}
	switch {
	case m.Type.isTermless():
		return r.stepTermless(m)
	case m.Term < r.term:
		r.refuseOldTerm(m)
		return nil
	case m.Term > r.term && !r.enterLaterTerm(m):
		return nil
	}
	return r.stepInTerm(m)
}

// admit refuses messages that no correct node sends us.
func (r *raft) admit(m *Message) error {
	if err := m.check(); err != nil {
		return err
	}
	switch {
	case m.To != r.id:
		return fmt.Errorf("%v to %d: %w", m.Type, m.To, ErrNotForUs)
	case m.From == r.id:
		return fmt.Errorf("%w: %v from ourselves", ErrBadMessage, m.Type)
	case m.Term > r.term && m.Term-r.term > maxTermJump:
		return fmt.Errorf("%w: %v of term %d, ours is %d", ErrBadMessage, m.Type, m.Term, r.term)
	case m.Type == MsgSnap && m.Snapshot.Metadata.Index > r.log.last() && m.Snapshot.Metadata.Index-r.log.last() > maxIndexJump:
		return fmt.Errorf("%w: snapshot up to %d, our log ends at %d", ErrBadMessage, m.Snapshot.Metadata.Index, r.log.last())
	case r.members.isMember(m.From):
		return r.admitInTerm(m)
	case m.Type.isResponse() || m.Type.isTermless():
		return fmt.Errorf("%v from %d: %w", m.Type, m.From, ErrUnknownPeer)
	}
	// Requests of candidates and leaders we do not know are served: our configuration may be the older one (§6).
	return r.admitInTerm(m)
}

// admitInTerm refuses what contradicts that a term has one leader, and acknowledgements of what was never sent.
func (r *raft) admitInTerm(m *Message) error {
	if m.Term != r.term {
		return nil
	}
	switch {
	case m.Type.fromLeader() && r.lead != None && r.lead != m.From:
		return fmt.Errorf("%w: %v from %d, but term %d is led by %d", ErrBadMessage, m.Type, m.From, m.Term, r.lead)
	case m.Type == MsgAppResp && !m.Reject && m.Index > r.log.last():
		return fmt.Errorf("%w: acknowledgement of %d, the log ends at %d", ErrBadMessage, m.Index, r.log.last())
	}
	return nil
}

// enterLaterTerm handles a message of a later term than ours, and reports whether the message itself is still to be
// handled. As a rule we enter that term as a follower (§5.1), of the sender if only a leader sends such a message
// (fromLeader), else of nobody known, and the message is handled in it. There are three exceptions, which leave this
// node as it is:
//
//   - MsgPreVote is a question about a term that does not exist yet (dissertation §9.6): handled, nothing is entered.
//   - MsgPreVoteResp that grants bears the term we would campaign in: handled, nothing is entered. (One that refuses
//     shows a term that exists: the rule holds.)
//   - MsgVote while we stick to our leader (sticksToLeader), unless it has Force: not even handled (§6).
func (r *raft) enterLaterTerm(m *Message) bool {
	switch m.Type {
	case MsgPreVote:
		return true
	case MsgPreVoteResp:
		if !m.Reject {
			return true
		}
	case MsgVote:
		if !m.Force && r.sticksToLeader() {
			return false
		}
	}
	lead := None
	if m.Type.fromLeader() {
		lead = m.From
	}
	r.becomeFollower(m.Term, lead)
	return true
}

// refuseOldTerm tells the sender of a request from an earlier term that the term is over, so that it steps down.
func (r *raft) refuseOldTerm(m *Message) {
	answer := Message{To: m.From, Reject: true}
	switch m.Type {
	case MsgApp, MsgSnap, MsgHeartbeat:
		answer.Type = MsgAppResp
	case MsgVote:
		answer.Type = MsgVoteResp
	case MsgPreVote:
		answer.Type = MsgPreVoteResp
	default:
		return
	}
	r.sendDeferred(answer)
}

// stepInTerm handles a message of our own term, and pre-votes of a later one.
func (r *raft) stepInTerm(m *Message) error {
	switch m.Type {
	case MsgVote, MsgPreVote:
		r.handleVote(m)
	case MsgVoteResp, MsgPreVoteResp:
		r.handleVoteResp(m)
	case MsgApp, MsgHeartbeat, MsgSnap:
		return r.stepFromLeader(m)
	case MsgTimeoutNow:
		r.handleTimeoutNow(m)
	case MsgAppResp, MsgHeartbeatResp:
		return r.stepToLeader(m)
	case MsgReadIndexResp:
		r.handleReadIndexResp(m)
	}
	return nil
}

// stepFromLeader follows the leader of the term: a candidate that hears from it has lost (§5.2).
func (r *raft) stepFromLeader(m *Message) error {
	if r.role != StateFollower || r.lead != m.From {
		r.becomeFollower(m.Term, m.From)
	}
	r.electionElapsed = 0
	r.voteFrom = r.now + uint64(r.cfg.ElectionTicks)
	switch m.Type {
	case MsgApp:
		return r.handleAppend(m)
	case MsgHeartbeat:
		r.handleHeartbeat(m)
	case MsgSnap:
		r.handleSnapshot(m)
	}
	return nil
}

// stepToLeader handles a follower's answer. We may not lead any more; then it means nothing.
func (r *raft) stepToLeader(m *Message) error {
	if r.role != StateLeader {
		return nil
	}
	p := findProgress(r.leader.progress, m.From)
	if p == nil {
		return nil
	}
	p.active = true
	r.ackRound(p, m.Context)
	if m.Type == MsgHeartbeatResp {
		r.handleHeartbeatResp(p)
		return nil
	}
	return r.handleAppendResp(p, m)
}

// stepTermless serves requests that others send to whom they believe to be the leader.
func (r *raft) stepTermless(m *Message) error {
	if r.role != StateLeader {
		return fmt.Errorf("%v from %d: %w", m.Type, m.From, ErrNoLeader)
	}
	switch m.Type {
	case MsgProp:
		return r.proposeForwarded(m.Entries)
	case MsgTransferLeader:
		return r.transferLeader(m.Context)
	default:
		r.leader.reads.ask(readRequest{from: m.From, id: m.Context})
		return nil
	}
}

// proposeForwarded appends entries another node proposed. They come one by one: a configuration change that cannot be
// appended does not take the others with it.
func (r *raft) proposeForwarded(entries []Entry) error {
	var errs error
	for i := range entries {
		if err := r.propose(entries[i].Type, entries[i].Data); err != nil {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// send puts a message that asserts nothing this node has yet to make durable.
func (r *raft) send(m Message) {
	m.From = r.id
	if !m.Type.isTermless() && m.Term == 0 {
		m.Term = r.term
	}
	r.outbox.immediate = append(r.outbox.immediate, m)
}

// sendDeferred puts a message that is a promise: it leaves when the Ready that carries it is durable.
func (r *raft) sendDeferred(m Message) {
	m.From = r.id
	if m.Term == 0 {
		m.Term = r.term
	}
	r.outbox.deferred = append(r.outbox.deferred, m)
}
