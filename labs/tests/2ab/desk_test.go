// Package stage2ab_test grades exercise 2ab: log replication and commit, with messages made by hand and with seeded
// clusters.
//
// desk_test.go holds the rules of the handout and what a failure tells; node_test.go the workbench.
package stage2ab_test

import (
	"fmt"
	"strings"

	"tinykv/labs/tests/explain"
	"tinykv/raft"
	"tinykv/raft/rafttest"
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
		Says: "a follower takes to be committed what its leader says and the message vouches for, and its commit index never falls"}
	quorum = explain.Rule{ID: "INV-2ab.5",
		Says: "a leader commits what a quorum has made durable, itself included, and only if it ends with an entry of its own term"}
	appendOnly = explain.Rule{ID: "INV-2ab.6",
		Says: "a leader only appends, with its term and the next index, and nobody replaces what is committed"}
	converge = explain.Rule{ID: "INV-2ab.7",
		Says: "a leader finds where a follower's log agrees, in one round trip for each term in which it does not"}
	oldNews = explain.Rule{ID: "INV-2ab.8",
		Says: "answers that are old, repeated or overtaken move nothing back, and nothing too far"}
	bounds = explain.Rule{ID: "INV-2ab.9",
		Says: "a follower is sent what it lacks, once, in messages of MaxMessageBytes, within its window; in probe one at a time"}
	immutable = explain.Rule{ID: "INV-2ab.10",
		Says: "a message that was handed out never changes"}
	agree = explain.Rule{ID: "INV-2ab.11",
		Says: "no two nodes apply different entries at one index, and what is committed stays"}
	progress = explain.Rule{ID: "INV-2ab.12",
		Says: "while a quorum can talk, what is proposed is committed, and followers learn of it with the next heartbeat"}
)

// lines cuts a record to its end.
func lines(steps []string) string {
	const last = 16
	if n := len(steps); n > last {
		steps = append([]string{fmt.Sprintf("(%d steps before these)", n-last)}, steps[n-last:]...)
	}
	return strings.Join(steps, "\n")
}

// spoken lists messages in the protocol's notation.
func spoken(ms []raft.Message) string {
	if len(ms) == 0 {
		return "no message"
	}
	var all []string
	for i := range ms {
		all = append(all, rafttest.FormatMessage(&ms[i]))
	}
	return strings.Join(all, "\n")
}
