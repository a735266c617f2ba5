// Package rafttest runs whole Raft clusters in one thread and virtual time, under one seed, and checks after every step
// that what Raft promises holds.
//
//	seed ----> decisions: who ticks, what is delayed, lost, repeated, cut; which disk forgets, who crashes between
//	           which two effects; what clients propose and read
//	                |
//	                v
//	   node 1 ... node n, each a raft.RawNode, a Disk that loses what was not synced, an application
//	                |
//	                v
//	   after every step: the invariants; at the end: a liveness phase
//
// The same seed gives the same run, event by event: Result.Hash is over all of them. A failure names the invariant and
// prints the command that runs it again.
//
// # Invariants
//
//	election-safety       at most one leader in a term (§5.2)
//	log-matching          entries with the same index and term are equal, and so is what precedes them (§5.3)
//	leader-completeness   a leader has every entry that was committed in earlier terms (§5.4)
//	state-machine-safety  no two nodes apply different entries at one index (§5.4.3)
//	monotone              term and commit index of a node never fall
//	persist-before-send   no vote, acknowledgement or new term is shown before it is durable (doc of package raft)
//	durable-quorum        what is committed is durable on a majority (when the configuration does not change)
//	linearizable-read     a read sees every write acknowledged, and all that any read saw, before it began (§8)
//	liveness              a healed quorum makes progress within a bounded number of ticks
//
// # Traces
//
// A run is a list of decisions (decision.go): node 2 ticks, the newest App from 1 to 3 arrives, node 3 dies after the
// second effect of that. Recorded and written as text (trace.go) it can be read, cut and edited, and played again on
// changed code as far as it applies. Seeds, the helper of all seeded tests, writes the trace of a failure to a file.
//
// Scripts (script.go) are the second half: short texts in the protocol's notation with their output beside them.
package rafttest
