// What a store is told: requests, messages, and the ends of what it had begun.

package store

import (
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// Event is what Handle takes. Nothing in an event may be written to after it was handed over.
//
// An ID is chosen by the driver, unlike any other that still waits for its answer. Each request gets exactly one Answer
// with its ID, in the effects of this turn or of a later one.
type Event interface{ event() }

// RequestContext is the asker's picture of the cluster. Zero means "not said", and can't be wrong; only RegionID must
// be said. A picture that is wrong is answered with ClusterError or one of the errors of package region.
type RequestContext = replica.RequestContext

// Write asks for a batch to be replicated and applied as one. An empty batch is only checked against the region.
//
// Answers: nil, when it is applied here and durable on a quorum; ClusterError or one of the errors of package region,
// or engine.ErrTooLarge, ErrEmptyKey, ErrUnknownCF: it has no effect and never will; region.UndeterminedError: it may
// or may not.
type Write struct {
	ID uint64
	RequestContext
	Term  uint64 // 0, or the only term in which it may be proposed: otherwise region.StaleCommandError
	Batch *engine.Batch
}

// Read asks to read the region's newest state. The answer nil means: the engine holds, from this effect on, every write
// that was acknowledged before the Read. Take the engine snapshot while carrying out the Answer. Errors are those of
// package region, and ClusterError.
type Read struct {
	ID uint64
	RequestContext
}

// Cancel says that the caller of a request does not wait any more. A read is answered with ErrCancelled. A write that
// waits for its fate is answered as it would be, as long as this peer leads in the term of its proposal; when that
// ends, with region.UndeterminedError. So who gets an answer knows that the write will not take effect behind its
// back, or is told that nobody knows. A request that was answered already: nothing happens.
type Cancel struct {
	ID       uint64
	RegionID uint64
}

// Receive is a message from another store.
type Receive struct{ replica.Message }

// SnapshotReceived is a snapshot that arrived as a whole, and is durable, under the name Spool. The spool is the
// store's from now on: it ends with a Discard or an Install of this name, at once or after a restart (Spools).
type SnapshotReceived struct {
	Head  snapshot.Head
	Spool string
}

// StreamEnded reports the end of a Stream: OK if the other store has the whole snapshot. Every Stream must be reported:
// the peer gets nothing else until then, and the number of streams is bounded.
type StreamEnded struct {
	Ticket uint64
	OK     bool
}

// Unreachable says that messages to a store were lost.
type Unreachable struct{ StoreID uint64 }

// InstallEnded reports the end of an Install. With Err nil, everything is durable. Any error fails the store.
type InstallEnded struct {
	RegionID uint64
	Spool    string
	Err      error
}

// DataSynced reports the end of a SyncData.
type DataSynced struct{ Token uint64 }

// TransferLeader asks the leader to hand leadership to another peer. Answered nil when it has begun; whether it worked
// shows in the Views. Errors: those of package region; raft.ErrBadTransfer if To has no vote.
type TransferLeader struct {
	ID uint64
	RequestContext
	To uint64 // a peer's id
}

// ChangePeer asks the leader for a change of the members. Answered nil when it is applied here. Errors: those of
// package region; raft.ErrConfChangePending: ask again later; raft.ErrBadConfChange: not possible.
type ChangePeer struct {
	ID uint64
	RequestContext
	Type raft.ConfChangeType
	Peer region.Peer
}

// Stop ends the store: the next Turn answers all who wait and ends with Halt. No event has any effect any more.
type Stop struct{}

func (Write) event()            {}
func (Read) event()             {}
func (Cancel) event()           {}
func (Receive) event()          {}
func (SnapshotReceived) event() {}
func (StreamEnded) event()      {}
func (Unreachable) event()      {}
func (InstallEnded) event()     {}
func (DataSynced) event()       {}
func (TransferLeader) event()   {}
func (ChangePeer) event()       {}
func (Stop) event()             {}
