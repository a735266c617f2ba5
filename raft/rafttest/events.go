package rafttest

import "tinykv/raft"

// Virtual time. Everything that will happen is an event in one queue, ordered by time and, at the same time, by the
// order in which it was put there. Time is in microseconds and costs nothing.

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
	seq  uint64
	kind eventKind
	node int
	life int
	msg  *raft.Message
}

// queue is a binary heap of events.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) less(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// pop takes the next event; there is always one, for nodes tick for ever.
func (q *queue) pop() event {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return top
		}
		if child+1 < last && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return top
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}
