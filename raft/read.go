package raft

import "fmt"

// Linearizable reads without a log entry (dissertation §6.4). A read may be served at an index if that is not before
// any index committed when the read was asked for. The leader knows the index; what it has to make sure is that it
// still leads. It asks: a round of heartbeats that began after the request, answered by a quorum, says that no later
// leader had been elected when the round began. One round serves all requests that wait for it.
//
// The rounds of a leader are numbered. Every heartbeat and append carries the number of the newest round, the answers
// return it.
//
//	ReadIndex ---> asked ---> (Ready: a new round begins) ---> waiting ---> (a quorum answered) ---> ReadState
//
// With ReadLease a round also grants a lease, from the tick it began. While it holds no other leader can have been
// elected, because a quorum sticks to this one (election.go), so reads need no round (§6.4.1). Three things would
// break that and are seen to: a transfer overrides stickiness (transfer.go gives the lease up); a restarted voter does
// not remember whom it heard (it gives no vote for ElectionTicks, see raft.voteFrom); clocks drift (LeaseTicks).

// readRequest waits for the leader to be sure.
type readRequest struct {
	from  uint64 // None: asked here
	id    uint64
	index uint64
	round uint64
}

// readRounds is the leader's side.
type readRounds struct {
	round   uint64        // the newest
	asked   []readRequest // no round began since they came
	waiting []readRequest // oldest first: round and index set

	confirmed    uint64 // the newest round a quorum answered
	begun        []roundStart
	leaseFrom    uint64 // the tick when the round began that grants the lease; valid if hasLease
	hasLease     bool
	leaseGivenUp bool
}

// roundStart remembers when a round that is not yet confirmed began.
type roundStart struct{ round, tick uint64 }

func (q *readRounds) ask(req readRequest) { q.asked = append(q.asked, req) }

// readIndex takes a request for a read.
func (r *raft) readIndex(id uint64) error {
	if r.role == StateLeader {
		r.leader.reads.ask(readRequest{id: id})
		return nil
	}
	if r.lead == None || r.cfg.DisableForwarding {
		return fmt.Errorf("read at node %d: %w", r.id, ErrNoLeader)
	}
	r.forwarded.collected = append(r.forwarded.collected, id)
	return nil
}

// readsDue reports whether requests wait that can be served or can begin a round. Before the leader has committed an
// entry of its own term it does not know what is committed (§8), and they must wait.
func (r *raft) readsDue() bool { return len(r.leader.reads.asked) > 0 && r.committedInTerm() }

// serveReads lets the requests that came since the last Ready pass, if the leader can be sure at once, or begins one
// round for all of them.
func (r *raft) serveReads() {
	if !r.readsDue() {
		return
	}
	q := &r.leader.reads
	sure := r.inLease() || r.aloneIsQuorum()
	if !sure {
		r.startRound()
	}
	for _, req := range q.asked {
		req.index, req.round = r.log.committed, q.round
		if sure {
			r.answerRead(req)
			continue
		}
		q.waiting = append(q.waiting, req)
	}
	q.asked = q.asked[:0]
	if !sure {
		r.broadcastHeartbeat()
	}
}

// aloneIsQuorum reports whether no other voter needs to be asked.
func (r *raft) aloneIsQuorum() bool {
	return r.members.hasQuorum(func(id uint64) bool { return id == r.id })
}

// startRound numbers a new round of heartbeats.
func (r *raft) startRound() {
	q := &r.leader.reads
	q.round++
	if r.cfg.ReadMode == ReadLease {
		q.begun = append(q.begun, roundStart{round: q.round, tick: r.now})
		r.confirmReads() // alone, we have answered already
	}
}

// ackRound notes that a member answered a message that carried this round.
func (r *raft) ackRound(p *progress, round uint64) {
	if round <= p.ackedRound || round > r.leader.reads.round {
		return
	}
	p.ackedRound = round
	r.confirmReads()
}

// confirmReads lets all requests pass whose round a quorum has answered.
func (r *raft) confirmReads() {
	q, list := &r.leader.reads, r.leader.progress
	confirmed := r.members.quorumValue(func(id uint64) uint64 {
		if id == r.id {
			return q.round
		}
		if p := findProgress(list, id); p != nil {
			return p.ackedRound
		}
		return 0
	})
	q.confirmed = max(q.confirmed, confirmed)
	r.renewLease()
	n := 0
	for n < len(q.waiting) && q.waiting[n].round <= q.confirmed {
		r.answerRead(q.waiting[n])
		n++
	}
	q.waiting = append(q.waiting[:0], q.waiting[n:]...)
}

// renewLease counts the lease from the start of the newest round that is confirmed.
func (r *raft) renewLease() {
	q := &r.leader.reads
	n := 0
	for n < len(q.begun) && q.begun[n].round <= q.confirmed {
		q.leaseFrom, q.hasLease = q.begun[n].tick, true
		n++
	}
	q.begun = append(q.begun[:0], q.begun[n:]...)
}

// dropLease forgets a lease that was granted by the quorum of another configuration.
func (q *readRounds) dropLease() { q.begun, q.hasLease = q.begun[:0], false }

// inLease reports whether reads need no round now: with ReadLease, if a quorum confirmed a round (hasLease) that began
// less than Config.LeaseTicks ago (leaseFrom, on the clock now). Never while a transfer is under way, and never again in
// this term once a node was told to campaign (leaseGivenUp): its votes do not wait for the lease to run out.
func (r *raft) inLease() bool {
	q := &r.leader.reads
	return r.cfg.ReadMode == ReadLease && q.hasLease && !q.leaseGivenUp &&
		r.leader.transferee == None && r.now-q.leaseFrom < uint64(r.cfg.LeaseTicks)
}

// answerRead hands the index to whoever asked. Another node must also learn that so much is committed, or it would wait
// for a heartbeat before it could apply.
func (r *raft) answerRead(req readRequest) {
	if req.from == None {
		r.outbox.readStates = append(r.outbox.readStates, ReadState{RequestID: req.id, Index: req.index})
		return
	}
	r.send(Message{Type: MsgReadIndexResp, To: req.from, Index: req.index, Context: req.id})
	if p := findProgress(r.leader.progress, req.from); p != nil {
		p.tellCommit = true
	}
}

// forwardedReads is the follower's side: requests go to the leader in batches, one at a time, so that what comes in
// while a batch is out makes the next. Reads survive a change of leader: the batch is sent again, to the new one.
type forwardedReads struct {
	collected []uint64 // ids not sent yet
	sent      []uint64 // ids of the batch that is out
	batch     uint64   // its number; starts at random, so that no answer from before a restart fits
	elapsed   int      // ticks since it was sent
}

// forwardReadsDue reports whether a batch can be sent.
func (r *raft) forwardReadsDue() bool {
	f := &r.forwarded
	return r.role != StateLeader && r.lead != None && len(f.collected) > 0 && len(f.sent) == 0
}

// forwardReads sends what was collected.
func (r *raft) forwardReads() {
	if !r.forwardReadsDue() {
		return
	}
	f := &r.forwarded
	f.sent = append(f.sent, f.collected...)
	f.collected = f.collected[:0]
	f.batch++
	r.sendReadBatch()
}

func (r *raft) sendReadBatch() {
	r.forwarded.elapsed = 0
	r.send(Message{Type: MsgReadIndex, To: r.lead, Context: r.forwarded.batch})
}

// tickForwardedReads repeats a batch whose question or answer may be lost.
func (r *raft) tickForwardedReads() {
	f := &r.forwarded
	if len(f.sent) == 0 || r.lead == None {
		return
	}
	f.elapsed++
	if f.elapsed > r.cfg.HeartbeatTicks {
		r.sendReadBatch()
	}
}

// handleReadIndexResp answers all requests of the batch.
func (r *raft) handleReadIndexResp(m *Message) {
	f := &r.forwarded
	if len(f.sent) == 0 || m.Context != f.batch {
		return
	}
	for _, id := range f.sent {
		r.outbox.readStates = append(r.outbox.readStates, ReadState{RequestID: id, Index: m.Index})
	}
	f.sent = f.sent[:0]
}

// takeForwardedReads makes the requests that waited for a leader our own.
func (r *raft) takeForwardedReads() {
	f := &r.forwarded
	for _, id := range f.sent {
		r.leader.reads.ask(readRequest{id: id})
	}
	for _, id := range f.collected {
		r.leader.reads.ask(readRequest{id: id})
	}
	f.sent, f.collected = f.sent[:0], f.collected[:0]
}

// keepReadsOfLeader keeps the requests made here when this node stops leading, for the leader to come. Those of other
// nodes are dropped; they repeat them.
func (r *raft) keepReadsOfLeader() {
	if r.leader == nil || r.cfg.DisableForwarding {
		return
	}
	for _, list := range [][]readRequest{r.leader.reads.waiting, r.leader.reads.asked} {
		for _, req := range list {
			if req.from == None {
				r.forwarded.collected = append(r.forwarded.collected, req.id)
			}
		}
	}
}
