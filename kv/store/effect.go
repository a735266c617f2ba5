// What a store asks its driver to do.

package store

import (
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
)

// Effect is one thing to do. The effects of a turn are carried out one after the other, in their order; a crash may
// come between any two. If one fails (a write, that is; messages may be lost), none of the rest is carried out, and
// Fail is called instead of Done.
//
// A turn looks like this; what there is no need for is left out.
//
//	Publish     leases that were given up
//	Send        messages that promise nothing
//	WriteLog    one write, one sync, for all regions
//	Send        the promises
//	WriteData   what is applied, without a sync
//	Answer      the callers
//	Publish     what may be known now
//	SyncData, Stream, Install, Discard    begun here, done in the background
//	Halt        it is over
type Effect interface{ effect() }

// Publish makes views known to local readers and reporters, each in place of the one of the same region. A view that is
// Gone is the last: forget the region.
type Publish struct{ Views []replica.View }

// Send gives messages to the network, which may lose them, and then says so with Unreachable. It must not wait. The
// slice is the driver's.
type Send struct{ Messages []replica.Message }

// WriteLog writes to the raft log: all of the batch or nothing, and with Synced it is durable before the next effect.
// The batch is the store's own again after Done.
type WriteLog struct {
	Batch      *raftlog.Batch
	Durability engine.Durability
}

// WriteData writes to the data store, Buffered. The batch is the store's own again after Done.
type WriteData struct{ Batch *engine.Batch }

// Answer tells callers what became of their requests. For a Read answered with nil the engine snapshot is taken while
// this effect is carried out; one serves all of them.
type Answer struct{ Answers []replica.Answer }

// SyncData makes durable everything that was written to the data store by the effects before it, and ends with
// DataSynced. At most one is under way.
type SyncData struct{ Token uint64 }

// Stream sends a snapshot to another store and ends with StreamEnded. Source is the driver's to Close, whatever comes.
type Stream replica.Stream

// Install installs a snapshot that was received, and ends with InstallEnded. At most one is under way for each region.
// After a restart it may come again for the same spool, and begins anew.
type Install replica.Install

// Discard removes a spool that nobody needs any more. It may be gone already.
type Discard struct{ Spool string }

// Halt is the last effect of a store: it has failed with Err, or was stopped (nil). Everybody was answered. Tell the
// world if it failed.
type Halt struct{ Err error }

func (Publish) effect()   {}
func (Send) effect()      {}
func (WriteLog) effect()  {}
func (WriteData) effect() {}
func (Answer) effect()    {}
func (SyncData) effect()  {}
func (Stream) effect()    {}
func (Install) effect()   {}
func (Discard) effect()   {}
func (Halt) effect()      {}
