// Messages as values and as frames of the wire.
//
// Nothing is copied in either direction but the structs: the data of raft's entries is immutable, and the data in a
// decoded frame belongs to nobody else. Each entry's data has memory of its own then, so an entry that is kept for
// long does not keep the frame it came in.

package transport

import (
	"fmt"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/proto/storepb"
	"tinykv/raft"
)

// toWireType gives the wire's number of each type; 0: not sent as a message. The numbers of the wire never change.
var toWireType = [...]storepb.MessageType{
	raft.MsgProp:           storepb.MessageType_PROPOSE,
	raft.MsgApp:            storepb.MessageType_APPEND,
	raft.MsgAppResp:        storepb.MessageType_APPEND_RESPONSE,
	raft.MsgVote:           storepb.MessageType_VOTE,
	raft.MsgVoteResp:       storepb.MessageType_VOTE_RESPONSE,
	raft.MsgPreVote:        storepb.MessageType_PRE_VOTE,
	raft.MsgPreVoteResp:    storepb.MessageType_PRE_VOTE_RESPONSE,
	raft.MsgHeartbeat:      storepb.MessageType_HEARTBEAT,
	raft.MsgHeartbeatResp:  storepb.MessageType_HEARTBEAT_RESPONSE,
	raft.MsgTimeoutNow:     storepb.MessageType_TIMEOUT_NOW,
	raft.MsgTransferLeader: storepb.MessageType_TRANSFER_LEADER,
	raft.MsgReadIndex:      storepb.MessageType_READ_INDEX,
	raft.MsgReadIndexResp:  storepb.MessageType_READ_INDEX_RESPONSE,
}

// fromWireType is the other direction; 0: unknown.
var fromWireType = func() (types [len(toWireType)]raft.MessageType) {
	for t, wire := range toWireType {
		if wire != 0 {
			types[wire] = raft.MessageType(t)
		}
	}
	return types
}()

// toFrame makes a frame of messages that checkSendable lets pass. It shares the data of their entries. The parts of all
// messages lie in a few slabs, so that the number of allocations hardly grows with the number of messages.
func toFrame(messages []replica.Message) *storepb.Frame {
	entries := 0
	for i := range messages {
		entries += len(messages[i].Raft.Entries)
	}
	wire := wireSlabs{
		messages: make([]storepb.Message, len(messages)),
		entries:  make([]storepb.Entry, entries),
		pointers: make([]*storepb.Entry, entries),
	}
	frame := &storepb.Frame{Messages: make([]*storepb.Message, len(messages))}
	for i := range messages {
		frame.Messages[i] = wire.message(i, &messages[i])
	}
	return frame
}

// wireSlabs is the memory of a frame's messages and entries. Entries are cut off the front.
type wireSlabs struct {
	messages []storepb.Message
	entries  []storepb.Entry
	pointers []*storepb.Entry
}

func (w *wireSlabs) message(i int, m *replica.Message) *storepb.Message {
	to, r := &w.messages[i], &m.Raft
	to.RegionId = m.RegionID
	to.FromPeer, to.ToPeer = m.From.ID, m.To.ID
	to.ConfVer, to.Version = m.Epoch.ConfVer, m.Epoch.Version
	to.Type, to.Reject, to.Force = toWireType[r.Type], r.Reject, r.Force
	to.Term, to.Index, to.LogTerm = r.Term, r.Index, r.LogTerm
	to.Commit, to.Hint, to.Context = r.Commit, r.Hint, r.Context
	to.Entries = w.cut(r.Entries)
	return to
}

func (w *wireSlabs) cut(entries []raft.Entry) []*storepb.Entry {
	n := len(entries)
	if n == 0 {
		return nil
	}
	slab, pointers := w.entries[:n], w.pointers[:n:n]
	w.entries, w.pointers = w.entries[n:], w.pointers[n:]
	for i := range entries {
		e, to := &entries[i], &slab[i]
		to.Type, to.Term, to.Index, to.Data = storepb.EntryType(e.Type), e.Term, e.Index, e.Data
		pointers[i] = to
	}
	return pointers
}

// toMessages makes the values of a frame that came from one store to another; it shares the data of the entries. What a
// raft message of a type may hold is raft's to judge. Everything else that can be wrong is an error here, that names the
// field; then nothing of the frame is to be used.
func toMessages(frame *storepb.Frame, from, to uint64) ([]replica.Message, error) {
	if n := len(frame.GetMessages()); n > maxFrameMessages {
		return nil, fmt.Errorf("messages: %d in a frame, at most %d", n, maxFrameMessages)
	}
	entries := 0
	for i, m := range frame.GetMessages() {
		if err := checkMessage(m); err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
		entries += len(m.Entries)
	}
	messages := make([]replica.Message, len(frame.GetMessages()))
	slab := make([]raft.Entry, entries)
	for i, m := range frame.GetMessages() {
		n := len(m.Entries)
		messages[i] = toMessage(m, slab[:n:n], from, to)
		slab = slab[n:]
	}
	return messages, nil
}

func toMessage(m *storepb.Message, entries []raft.Entry, from, to uint64) replica.Message {
	for i, e := range m.Entries {
		entries[i] = raft.Entry{Term: e.Term, Index: e.Index, Type: raft.EntryType(e.Type), Data: e.Data}
	}
	if len(entries) == 0 {
		entries = nil
	}
	return replica.Message{
		RegionID: m.RegionId,
		From:     region.Peer{ID: m.FromPeer, StoreID: from},
		To:       region.Peer{ID: m.ToPeer, StoreID: to},
		Epoch:    region.Epoch{ConfVer: m.ConfVer, Version: m.Version},
		Raft: raft.Message{
			Type: fromWireType[m.Type], Reject: m.Reject, Force: m.Force,
			From: m.FromPeer, To: m.ToPeer, Term: m.Term,
			LogTerm: m.LogTerm, Index: m.Index, Commit: m.Commit, Hint: m.Hint, Context: m.Context,
			Entries: entries,
		},
	}
}

// toChunk is the chunk of a snapshot that came from another store. What is in it carries its own checks.
func toChunk(wire *storepb.SnapshotChunk) (snapshot.Chunk, error) {
	switch n := len(wire.GetData()); {
	case n == 0:
		return nil, fmt.Errorf("data: missing")
	case n > snapshot.MaxChunkBytes:
		return nil, fmt.Errorf("data: %d bytes, at most %d", n, snapshot.MaxChunkBytes)
	}
	return wire.Data, nil
}

// checkMessage finds what can't be turned into a value.
func checkMessage(m *storepb.Message) error {
	switch {
	case m == nil:
		return fmt.Errorf("missing")
	case m.RegionId == 0:
		return fmt.Errorf("region_id: 0")
	case m.FromPeer == 0:
		return fmt.Errorf("from_peer: 0")
	case m.ToPeer == 0:
		return fmt.Errorf("to_peer: 0")
	case m.Type <= 0 || int(m.Type) >= len(fromWireType) || fromWireType[m.Type] == 0:
		return fmt.Errorf("type: unknown, %d", m.Type)
	case len(m.Entries) > maxEntries:
		return fmt.Errorf("entries: %d of them, at most %d", len(m.Entries), maxEntries)
	}
	for i, e := range m.Entries {
		switch {
		case e == nil:
			return fmt.Errorf("entries[%d]: missing", i)
		case e.Type != storepb.EntryType_COMMAND && e.Type != storepb.EntryType_CONF_CHANGE:
			return fmt.Errorf("entries[%d]: type: unknown, %d", i, e.Type)
		}
	}
	return nil
}
