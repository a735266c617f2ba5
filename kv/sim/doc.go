// Package sim runs whole clusters of stores in one thread and virtual time, under one seed, and checks after every step
// that what the replicated store promises holds.
//
//	seed ───► decisions: who crashes at which effect, stands still, is cut off; which disk is slow, full, rotten;
//	            │        what clients call, and where
//	            ▼
//	clients ⇄ store 1 ... store n     each a store.Store, as a server runs it, and its two disks
//	            │  effects, one by one: a crash may come between any two
//	            ▼
//	     network: messages, streams of snapshots
//	            │
//	            ▼
//	after every step: the invariants; at the end: liveness, equal replicas, histories
//
// It is the bigger sister of raft/rafttest: the same seeds, flags, traces, and "sometimes" (Result.Saw).
//
//	res := sim.Run(17, sim.Options{Favour: sim.FavourSnapshots})   // a run
//	sim.Seeds(t, sim.World{...})                                    // a test: many runs, failures kept and replayed
//	d := sim.NewDesk(t, sim.Options{})                              // a story, step by step
//
// # Invariants
//
//	one-answer            every request is answered exactly once, and soon if it was cancelled, or its connection breaks
//	answers               an error is of a documented kind; reads and writes are not mixed up
//	acknowledged-applied  a write that was acknowledged is applied where it was
//	refused-applied       a write whose caller was told "never" is never applied
//	applied-once          no write is applied twice
//	apply-order           entries are applied in order, none is left out
//	state-machine-safety  no two stores apply different entries at one index (Raft §5.4.3)
//	election-safety       at most one leader in a term (§5.2)
//	replicas-equal        the data of a store is what the entries up to its applied position make, byte by byte
//	swap-atomic           between what a swap reads and what it writes nothing else is written
//	atomic-batch          nobody sees a part of a batch
//	fresh                 who holds a lease, or answers a read, has applied all that was acknowledged before
//	linearizable          the calls on each key could have happened one after the other (porcupine)
//	history-undecided     the checker gave up: make the run shorter
//	persist-before-send   no vote, acknowledgement or new term is shown before it is durable
//	durable-quorum        what is applied is durable on a majority
//	durable               a restart finds what was durable: term, vote, log, data; and a log as it was once written
//	log-kept              the log keeps every entry that the data store might lose
//	monotone              term and applied position never fall
//	published-applied     a view promises no more than what is applied
//	one-lease             no two leases hold at the same time
//	fail-stop             after a disk failed nothing is written, sent or acknowledged
//	data-removed          a store without a peer has no data, and the peer does not come back
//	snapshot              a good snapshot is accepted and installed, a damaged one refused
//	snapshots-closed      no state of the engine is held for ever
//	disk                  what is read is what was written
//	rest                  a store that is asked nothing comes to rest
//	bounded               snapshots under way, logs, spools and those who wait stay within their limits
//	ticks                 a store that was called wants to be called again later
//	address               messages go to stores that there are
//	halt                  a store ends only if it was asked to, or its disks fail
//	restart               a store whose disks are sound starts
//	liveness              a healed quorum makes progress within a bounded number of ticks
//	converge              then all replicas come to the same state, and nobody waits
//
// # How real it is
//
// Time: a turn of a store's loop takes none, a sync takes some, and while it does, events wait in the inbox. In some lives
// of a store the loop is interrupted now and then, between any two effects: what it has sent overtakes what it publishes
// next, and readers, who do not ask the loop, read in between. Clocks drift within what leases bear, most often as far as
// that if a world is about clocks, or jump if nobody relies on them. A process may stand still.
//
// Disks: mem.Disk loses a suffix of what was not synced and tears the last write. The data of a SyncData is durable when it
// begins, its end is told later: so the store may count on no more than it asked for.
//
// Clients: those who give up in time do not know what became of a write; it stays unknown in the history. A refusal that
// says "never" is believed, and held against the store. Values are unique.
//
// What it leaves out: a second region (package store has tests of that); goroutines, sockets, encodings of messages, real
// engines (tests of real processes are for these).
package sim
