package raft

import "fmt"

// What nodes say to each other. One struct serves all types, so that a message is a flat value that is cheap to copy,
// to compare and to print; the table says which fields a type uses.

// MessageType is the kind of a message.
type MessageType uint8

// The messages. "Answers" go back to where the request came from. A term of zero marks the three requests that are not
// bound to a term: they may be forwarded by anybody who believes to know the leader.
//
//	MsgProp           Entries               propose these (types and payloads only)               term 0
//	MsgApp            Index LogTerm         entries follow the one at (Index, LogTerm) (§5.3)
//	                  Entries Commit Context
//	MsgAppResp        Index                 the log equals the leader's up to Index; or
//	                  Reject Index Hint     no entry (Index, its term) here; Hint and LogTerm say where
//	                  LogTerm Context       the logs may still agree
//	MsgVote           Index LogTerm Force   may I lead Term? my log ends at (Index, LogTerm) (§5.2, §5.4.1)
//	MsgVoteResp       Reject
//	MsgPreVote        as MsgVote            could I lead Term? (dissertation §9.6)
//	MsgPreVoteResp    Reject
//	MsgHeartbeat      Commit Context        I still lead; Commit never exceeds what this follower has acked
//	MsgHeartbeatResp  Context
//	MsgSnap           Snapshot              install this in place of your log (§7)
//	MsgTimeoutNow     -                     hold an election at once (dissertation §3.10)
//	MsgTransferLeader Context               please hand leadership to the node Context            term 0
//	MsgReadIndex      Context               which index must be applied to read? (§6.4)           term 0
//	MsgReadIndexResp  Index Context
const (
	MsgProp MessageType = iota + 1
	MsgApp
	MsgAppResp
	MsgVote
	MsgVoteResp
	MsgPreVote
	MsgPreVoteResp
	MsgHeartbeat
	MsgHeartbeatResp
	MsgSnap
	MsgTimeoutNow
	MsgTransferLeader
	MsgReadIndex
	MsgReadIndexResp
)

var messageNames = [...]string{
	MsgProp: "Prop", MsgApp: "App", MsgAppResp: "AppResp", MsgVote: "Vote", MsgVoteResp: "VoteResp",
	MsgPreVote: "PreVote", MsgPreVoteResp: "PreVoteResp", MsgHeartbeat: "Heartbeat",
	MsgHeartbeatResp: "HeartbeatResp", MsgSnap: "Snap", MsgTimeoutNow: "TimeoutNow",
	MsgTransferLeader: "TransferLeader", MsgReadIndex: "ReadIndex", MsgReadIndexResp: "ReadIndexResp",
}

// String returns the name used in traces.
func (t MessageType) String() string {
	if t == 0 || int(t) >= len(messageNames) {
		return "Unknown"
	}
	return messageNames[t]
}

// Message travels from one node to another. It may be lost, delayed, repeated and overtaken; it must not be altered.
type Message struct {
	Type   MessageType
	Reject bool // an answer: no
	Force  bool // a vote request on the leader's own wish: leader stickiness does not apply

	From uint64
	To   uint64
	Term uint64 // the sender's term; of a pre-vote, the term it would campaign in

	LogTerm uint64
	Index   uint64
	Commit  uint64
	Hint    uint64
	Context uint64 // a round of heartbeats, a batch of reads, or the node leadership is wanted for

	Entries  []Entry
	Snapshot *Snapshot
}

// isResponse reports whether a message answers one of ours.
func (t MessageType) isResponse() bool {
	switch t {
	case MsgAppResp, MsgVoteResp, MsgPreVoteResp, MsgHeartbeatResp, MsgReadIndexResp:
		return true
	}
	return false
}

// fromLeader reports whether only the leader of the message's term sends such messages.
func (t MessageType) fromLeader() bool {
	return t == MsgApp || t == MsgHeartbeat || t == MsgSnap || t == MsgTimeoutNow
}

// isTermless reports whether a message is bound to no term.
func (t MessageType) isTermless() bool {
	return t == MsgProp || t == MsgTransferLeader || t == MsgReadIndex
}

// check finds what is wrong with a message in itself, without regard to any node's state. Nothing that check refuses
// has any effect: not even its term is looked at. It returns nil or an error that wraps ErrBadMessage.
func (m *Message) check() error {
	switch {
	case m.Type == 0 || int(m.Type) >= len(messageNames):
		return fmt.Errorf("%w: unknown type %d", ErrBadMessage, m.Type)
	case m.From == None:
		return fmt.Errorf("%w: %v from nobody", ErrBadMessage, m.Type)
	case m.Type.isTermless() != (m.Term == 0):
		return fmt.Errorf("%w: %v of term %d", ErrBadMessage, m.Type, m.Term)
	case (m.Type == MsgVote || m.Type == MsgPreVote) && m.LogTerm > m.Term:
		return fmt.Errorf("%w: %v of term %d by a log that ends in term %d", ErrBadMessage, m.Type, m.Term, m.LogTerm)
	case m.Type == MsgApp:
		return m.checkEntries()
	case m.Type == MsgSnap:
		return m.checkSnapshot()
	case m.Type == MsgProp:
		return m.checkProposal()
	}
	return nil
}

// checkEntries wants the entries of an append to follow each other and the entry before them: indexes without a gap,
// terms that never fall and never exceed the leader's.
func (m *Message) checkEntries() error {
	index, term := m.Index, m.LogTerm
	if (index == 0) != (term == 0) {
		return fmt.Errorf("%w: append after entry %d of term %d", ErrBadMessage, index, term)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index == 0 || e.Index-1 != index || e.Term < term || e.Term == 0 {
			return fmt.Errorf("%w: entry %d/%d after entry %d/%d", ErrBadMessage, e.Term, e.Index, term, index)
		}
		index, term = e.Index, e.Term
	}
	if term > m.Term {
		return fmt.Errorf("%w: entry of term %d in an append of term %d", ErrBadMessage, term, m.Term)
	}
	return nil
}

// checkSnapshot wants a snapshot that stands for something: an index, a term that its leader can know (not zero, not
// after the message's own), and a configuration that can be (see newMembership; it has a voter). Everything else, a
// missing snapshot included, is an error that wraps ErrBadMessage.
func (m *Message) checkSnapshot() error {
	s := m.Snapshot
	if s == nil || s.Metadata.Index == 0 || s.Metadata.Term == 0 || s.Metadata.Term > m.Term {
		return fmt.Errorf("%w: snapshot without a valid index and term", ErrBadMessage)
	}
	if _, err := newMembership(s.Metadata.ConfState); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrBadMessage, err)
	}
	return nil
}

// checkProposal wants at least one entry, each of a known type, and none that does not decode.
func (m *Message) checkProposal() error {
	if len(m.Entries) == 0 {
		return fmt.Errorf("%w: proposal of nothing", ErrBadMessage)
	}
	for i := range m.Entries {
		switch t := m.Entries[i].Type; t {
		case EntryNormal:
			continue
		case EntryConfChange:
		default:
			return fmt.Errorf("%w: entry of unknown type %d", ErrBadMessage, t)
		}
		if _, err := DecodeConfChange(m.Entries[i].Data); err != nil {
			return fmt.Errorf("%w: %w", ErrBadMessage, err)
		}
	}
	return nil
}
