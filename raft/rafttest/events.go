package rafttest

import "tinykv/raft"

// What happens in a cluster. Time is in microseconds.

type eventKind uint8

const (
	evTick eventKind = iota + 1
	evDeliver
	evSynced
	evApply
	evRestart
	evSnapReport
	evUnreachable
	evPropose
	evRead
	evNemesis
)

// event happens at a node; those of an earlier life of the node (before a crash) are void, but for
// messages.
type event struct {
	at   int64
	kind eventKind
	node int
	life int
	msg  *raft.Message
}

// queue is the cluster's.
type queue struct{ Queue[event] }

func (q *queue) push(e event) { q.Push(e.at, e) }

func (q *queue) pop() event {
	_, e := q.Pop()
	return e
}
