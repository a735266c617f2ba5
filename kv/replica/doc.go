// Package replica is one peer of one region: a Raft group's member that has a data store behind it. It proposes,
// persists, applies, reads, compacts, sends and installs snapshots, and does none of it itself: it decides, and what
// is to be done comes out as values, Work, which a turn of the store's loop gathers from all its replicas.
//
//	  Tick  Step(Message)  Propose  Read  ChangePeer ...   Installed  SnapshotSent  DataDurable
//	    │        │            │       │        │                │          │            │
//	    ▼        ▼            ▼       ▼        ▼                ▼          ▼            ▼
//	┌──────────────────────────────────────────────────────────────────────────────────────────┐
//	│ Replica:  raft.RawNode · who waits for which entry · which reads · how far the log may go │
//	└──────────────────────────────────────────────────────────────────────────────────────────┘
//	    │ Ready                                                                          ▲ Done
//	    ▼                                                                                │
//	Work:  Revoked │ Immediate │ Log, one sync │ Deferred │ Data │ Answers │ Views │ Streams, Installs, Discards
//
// It reads the log and the data store (raft asks for entries, snapshots are made of states of the engine) and never
// writes to them. There is no goroutine, clock, lock or global randomness in it: the same calls give the same Work.
//
// # Rules
//
// R1 - Admission. A write is proposed only by the leader, if the asker's picture of the region (id, peer, epoch) is
// true and all keys are the region's. What was true when it was proposed may not be when it is applied, so Version
// and keys are compared again there: a write that does not fit changes nothing, on any replica, and its caller gets
// EpochNotMatchError.
//
// R2 - Whose entry. A caller waits for the entry with the index and term of its proposal. That entry is applied: its
// caller gets its result. An entry of a later term is applied: the proposal never will be (StaleCommandError).
//
// R3 - One answer each. Callers stay when leadership is lost, until their entry's fate is known here. One that gives
// up (Cancel), or whose store stops, gets UndeterminedError: the entry may or may not take effect. As long as the
// peer leads in the term of the proposal, giving up is only noted, because the fate will be known soon, and latches
// depend on it.
//
// R4 - Exactly once. What an entry does to the data and the applied position are one batch. The data store need not
// sync it: the log is its redo log, and after a crash applying goes on where the data store says.
//
// R5 - Reads. A read is answered by a leader that had its leadership confirmed after the read came, from a state that
// has applied what was committed then. Readers off the loop may trust a lease instead, as View says.
//
// R6 - Compaction. The log is cut only below what a committed CompactLog allows and the data store has made durable.
//
// R7 - Snapshots sent. Position, region and configuration are read from the state of the engine that is sent. Their
// number is bounded.
//
// R8 - Snapshots received. From the write that accepts one (synced: the log is dropped, and remembers what is to be
// installed) until it is durable in the data store, the peer votes and takes entries, but applies and serves nothing. A
// crash at any point leaves the state before, or a state that installs anew.
//
// # What goes out when
//
// The order of Work's fields is the contract; kv/store turns it into effects:
//
//  1. a lease is withdrawn before a message leaves that might make another leader;
//  2. a promise leaves after the log remembers it (raft, "What must be durable before what is sent");
//  3. an answer follows the data that it tells of;
//  4. a view follows what it says is applied;
//  5. Done follows all of that, and lets raft draw its conclusions.
//
// # Example
//
//	r, err := replica.Open(cfg, record, applied)
//	_, err = r.Propose(id, &request, 0, batch)
//	err = r.Ready(&work)   // raft's Ready is in work
//	...                    // carry it out, in order
//	r.Done()
//	work.Reset()
//
// # What it leaves out
//
// Which replicas there are, births and burials, and the time (kv/store); bytes of commands (kv/command), of the log
// (kv/raftlog) and of snapshots (kv/snapshot); splits and merges; hibernation.
package replica
