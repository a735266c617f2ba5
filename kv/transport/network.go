// Network: what carries frames and chunks. There are two, gRPC and memory.

package transport

import (
	"context"

	"tinykv/kv/snapshot"
)

// Network is what a Transport sends through: GRPC() or a Memory.
type Network interface {
	// open begins a stream of raft messages, whose life ends with ctx. A refused hello may show only later.
	open(ctx context.Context, h hello, addr string) (outgoing, error)
	// openSnapshot begins to send a snapshot, which is broken off when ctx ends.
	openSnapshot(ctx context.Context, h hello, addr string) (outgoingSnapshot, error)

	// join and leave are called when a transport begins and ends.
	join(t *Transport)
	leave(t *Transport)
}

// outgoingSnapshot is a snapshot on its way to another store.
type outgoingSnapshot interface {
	// send delivers a chunk, and waits while the receiver is slow. io.EOF: the receiver has answered already.
	send(chunk snapshot.Chunk) error
	// finish says that all was sent, or that nothing more will be, and returns the answer: nil if the receiver has taken
	// the snapshot, RefusedError if it has not.
	finish() error
	// close frees everything, whatever the state.
	close()
}
