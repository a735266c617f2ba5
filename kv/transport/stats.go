// Counters.

package transport

// Stats counts what happened since the transport began. It is a value; whoever exports metrics takes one now and then.
type Stats struct {
	Sent, Received Traffic // raft messages
	Dropped        Dropped // messages that were handed to Send and did not leave
	Cut            uint64  // messages that arrived from a store that is cut off, and were thrown away

	Connected      uint64 // streams of ours that were opened
	Lost           uint64 // streams of ours that ended, and attempts that failed
	RefusedByPeers uint64 // those of Lost where the other store refused us: its reason is in the log
	Refused        Refused

	SnapshotsSent     Transfers
	SnapshotsReceived Transfers

	// What there is right now.
	WaitingMessages, WaitingBytes uint64
	OpenStreams                   uint64 // from other stores
}

// Traffic is what went over the raft streams in one direction. Bytes are near to those on the wire: see sizeOf.
type Traffic struct{ Frames, Messages, Bytes uint64 }

// Dropped counts messages by the reason why they did not leave. Raft sends again what is still wanted.
type Dropped struct {
	Full        uint64 // the queue to that store was full
	Unreachable uint64 // the store could not be reached, or the stream broke
	Cut         uint64 // the store is cut off
	TooLarge    uint64 // a message above the limit
	Invalid     uint64 // a message that can't be sent: a mistake of this process, and in the log
	TooMany     uint64 // to more stores at once than there can be
	Closed      uint64 // the transport was closed
}

// Refused counts what other stores began and we ended.
type Refused struct {
	Cluster    uint64 // of another cluster
	Store      uint64 // meant for another store, or from none
	Version    uint64 // of another version of the protocol
	Malformed  uint64 // a frame or chunk that can't be read
	Silent     uint64 // no hello came in time
	TooMany    uint64 // streams beyond those that there can be
	Superseded uint64 // streams whose store opened a new one
}

// Transfers counts snapshots in one direction.
type Transfers struct {
	Done    uint64 // taken by the receiver, as a whole
	Failed  uint64 // broken off by either side or by the network, or refused
	Busy    uint64 // refused because too many were under way; not in Failed
	Chunks  uint64 // of all of them
	Bytes   uint64 // of the chunks
	Ongoing uint64 // right now
}
