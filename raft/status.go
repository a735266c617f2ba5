package raft

// Status is a copy of what a node knows, for people and for whoever schedules replicas.
type Status struct {
	ID        uint64
	HardState HardState
	SoftState SoftState
	Applied   uint64
	LastIndex uint64
	LastTerm  uint64
	ConfState ConfState

	// Progress has one element for each member, sorted by id; only a leader knows.
	Progress []ProgressStatus
	// Transferee is the node leadership is being handed to, or None.
	Transferee uint64
}

// ProgressStatus is what a leader knows of one member.
type ProgressStatus struct {
	ID        uint64
	Match     uint64 // its log equals the leader's up to here
	Next      uint64 // the next entry to send
	State     ProgressState
	Active    bool   // heard from since the last check of the quorum
	Inflight  int    // appends sent and not acknowledged
	Snapshot  uint64 // index of the snapshot on its way, or 0
	IsLearner bool
}

// Status returns a copy of the node's state.
func (rn *RawNode) Status() Status {
	r := rn.r
	s := Status{
		ID: r.id, HardState: rn.hardState(), SoftState: r.softState(), Applied: r.log.applied,
		LastIndex: r.log.last(), LastTerm: r.log.lastTerm, ConfState: r.members.confState(),
	}
	if r.role != StateLeader {
		return s
	}
	s.Transferee = r.leader.transferee
	for i := range r.leader.progress {
		p := &r.leader.progress[i]
		s.Progress = append(s.Progress, ProgressStatus{
			ID: p.id, Match: p.match, Next: p.next, State: p.state, Active: p.active, Inflight: p.window.count,
			Snapshot: p.pendingSnapshot, IsLearner: !r.members.isVoter(p.id),
		})
	}
	return s
}

// The rest answers single questions without a copy of everything.

// HardState returns the hard state as it is now, durable or not.
func (rn *RawNode) HardState() HardState { return rn.hardState() }

// Term returns the present term.
func (rn *RawNode) Term() uint64 { return rn.r.term }

// Lead returns the leader of the present term as far as this node knows, or None.
func (rn *RawNode) Lead() uint64 { return rn.r.lead }

// IsLeader reports whether this node leads.
func (rn *RawNode) IsLeader() bool { return rn.r.role == StateLeader }

// LastIndex returns the index of the last entry of the log, durable or not.
func (rn *RawNode) LastIndex() uint64 { return rn.r.log.last() }

// TermOf returns the term of the entry at index, durable or not; ErrCompacted or ErrUnavailable outside of the log, or
// an error of Storage.
func (rn *RawNode) TermOf(index uint64) (uint64, error) { return rn.r.log.term(index) }

// InLease reports whether a leader may, at this tick, serve a read at its commit index without asking anybody.
func (rn *RawNode) InLease() bool {
	r := rn.r
	return r.role == StateLeader && r.committedInTerm() && (r.inLease() || r.aloneIsQuorum())
}

// LeaseTicks returns for how many ticks, from the present one on, a leader may serve reads at its commit index without
// asking anybody: 0 if it may not even now. It is for reads that do not come through ReadIndex, such as those of other
// threads, who are told until when they may trust it: they count from the time at which the present tick was due, not
// from when it was given, or a late tick would make the lease longer than the promise of the quorum behind it.
func (rn *RawNode) LeaseTicks() int {
	r := rn.r
	switch {
	case !rn.InLease():
		return 0
	case r.cfg.ReadMode == ReadLease && r.aloneIsQuorum():
		return r.cfg.LeaseTicks
	case r.cfg.ReadMode == ReadLease:
		return r.cfg.LeaseTicks - int(r.now-r.leader.reads.leaseFrom)
	}
	return 0
}
