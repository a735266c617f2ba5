// Package stage2ac_test grades exercise 2ac: RawNode and Ready, seen as the program sees them that drives a node.
//
// desk_test.go holds the rules of the handout; the workbench is package raftdesk.
package stage2ac_test

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
	open, panics      = raftdesk.Open, raftdesk.Panics
	voters, logOf     = raftdesk.Voters, raftdesk.LogOf
	entries, find     = raftdesk.Entries, raftdesk.Find
	app, heartbeat    = raftdesk.App, raftdesk.Heartbeat
	show, showEntries = raftdesk.ShowReady, raftdesk.ShowEntries
)

// The rules of the handout 2ac.
var (
	asksOnly = explain.Rule{ID: "INV-2ac.1",
		Says: "HasReady is true if and only if a Ready would hold something, and false while a Ready is out"}
	once = explain.Rule{ID: "INV-2ac.2",
		Says: "each entry, message, snapshot and read state is handed out by one Ready: none is lost, none comes twice"}
	hardState = explain.Rule{ID: "INV-2ac.3",
		Says: "a hard state that changed is in the next Ready, whole; one that did not change is not"}
	mustSync = explain.Rule{ID: "INV-2ac.4",
		Says: "MustSync is set for a new term, a vote, entries or a snapshot, and not for a commit index alone"}
	promises = explain.Rule{ID: "INV-2ac.5",
		Says: "votes, acknowledgements, and whatever shows a term that is not durable, are deferred until the write is"}
	inOrder = explain.Rule{ID: "INV-2ac.6",
		Says: "committed entries are handed out once each, in the order of the log, in portions of MaxApplyBytes"}
	durable = explain.Rule{ID: "INV-2ac.7",
		Says: "nothing is durable or applied before Advance says so"}
	immutable = explain.Rule{ID: "INV-2ac.8",
		Says: "what was handed out never changes, whatever comes in afterwards"}
	restart = explain.Rule{ID: "INV-2ac.9",
		Says: "a restarted node goes on from what is durable, and applies nothing that was applied"}
	handedUp = explain.Rule{ID: "INV-2ac.10",
		Says: "an error of Storage is handed up and changes nothing"}
	called = explain.Rule{ID: "INV-2ac.11",
		Says: "a caller that breaks the order of Ready and Advance meets a panic with the name of the mistake"}
	together = explain.Rule{ID: "INV-2ac.12",
		Says: "a cluster of such nodes stays a Raft cluster, whatever crashes between any two effects"}
)
