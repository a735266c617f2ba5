// What a store counts.

package store

import "tinykv/kv/replica"

// Stats are counts since Open.
type Stats struct {
	Events    uint64 // taken by Handle
	Turns     uint64 // that had effects
	Proposals uint64 // of clients, that raft took
	Reads     uint64 // that were not refused at once

	MessagesSent     uint64
	MessagesReceived uint64 // the refused ones among them
	LogWrites        uint64
	LogSyncs         uint64
	DataWrites       uint64
	DataSyncs        uint64
	SnapshotsSent    uint64 // streams begun
	SnapshotsTaken   uint64 // received, and accepted to be installed

	// Refused counts messages and snapshots that had no effect, by reason.
	Refused [replica.NumReasons]uint64

	Peers int // on this store, now
}
