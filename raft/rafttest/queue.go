package rafttest

// Virtual time. Everything that will happen is an event in one queue, ordered by time and, at the same time, by the
// order in which it was put there. Time is a number that costs nothing.

// Queue is a binary heap of events of type E. The zero value is empty.
type Queue[E any] struct {
	heap []queued[E]
	seq  uint64
}

type queued[E any] struct {
	at  int64
	seq uint64
	e   E
}

// Len is how many events there are.
func (q *Queue[E]) Len() int { return len(q.heap) }

func (q *Queue[E]) less(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// Push lets an event happen at a time.
func (q *Queue[E]) Push(at int64, e E) {
	q.seq++
	q.heap = append(q.heap, queued[E]{at: at, seq: q.seq, e: e})
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// Pop takes the next event. There must be one.
func (q *Queue[E]) Pop() (at int64, e E) {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = queued[E]{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return top.at, top.e
		}
		if child+1 < last && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return top.at, top.e
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}
