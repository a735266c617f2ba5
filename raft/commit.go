package raft

// The commit rule, and what depends on it.

// maybeCommit raises the leader's commit index as far as a quorum has made the log durable (quorumValue of match,
// which is 0 for who has no progress), and reports whether it rose. The rule of §5.4.2 and figure 8: a leader counts
// replicas for entries of its own term only. An entry of an earlier term that is on a majority may still be replaced
// by a later leader; it is committed when an entry of this term after it is (Log Matching): entries of this term begin
// at leader.termStart.
//
// If it rose, the followers are told at once (tellCommit) if Config.EagerCommit says so, or if the pending
// configuration change (leader.pendingConf) has just become committed; else with the next append or heartbeat.
func (r *raft) maybeCommit() bool {
	list := r.leader.progress
	index := r.members.quorumValue(func(id uint64) uint64 {
		if p := findProgress(list, id); p != nil {
			return p.match
		}
		return 0
	})
	ofEarlierTerm := index < r.leader.termStart
	if ofEarlierTerm {
		return false
	}
	before := r.log.committed
	if !r.log.commitTo(index) {
		return false
	}
	confCommitted := before < r.leader.pendingConf && r.leader.pendingConf <= index
	if r.cfg.EagerCommit || confCommitted {
		r.tellCommit()
	}
	return true
}

// tellCommit makes the commit index known with the next Ready even to followers that are sent nothing else. Otherwise
// they learn it from the next append or heartbeat. A configuration change is told at once: a node that is to join or
// to leave, and a leader that is about to step down, should not leave the others waiting for a timeout.
func (r *raft) tellCommit() {
	for i := range r.leader.progress {
		r.leader.progress[i].tellCommit = true
	}
}

// committedInTerm reports whether an entry of the leader's term is committed. Only then does it know which entries are
// committed at all (§8).
func (r *raft) committedInTerm() bool { return r.log.committed >= r.leader.termStart }
