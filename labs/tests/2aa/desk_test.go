// Package stage2aa_test grades exercise 2aa: leader election, with messages made by hand and with seeded clusters.
//
// desk_test.go holds the rules of the handout and what a failure tells; the workbench is package raftdesk.
package stage2aa_test

import (
	"tinykv/labs/tests/explain"
	"tinykv/labs/tests/raftdesk"
)

// The workbench in short words.
type (
	desk   = raftdesk.Desk
	node   = raftdesk.Node
	option = raftdesk.Option
)

var (
	upTo, logOf     = raftdesk.UpTo, raftdesk.LogOf
	find, spoken    = raftdesk.Find, raftdesk.Spoken
	vote, hardState = raftdesk.Vote, raftdesk.HardState
)

// The rules of the handout 2aa.
var (
	terms = explain.Rule{ID: "INV-2aa.1",
		Says: "a node's term never falls, a later term is entered as a follower, and a message of an earlier one moves " +
			"nothing"}
	oneVote = explain.Rule{ID: "INV-2aa.2",
		Says: "a node gives one vote in a term at most, and it is durable before anybody hears of it"}
	upToDate = explain.Rule{ID: "INV-2aa.3",
		Says: "a vote goes only to a candidate whose log is at least as up to date as the voter's"}
	majority = explain.Rule{ID: "INV-2aa.4",
		Says: "a leader has the votes of a quorum: one for each voter that granted it in this very term"}
	oneLeader = explain.Rule{ID: "INV-2aa.5",
		Says: "a term has at most one leader"}
	timeouts = explain.Rule{ID: "INV-2aa.6",
		Says: "a follower waits ElectionTicks to 2*ElectionTicks-1 ticks, drawn anew for each wait; its leader's word and " +
			"a vote it gives begin the wait again"}
	asking = explain.Rule{ID: "INV-2aa.7",
		Says: "a campaign asks every other voter, shows the end of the log, and names the term it is for"}
	preVote = explain.Rule{ID: "INV-2aa.8",
		Says: "a pre-vote changes neither term nor vote on either side"}
	sticky = explain.Rule{ID: "INV-2aa.9",
		Says: "who hears from a leader helps nobody to replace it, unless the leader itself wishes it (Force)"}
	stepDown = explain.Rule{ID: "INV-2aa.10",
		Says: "a candidate gives up when it cannot win or its term has a leader, and only then"}
	office = explain.Rule{ID: "INV-2aa.11",
		Says: "a new leader opens its term with an empty entry, sends it to all members, and believes nothing older of them"}
	electable = explain.Rule{ID: "INV-2aa.12",
		Says: "only voters campaign, and a leader never does"}
	progress = explain.Rule{ID: "INV-2aa.13",
		Says: "while a quorum can talk, a leader comes about within a few timeouts, and then stays"}
)
