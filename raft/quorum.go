package raft

import "slices"

// Majorities. A configuration decides by the majority of its voters, a joint configuration by the majority of both the
// old and the new voters (§6): whatever is asked here, both must agree.

// voteResult is how an election stands.
type voteResult uint8

const (
	votePending voteResult = iota // undecided: votes are missing
	voteWon
	voteLost // cannot be won any more
)

// majority is the least number of n voters of which two such groups always share a member.
func majority(n int) int { return n/2 + 1 }

// majorityValue returns the largest value that a majority of voters has reached, where value tells how far one is.
// values is scratch space. No voters at all have reached everything: they never hold back the other half of a joint
// configuration.
func majorityValue(values, voters []uint64, value func(id uint64) uint64) uint64 {
	if len(voters) == 0 {
		return ^uint64(0)
	}
	values = values[:0]
	for _, id := range voters {
		values = append(values, value(id))
	}
	slices.Sort(values)
	return values[len(values)-majority(len(values))]
}

// quorumValue returns the largest value that a quorum has reached: match indexes give the index that may be committed,
// rounds of heartbeats the newest round that is confirmed. In a joint configuration a quorum is a majority of voters and
// a majority of outgoing, so the value is one that both have reached (majorityValue of each).
func (c *membership) quorumValue(value func(id uint64) uint64) uint64 {
	var scratch [8]uint64 // no allocation for clusters of the usual size
	return min(majorityValue(scratch[:0], c.voters, value), majorityValue(scratch[:0], c.outgoing, value))
}

// hasQuorum reports whether a quorum says yes.
func (c *membership) hasQuorum(yes func(id uint64) bool) bool {
	return c.quorumValue(func(id uint64) uint64 {
		if yes(id) {
			return 1
		}
		return 0
	}) > 0
}

// tally counts an election: voteWon if a quorum (hasQuorum) granted, voteLost if so many refused that those who did not
// are no quorum any more, votePending otherwise. Ballots of nodes that do not vote count for nothing.
func (c *membership) tally(votes []ballot) voteResult {
	granted := func(id uint64) bool {
		i := findBallot(votes, id)
		return i >= 0 && votes[i].granted
	}
	notRefused := func(id uint64) bool {
		i := findBallot(votes, id)
		return i < 0 || votes[i].granted
	}
	switch {
	case c.hasQuorum(granted):
		return voteWon
	case !c.hasQuorum(notRefused):
		return voteLost
	}
	return votePending
}

// ballot is one voter's answer.
type ballot struct {
	id      uint64
	granted bool
}

func findBallot(votes []ballot, id uint64) int {
	return slices.IndexFunc(votes, func(b ballot) bool { return b.id == id })
}
