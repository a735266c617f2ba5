// Package raft is one member of one Raft group as a pure state machine: messages, ticks and requests go in; what is to
// be written, sent, applied and answered comes out as a value, a Ready. There is no goroutine, clock, lock, file or
// global randomness inside, so the same code runs in a server and, bit for bit repeatable, in a simulation.
//
//	            Tick   Step(Message)   Propose  ReadIndex  TransferLeader ...
//	              |         |             |         |           |
//	              v         v             v         v           v
//	         +-------------------------------------------------------+
//	         |  raft: term, vote, role, log, configuration           |
//	         +-------------------------------------------------------+
//	                                 |
//	                                 v
//	Ready:  HardState Entries Snapshot | Messages | CommittedEntries | ReadStates
//	            write, flush           |   send   |      apply       |   answer
//
// The algorithm is that of the Raft paper ("In Search of an Understandable Consensus Algorithm", extended version),
// cited as §5.2, with what production systems take from Ongaro's dissertation ("Consensus: Bridging Theory and
// Practice"), cited as dissertation §9.6. Files hold one concept each: start with raft.go, then election.go,
// replication.go, commit.go, ready.go; then read.go, snapshot.go, transfer.go, membership.go.
//
// # The loop
//
//	for {
//		// Tick, Step, Propose, ... whatever happened
//		for node.HasReady() {
//			rd, err := node.Ready()       // an error is Storage's own
//			send(rd.Immediate())
//			write(rd.Snapshot, rd.HardState, rd.Entries) // one atomic write; flush if rd.MustSync
//			send(rd.Deferred())
//			apply(rd.CommittedEntries)    // ApplyConfChange for configuration changes
//			answer(rd.ReadStates)         // each once its index is applied
//			node.Advance()
//		}
//	}
//
// # What must be durable before what is sent
//
// A node that crashes comes back with what it made durable and nothing else. It must then still keep every promise that
// another node may have heard. This is the whole contract:
//
//  1. Snapshot, HardState and Entries of a Ready are written in one atomic step, in the order of Readies. A write with
//     MustSync is durable (flushed) before rule 2 counts it as done. (If a store can only write one after the other:
//     Snapshot, Entries, HardState; a restart copes with having lost the end of that list.)
//  2. The messages of Deferred are sent after the write of their own Ready, and of all before it, is durable. They are
//     promises: a vote (§5.2), an acknowledgement of entries or of a snapshot (§5.3), anything that shows a new term.
//  3. The messages of Immediate may be sent at any time, also before the write. A leader's appends promise nothing
//     about its own disk: it counts itself towards a quorum when Advance says that the entries are durable
//     (dissertation §10.2.1). They are immediate only if the leader's term is durable, for two leaders of one
//     term would be the end.
//  4. CommittedEntries are applied after the write of their Ready, in order. Applying needs no flush: the log is the
//     redo log; but the log may be compacted only below what the application has made durable.
//  5. A ReadState is answered from a state to which everything up to its Index was applied.
//  6. Advance comes after 1 and 4 are done. The next Ready comes after Advance.
//
// With Config.AsyncStorage the loop need not wait for the disk. Advance then means "taken over", the next Ready may be
// taken at once, and rule 6 becomes: Persisted(n) after the writes of Readies up to number n are durable (rule 2 still
// holds back Deferred), Applied(i) after the application reached index i. Then a Ready holds only such committed
// entries that are durable here. A Snapshot may overtake committed entries that still wait to be applied: once it is
// installed, drop those it covers.
//
// # Ownership
//
// Nothing that crosses the border of this package is ever written again, by either side. Propose takes its bytes over;
// Step takes over the message's slices, which may at the same time be held by the sender in the same process; Storage's
// slices, and those in a Ready or a Message, are shared and immutable. The log keeps to that when it truncates by going
// on in a new array. So nothing needs to be copied, and a message that waits in a queue never changes.
//
// # Bad input
//
// A message is input from the network. These have no effect whatever, and Step says which it was:
//
//   - ErrNotForUs: it is addressed to another node.
//   - ErrUnknownPeer: an answer, or a request to the leader, from a node outside of the configuration. (Vote requests
//     and appends of unknown nodes are served: they may belong to a later configuration than ours, §6.)
//   - ErrBadMessage: of unknown type; of a term more than 2^32 ahead; entries with a gap, out of order or of a term
//     later than the leader's; a conflict with a committed entry; an append of a second leader in one term; an
//     acknowledgement of entries we do not have; a snapshot without a voter; bytes that are no configuration change.
//
// These are dropped by rule: a snapshot that is not ahead of the commit index; a commit index beyond what is known to
// match; answers to what is not asked any more; any message of an earlier term, whose sender is told the present one.
// A configuration change that would leave no voter is refused when proposed and, should it ever be committed, when
// applied: ErrBadConfChange.
//
// A caller that breaks the order of Ready and Advance meets a panic with ErrReadyTwice or ErrAdvanceWithoutReady.
//
// # What it leaves out
//
// Encoding of messages, the network, files, the application's state and timeouts of requests belong to the caller.
// There is no witness, no flexible quorum, and a follower never commits to an index before it is durable there, only
// learns of it.
package raft
