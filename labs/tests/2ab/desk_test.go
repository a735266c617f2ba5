// Package stage2ab_test grades exercise 2ab: log replication and commit, with messages made by hand and with seeded
// clusters.
//
// desk_test.go holds the rules of the handout and what a failure tells; the workbench is package raftdesk.
package stage2ab_test

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
	upTo, logOf  = raftdesk.UpTo, raftdesk.LogOf
	find, spoken = raftdesk.Find, raftdesk.Spoken
	vote         = raftdesk.Vote
	ack, reject  = raftdesk.Ack, raftdesk.Reject
)

// The rules of the handout 2ab.
var (
	matching = explain.Rule{ID: "INV-2ab.1",
		Says: "an append is accepted if and only if the entry before it is in the log, with its term"}
	conflict = explain.Rule{ID: "INV-2ab.2",
		Says: "from the first entry that conflicts on the log is replaced; without a conflict nothing is cut"}
	vouched = explain.Rule{ID: "INV-2ab.3",
		Says: "an acknowledgement covers what the message vouches for, and nothing behind it"}
	followerCommit = explain.Rule{ID: "INV-2ab.4",
		Says: "a follower takes to be committed what its leader says and the message vouches for, and its commit index " +
			"never falls"}
	quorum = explain.Rule{ID: "INV-2ab.5",
		Says: "a leader commits what a quorum has made durable, itself included, and only if it ends with an entry of " +
			"its own term"}
	appendOnly = explain.Rule{ID: "INV-2ab.6",
		Says: "a leader only appends, with its term and the next index, and nobody replaces what is committed"}
	converge = explain.Rule{ID: "INV-2ab.7",
		Says: "a leader finds where a follower's log agrees, in one round trip for each term in which it does not"}
	oldNews = explain.Rule{ID: "INV-2ab.8",
		Says: "answers that are old, repeated or overtaken move nothing back, and nothing too far"}
	bounds = explain.Rule{ID: "INV-2ab.9",
		Says: "a follower is sent what it lacks, once, in messages of MaxMessageBytes, within its window; in probe one " +
			"at a time"}
	immutable = explain.Rule{ID: "INV-2ab.10",
		Says: "a message that was handed out never changes"}
	agree = explain.Rule{ID: "INV-2ab.11",
		Says: "no two nodes apply different entries at one index, and what is committed stays"}
	progress = explain.Rule{ID: "INV-2ab.12",
		Says: "while a quorum can talk, what is proposed is committed, and followers learn of it with the next heartbeat"}
)
