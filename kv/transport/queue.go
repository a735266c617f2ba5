// The queue of a peer: what waits to be sent, bounded in messages and bytes.

package transport

import "tinykv/kv/replica"

// queue is filled by Send and emptied by the peer's goroutine. It is no longer than its limits, where what was taken
// and is still being sent counts as well. The transport's lock guards it.
type queue struct {
	maxMessages, maxBytes int

	waiting         []replica.Message
	spare           []replica.Message // memory for waiting, while what was waiting is being sent
	messages, bytes int               // of what waits and of what is being sent
}

// add appends a message if there is room. A message that is larger than the whole queue may go alone.
func (q *queue) add(m *replica.Message) bool {
	size := sizeOf(m)
	if q.messages > 0 && (q.messages >= q.maxMessages || q.bytes+size > q.maxBytes) {
		return false
	}
	q.messages++
	q.bytes += size
	q.waiting = append(q.waiting, *m)
	return true
}

// take returns all that waits, in order. It stays within the limits until it is released.
func (q *queue) take() []replica.Message {
	batch := q.waiting
	q.waiting, q.spare = q.spare, nil
	return batch
}

// release makes room: these messages of a batch were sent, or given up.
func (q *queue) release(messages []replica.Message) {
	q.messages -= len(messages)
	for i := range messages {
		q.bytes -= sizeOf(&messages[i])
	}
}

// recycle takes the memory of a batch back, once all of it was released.
func (q *queue) recycle(batch []replica.Message) {
	clear(batch) // the data of entries must not live on here
	q.spare = batch[:0]
}

// drop gives up all that waits and returns how much it was.
func (q *queue) drop() int {
	n := len(q.waiting)
	q.release(q.waiting)
	clear(q.waiting)
	q.waiting = q.waiting[:0]
	return n
}

// frameLength is how many messages of a batch go into the next frame: as many as fit into maxBytes, at least one.
func frameLength(batch []replica.Message, maxBytes int) int {
	bytes := 0
	for i := range batch {
		bytes += sizeOf(&batch[i])
		if i > 0 && (bytes > maxBytes || i == maxFrameMessages) {
			return i
		}
	}
	return len(batch)
}
