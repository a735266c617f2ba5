// Package stage2ca_test grades exercise 2ca: snapshots in Raft, from the leader that has compacted its log to the
// follower that installs, acknowledges and goes on.
//
// desk_test.go holds the rules of the handout; the workbench is package raftdesk.
package stage2ca_test

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

// The rules of the handout 2ca.
var (
	sends = explain.Rule{ID: "INV-2ca.1",
		Says: "a follower whose next entry is compacted is sent a snapshot from which the log can go on, and nobody else is"}
	oneAtATime = explain.Rule{ID: "INV-2ca.2",
		Says: "while a snapshot is on its way to a follower it is sent no append and no other snapshot"}
	goesOn = explain.Rule{ID: "INV-2ca.3",
		Says: "after a snapshot was installed or reported, the log goes on right after it; if it was lost, it is sent anew"}
	onlyForward = explain.Rule{ID: "INV-2ca.4",
		Says: "a snapshot never takes back what is committed, and never cuts off a log that holds its last entry"}
	replaces = explain.Rule{ID: "INV-2ca.5",
		Says: "a snapshot that is installed replaces the log, the commit index, the configuration and the state"}
	answers = explain.Rule{ID: "INV-2ca.6",
		Says: "a snapshot of the present leader is answered with the index up to which the logs agree, once it is durable"}
	refuses = explain.Rule{ID: "INV-2ca.7",
		Says: "a snapshot of an earlier term, or one that stands for nothing, changes nothing"}
	compacts = explain.Rule{ID: "INV-2ca.8",
		Says: "a log is compacted only behind a snapshot, and still knows the term of the entry before its first"}
	asksAgain = explain.Rule{ID: "INV-2ca.9",
		Says: "a snapshot that is not ready is asked for again after a sign of life; other errors of Storage are handed up"}
	own = explain.Rule{ID: "INV-2ca.10",
		Says: "a snapshot is nobody else's: what its caller or sender does with its lists later does not show"}
	together = explain.Rule{ID: "INV-2ca.11",
		Says: "a cluster that compacts its logs stays a Raft cluster, whatever is lost, and whoever crashes"}
)
