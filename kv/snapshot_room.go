// Room for snapshots: what other stores send must not take the last of a disk, or the store could not write its own log and
// would have to stop.

package main

import (
	"context"
	"fmt"

	"tinykv/kv/snapshot"
	"tinykv/kv/transport"
)

// keptRoom is what a snapshot leaves free, in bytes: for the raft log, and what the engines write beside it.
const keptRoom = 256 << 20

// roomy is a store as other stores reach it. It takes the chunks of a snapshot only as long as there is room for them.
type roomy struct {
	transport.Handler
	available func() (bytes uint64, known bool) // on the disk
}

// roomOn tells how much is available on the disk of a path.
func roomOn(path string) func() (bytes uint64, known bool) {
	return func() (uint64, bool) {
		capacity, available := diskSpace(path)
		return available, capacity > 0
	}
}

// ReceiveSnapshot implements transport.Handler. The sender is told why its snapshot was not taken.
func (r roomy) ReceiveSnapshot(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
	return r.Handler.ReceiveSnapshot(ctx, from, func() (snapshot.Chunk, error) {
		if free, known := r.available(); known && free < keptRoom {
			return nil, fmt.Errorf("the disk has only %d MiB left, and %d are kept for what the store itself writes: make room",
				free>>20, keptRoom>>20)
		}
		return next()
	})
}
