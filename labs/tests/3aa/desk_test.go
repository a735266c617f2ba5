// Package stage3aa_test grades exercise 3aa: leadership transfer, seen only through raft.RawNode and its messages.
//
// The workbench is package raftdesk; desk_test.go holds the rules of the handout.
package stage3aa_test

import (
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
)

// The workbench in short words.
type (
	desk = raftdesk.Desk
	node = raftdesk.Node
)

var (
	cluster, with         = raftdesk.NewCluster, raftdesk.With
	voters, upTo          = raftdesk.Voters, raftdesk.UpTo
	find                  = raftdesk.Find
	add, learner, removal = raftdesk.AddVoter, raftdesk.AddLearner, raftdesk.Remove
	change                = raftdesk.Change
)

// The rules of the handout 3aa.
var (
	goes = explain.Rule{ID: "INV-3aa.1",
		Says: "leadership goes to the voter that was asked for, without waiting for an election timeout"}
	wholeLog = explain.Rule{ID: "INV-3aa.2",
		Says: "a node is told to campaign only when it has the leader's whole log, and is brought up to date if it has not"}
	noProposals = explain.Rule{ID: "INV-3aa.3", Says: "while leadership is handed over the leader appends no proposal"}
	givenUp     = explain.Rule{ID: "INV-3aa.4",
		Says: "a transfer that is not done after an election timeout is given up, and the leader takes proposals again"}
	wishes = explain.Rule{ID: "INV-3aa.5",
		Says: "the last wish counts: another target replaces the first, the same one changes nothing, the leader itself " +
			"ends it"}
	targets = explain.Rule{ID: "INV-3aa.6", Says: "only a voter is a target; a wish that can't be served is refused " +
		"by name"}
	passed = explain.Rule{ID: "INV-3aa.7", Says: "a follower passes the wish on to the leader it knows"}
	obeyed = explain.Rule{ID: "INV-3aa.8",
		Says: "TimeoutNow is obeyed by a follower with a vote, from the leader it follows, and by nobody else"}
	overrides = explain.Rule{ID: "INV-3aa.9",
		Says: "the node that was told campaigns in the next term at once: no pre-vote, and nobody sticks to the old leader"}
	lease = explain.Rule{ID: "INV-3aa.10",
		Says: "a leader trusts no lease while it hands over, nor in this term after it told a node to campaign"}
	successor = explain.Rule{ID: "INV-3aa.11",
		Says: "a leader that lost its vote leads on until a voter has its whole log, and hands over to that one"}
	safety = explain.Rule{ID: "INV-3aa.12", Says: "what Raft promises holds, whatever is asked of it and whatever fails"}
)
