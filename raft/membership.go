package raft

import (
	"fmt"
	"slices"
)

// Who belongs to the cluster, and how that changes. A configuration is a value: each change makes a new one, which
// comes into force on a node when the node applies the entry that holds it, and so on every node at the same index.
//
// A single step adds or removes one voter: any majority of the old and any of the new configuration then share a node,
// so two leaders of one term cannot be elected (dissertation §4.1). More at once goes through a joint configuration in
// which both majorities are needed (§6).

// membership is a configuration.
//
// Invariants:
//
//	M1. voters is not empty, unless this node has not been told any configuration yet.
//	M2. All lists are sorted and distinct. learners is disjoint from voters and outgoing; learnersNext is a part of
//	    outgoing and disjoint from voters.
//	M3. outgoing is empty if and only if the configuration is not joint; then learnersNext is empty and autoLeave false.
//	M4. Lists are never written after they were made.
type membership struct {
	voters       []uint64
	outgoing     []uint64
	learners     []uint64
	learnersNext []uint64
	autoLeave    bool
}

// newMembership takes a configuration from a ConfState and checks M1 to M3.
func newMembership(c ConfState) (membership, error) {
	c = c.clone()
	m := membership{voters: c.Voters, outgoing: c.VotersOutgoing, learners: c.Learners, learnersNext: c.LearnersNext,
		autoLeave: c.AutoLeave}
	return m, m.check()
}

func (c *membership) check() error {
	for _, ids := range [][]uint64{c.voters, c.outgoing, c.learners, c.learnersNext} {
		for i, id := range ids {
			if id == None || i > 0 && ids[i-1] >= id {
				return fmt.Errorf("%w: ids %v", ErrBadConfChange, ids)
			}
		}
	}
	switch {
	case len(c.voters) == 0:
		return fmt.Errorf("%w: no voter", ErrBadConfChange)
	case !c.joint() && (len(c.learnersNext) > 0 || c.autoLeave):
		return fmt.Errorf("%w: half of a joint configuration", ErrBadConfChange)
	case slices.ContainsFunc(c.learners, c.isVoter):
		return fmt.Errorf("%w: voters who are learners", ErrBadConfChange)
	case slices.ContainsFunc(c.learnersNext, func(id uint64) bool {
		return !contains(c.outgoing, id) || contains(c.voters, id)
	}):
		return fmt.Errorf("%w: future learners who do not vote", ErrBadConfChange)
	}
	return nil
}

// clone returns a ConfState that shares nothing with this one, its lists sorted.
func (c ConfState) clone() ConfState {
	for _, ids := range []*[]uint64{&c.Voters, &c.VotersOutgoing, &c.Learners, &c.LearnersNext} {
		*ids = slices.Clone(*ids)
		slices.Sort(*ids)
	}
	return c
}

// confState returns the configuration in its public form.
func (c *membership) confState() ConfState {
	return ConfState{Voters: c.voters, VotersOutgoing: c.outgoing, Learners: c.learners,
		LearnersNext: c.learnersNext, AutoLeave: c.autoLeave}.clone()
}

func contains(ids []uint64, id uint64) bool {
	_, found := slices.BinarySearch(ids, id)
	return found
}

// joint reports whether two majorities are needed.
func (c *membership) joint() bool { return len(c.outgoing) > 0 }

// isVoter reports whether a node votes, in either half of a joint configuration.
func (c *membership) isVoter(id uint64) bool {
	return contains(c.voters, id) || contains(c.outgoing, id)
}

// isMember reports whether a node is sent the log.
func (c *membership) isMember(id uint64) bool { return c.isVoter(id) || contains(c.learners, id) }

// members returns the ids of all voters and learners, sorted.
func (c *membership) members() []uint64 {
	all := slices.Concat(c.voters, c.outgoing, c.learners)
	slices.Sort(all)
	return slices.Compact(all)
}

// apply returns the configuration that a change leads to, or the present one with ErrBadConfChange:
//
//   - nothing is possible before a configuration is known (no voters);
//   - a change without Changes leaves a joint configuration (leaveJoint), and is the only one possible there;
//   - the Changes are applied one after the other (applyOne). If the voters before and after differ in more than one
//     node (symmetricDifference), or if the Transition asks for it, a joint configuration is entered (enterJoint), and
//     left automatically unless the Transition is ConfChangeJointExplicit;
//   - any other is a single step, if what comes out is a configuration (check): it must have a voter.
//
// The present configuration is not written to (M4), here or below: others may hold its lists.
func (c *membership) apply(cc ConfChange) (membership, error) {
	switch {
	case len(c.voters) == 0:
		// M1: this node joined and was not told the configuration yet. To guess would be to found a second cluster.
		return *c, fmt.Errorf("%w: of a configuration that is not known", ErrBadConfChange)
	case cc.leavesJoint():
		return c.leaveJoint()
	case c.joint():
		return *c, fmt.Errorf("%w: in a joint configuration", ErrBadConfChange)
	}
	next := *c
	for _, change := range cc.Changes {
		if err := next.applyOne(change); err != nil {
			return *c, err
		}
	}
	if cc.Transition != ConfChangeAuto || symmetricDifference(c.voters, next.voters) > 1 {
		return c.enterJoint(next, cc.Transition != ConfChangeJointExplicit)
	}
	return next, next.check()
}

// applyOne changes one node of the configuration that is being made: it is taken out of wherever it is, and put among
// the voters, the learners, or nowhere (remove and insertSorted make new lists). So a node that already is what it shall
// be stays it. The node None, or a change of unknown type, is ErrBadConfChange.
func (c *membership) applyOne(change ConfChangeSingle) error {
	id := change.NodeID
	if id == None {
		return fmt.Errorf("%w: %v nobody", ErrBadConfChange, change.Type)
	}
	voters, learners := remove(c.voters, id), remove(c.learners, id)
	switch change.Type {
	case ConfChangeAddNode:
		voters = insertSorted(voters, id)
	case ConfChangeAddLearner:
		learners = insertSorted(learners, id)
	case ConfChangeRemoveNode:
	default:
		return fmt.Errorf("%w: unknown kind %d", ErrBadConfChange, change.Type)
	}
	c.voters, c.learners = voters, learners
	return nil
}

// enterJoint makes the joint configuration between this one and next: the voters and learners of next, with the voters
// of now as outgoing, and autoLeave as given. A voter of now that becomes a learner must wait: it still votes in the
// outgoing half, so it is in learnersNext, and not in learners. What comes out is checked (check).
func (c *membership) enterJoint(next membership, autoLeave bool) (membership, error) {
	next.outgoing = c.voters
	next.autoLeave = autoLeave
	for _, id := range next.learners {
		if contains(c.voters, id) {
			next.learnersNext = insertSorted(next.learnersNext, id)
		}
	}
	for _, id := range next.learnersNext {
		next.learners = remove(next.learners, id)
	}
	return next, next.check()
}

// leaveJoint drops the outgoing half: voters stay, learnersNext join the learners, and nothing else is left. What comes
// out is checked (check). ErrBadConfChange if this configuration is not joint.
func (c *membership) leaveJoint() (membership, error) {
	if !c.joint() {
		return *c, fmt.Errorf("%w: not in a joint configuration", ErrBadConfChange)
	}
	next := membership{voters: c.voters, learners: c.learners}
	for _, id := range c.learnersNext {
		next.learners = insertSorted(next.learners, id)
	}
	return next, next.check()
}

// symmetricDifference counts the ids that are in one list only.
func symmetricDifference(a, b []uint64) int {
	n := 0
	for _, id := range a {
		if !contains(b, id) {
			n++
		}
	}
	for _, id := range b {
		if !contains(a, id) {
			n++
		}
	}
	return n
}

// assumedConf is what pendingConf is for a new leader. The log may hold a change that an earlier leader appended and
// that is not applied here, perhaps not even committed. Which entry it is would have to be searched, so the last entry
// of the log, before that of the new term, stands for it: changes wait until all of them are applied.
func (r *raft) assumedConf() uint64 { return r.log.last() }

// checkProposedConf decides whether a leader may append a configuration change now: the one before must have been
// applied here (§6: one at a time), so that the change can be tried on the configuration it will meet. Else it is
// ErrConfChangePending; data that does not decode, or a change that members cannot apply, is ErrBadConfChange.
func (r *raft) checkProposedConf(data []byte) error {
	if r.leader.pendingConf > r.log.applied {
		return fmt.Errorf("at index %d: %w", r.leader.pendingConf, ErrConfChangePending)
	}
	cc, err := DecodeConfChange(data)
	if err != nil {
		return err
	}
	_, err = r.members.apply(cc)
	return err
}

// applyConfChange brings a committed change into force (switchTo), or changes nothing and returns why it is impossible.
func (r *raft) applyConfChange(cc ConfChange) error {
	next, err := r.members.apply(cc)
	if err != nil {
		return err
	}
	r.switchTo(next)
	return nil
}

// switchTo puts a configuration in force, and draws the conclusions for the role this node has. First noteDismissal,
// which compares with the one before. A leader: the members it sends to (progressOf), then leaderAfterSwitch. A
// candidate of either kind: if it is not promotable any more, it follows, in its term and nobody; else the quorum may
// have become smaller, so that the votes it has decide now (countVotes). A follower: nothing.
func (r *raft) switchTo(next membership) {
	r.noteDismissal(&next)
	r.members = next
	switch r.role {
	case StateLeader:
		r.leader.progress = r.progressOf(next.members())
		r.leaderAfterSwitch()
	case StateCandidate, StatePreCandidate:
		if !r.promotable() {
			r.becomeFollower(r.term, None)
			return
		}
		r.countVotes()
	}
}

// noteDismissal keeps dismissed up to date: set when this node loses its vote, reset when it gets one again.
func (r *raft) noteDismissal(next *membership) {
	r.dismissed = !next.isVoter(r.id) && (r.dismissed || r.members.isVoter(r.id))
}

// progressOf returns a progress for each member, in their order: the one we have, or a fresh one (newProgress) that is
// given the time of an election timeout to show itself.
func (r *raft) progressOf(members []uint64) []progress {
	list := make([]progress, 0, len(members))
	for _, id := range members {
		if p := findProgress(r.leader.progress, id); p != nil {
			list = append(list, *p)
			continue
		}
		list = append(list, r.newProgress(id))
	}
	return list
}

// leaderAfterSwitch draws a leader's conclusions from a new configuration, in this order. A transfer to a node that has
// no vote any more is given up (abortTransfer). A lease that another quorum granted is forgotten (readRounds.dropLease).
// With a smaller quorum, more may be committed already (maybeCommit) and more reads confirmed (confirmReads). A leader
// that has no vote any more looks for a successor (maybeHandOver in transfer.go).
func (r *raft) leaderAfterSwitch() {
	if t := r.leader.transferee; t != None && !r.members.isVoter(t) {
		r.abortTransfer()
	}
	r.leader.reads.dropLease()
	r.maybeCommit()
	r.confirmReads()
	r.maybeHandOver()
}

// maybeLeaveJoint appends the change that leaves a joint configuration (an EntryConfChange that holds an empty change,
// encoded), if this node leads, the configuration asks for it (autoLeave), and no change is pending: the one that
// entered it has been applied, the one that leaves it was not appended already. It is not subject to limits: a cluster
// must not stay there because it is busy.
func (r *raft) maybeLeaveJoint() {
	if r.role != StateLeader || !r.members.autoLeave || r.leader.pendingConf > r.log.applied {
		return
	}
	r.appendEntry(EntryConfChange, ConfChange{}.Encode())
}
