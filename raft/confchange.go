package raft

import (
	"encoding/binary"
	"fmt"
)

// What a change of the configuration looks like, as a value and as the bytes of a log entry. What it does is in
// membership.go.

// ConfChangeType is what is done with one node.
type ConfChangeType uint8

const (
	// ConfChangeAddNode makes the node a voter; a learner is promoted.
	ConfChangeAddNode ConfChangeType = iota + 1
	// ConfChangeAddLearner makes the node a learner; a voter is demoted.
	ConfChangeAddLearner
	// ConfChangeRemoveNode takes the node out. Its id must never come back with another log.
	ConfChangeRemoveNode
)

// String returns the name used in traces.
func (t ConfChangeType) String() string {
	switch t {
	case ConfChangeAddNode:
		return "add"
	case ConfChangeAddLearner:
		return "learner"
	case ConfChangeRemoveNode:
		return "remove"
	}
	return "unknown"
}

// ConfChangeSingle changes one node.
type ConfChangeSingle struct {
	Type   ConfChangeType
	NodeID uint64
}

// ConfChangeTransition says whether a change goes through a joint configuration (§6; dissertation §4.3).
type ConfChangeTransition uint8

const (
	// ConfChangeAuto takes the single step (dissertation §4.1) if at most one voter comes or goes, and joint consensus,
	// left automatically, otherwise.
	ConfChangeAuto ConfChangeTransition = iota
	// ConfChangeJointImplicit enters a joint configuration that the leader leaves by itself.
	ConfChangeJointImplicit
	// ConfChangeJointExplicit enters a joint configuration that stays until an empty change is proposed.
	ConfChangeJointExplicit
)

// ConfChange is one step from a configuration to the next. With no Changes it leaves the joint configuration.
type ConfChange struct {
	Transition ConfChangeTransition
	Changes    []ConfChangeSingle
	Context    []byte // the application's own
}

// leavesJoint reports whether this is the step out of a joint configuration.
func (cc *ConfChange) leavesJoint() bool { return len(cc.Changes) == 0 }

// Encode returns the change as the Data of an entry:
//
//	transition u8 | number of changes uvarint | (type u8, node id uvarint)* | context: the rest
//
// Leaving a joint configuration without a context is the empty string of bytes.
func (cc ConfChange) Encode() []byte {
	if cc.leavesJoint() && cc.Transition == ConfChangeAuto && len(cc.Context) == 0 {
		return nil
	}
	b := []byte{byte(cc.Transition)}
	b = binary.AppendUvarint(b, uint64(len(cc.Changes)))
	for _, c := range cc.Changes {
		b = append(b, byte(c.Type))
		b = binary.AppendUvarint(b, c.NodeID)
	}
	return append(b, cc.Context...)
}

// DecodeConfChange reads what Encode wrote. Anything else is ErrBadConfChange.
func DecodeConfChange(b []byte) (ConfChange, error) {
	if len(b) == 0 {
		return ConfChange{}, nil
	}
	cc := ConfChange{Transition: ConfChangeTransition(b[0])}
	n, rest, ok := takeUvarint(b[1:])
	if !ok || cc.Transition > ConfChangeJointExplicit || n > uint64(len(rest)) {
		return ConfChange{}, fmt.Errorf("%w: does not decode", ErrBadConfChange)
	}
	for range n {
		var c ConfChangeSingle
		if len(rest) == 0 {
			return ConfChange{}, fmt.Errorf("%w: cut short", ErrBadConfChange)
		}
		c.Type = ConfChangeType(rest[0])
		if c.NodeID, rest, ok = takeUvarint(rest[1:]); !ok {
			return ConfChange{}, fmt.Errorf("%w: cut short", ErrBadConfChange)
		}
		cc.Changes = append(cc.Changes, c)
	}
	if len(rest) > 0 {
		cc.Context = append([]byte(nil), rest...)
	}
	return cc, nil
}

func takeUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
