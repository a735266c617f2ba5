// Limits: what a message weighs, and which messages can be sent at all.

package transport

import (
	"fmt"

	"tinykv/kv/replica"
	"tinykv/raft"
)

const (
	// messageBytes and entryBytes are what a message and an entry count beside the entries' data, roughly as they are in
	// a frame. An empty one counts, too, so that a limit in bytes is also one in numbers.
	messageBytes = 64
	entryBytes   = 24

	// maxMessageBytes bounds one message. It is far above what raft makes (one command at the very least), and well
	// below what a gRPC server of a store takes in one piece.
	maxMessageBytes = 32 << 20
	// maxEntries bounds the entries of a message, maxFrameMessages the messages of a frame. A sender keeps to them, so
	// more of either was not made by one.
	maxEntries       = 1 << 16
	maxFrameMessages = 1 << 16
)

// sizeOf is what a message counts against every limit in bytes.
func sizeOf(m *replica.Message) int {
	size := messageBytes
	for i := range m.Raft.Entries {
		size += entryBytes + len(m.Raft.Entries[i].Data)
	}
	return size
}

// checkSendable finds what makes a message impossible to send to a store. An error names the field; it is a mistake of
// this process.
func checkSendable(m *replica.Message, from, to uint64) error {
	switch {
	case m.From.StoreID != from:
		return fmt.Errorf("from: store %d, but this is store %d", m.From.StoreID, from)
	case m.To.StoreID != to:
		return fmt.Errorf("to: store %d, but it was to be sent to store %d", m.To.StoreID, to)
	case m.Raft.From != m.From.ID:
		return fmt.Errorf("raft from: %d, but the peer is %d", m.Raft.From, m.From.ID)
	case m.Raft.To != m.To.ID:
		return fmt.Errorf("raft to: %d, but the peer is %d", m.Raft.To, m.To.ID)
	case m.RegionID == 0 || m.From.ID == 0 || m.To.ID == 0:
		return fmt.Errorf("region %d, from peer %d, to peer %d: none may be 0", m.RegionID, m.From.ID, m.To.ID)
	case m.Raft.Type == raft.MsgSnap || m.Raft.Snapshot != nil:
		return fmt.Errorf("raft snapshot: snapshots travel by SendSnapshot")
	case int(m.Raft.Type) >= len(toWireType) || toWireType[m.Raft.Type] == 0:
		return fmt.Errorf("raft type: unknown, %d", m.Raft.Type)
	case len(m.Raft.Entries) > maxEntries:
		return fmt.Errorf("raft entries: %d of them, at most %d", len(m.Raft.Entries), maxEntries)
	}
	for i := range m.Raft.Entries {
		if t := m.Raft.Entries[i].Type; t > raft.EntryConfChange {
			return fmt.Errorf("raft entries[%d] type: unknown, %d", i, t)
		}
	}
	return nil
}
