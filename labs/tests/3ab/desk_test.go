// Package stage3ab_test grades exercise 3ab: membership change, seen only through raft.RawNode and its messages.
//
// The workbench is package raftdesk; desk_test.go holds the rules of the handout.
package stage3ab_test

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

// The rules of the handout 3ab.
var (
	arithmetic = explain.Rule{ID: "INV-3ab.1",
		Says: "a change leads to the configuration that the contract names, or is ErrBadConfChange and changes nothing"}
	oneStep = explain.Rule{ID: "INV-3ab.2",
		Says: "voters change by one in a single step; more at once goes through a joint configuration"}
	whenApplied = explain.Rule{ID: "INV-3ab.3",
		Says: "a configuration decides from the moment it is applied, and not before"}
	oneAtATime = explain.Rule{ID: "INV-3ab.4",
		Says: "a leader appends a change only when every change before it has been applied, also those of earlier leaders"}
	refused = explain.Rule{ID: "INV-3ab.5", Says: "an impossible change is refused when it is proposed, and never in " +
		"a log"}
	both = explain.Rule{ID: "INV-3ab.6", Says: "in a joint configuration a majority of the old and of the new " +
		"voters is needed"}
	leaves = explain.Rule{ID: "INV-3ab.7",
		Says: "the leader, whoever it is, leaves a joint configuration by itself, once; an explicit one stays until it " +
			"is told"}
	follows = explain.Rule{ID: "INV-3ab.8",
		Says: "what follows from a smaller quorum happens when it comes into force: commit, reads, elections"}
	noVote  = explain.Rule{ID: "INV-3ab.9", Says: "a learner is sent the log and counts in no quorum; promoted, it counts"}
	outside = explain.Rule{ID: "INV-3ab.10",
		Says: "who leaves is sent nothing, is no target and no candidate; who stays is known as before; who comes gets " +
			"the log"}
	frozen = explain.Rule{ID: "INV-3ab.11", Says: "a configuration that was handed out is never written again"}
	safety = explain.Rule{ID: "INV-3ab.12", Says: "what Raft promises holds, whatever is asked of it and whatever fails"}
)
