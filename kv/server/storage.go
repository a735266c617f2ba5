// What the server needs of a store.

package server

import (
	"context"
	"errors"

	"tinykv/kv/engine"
	"tinykv/proto/kvrpcpb"
)

// Storage holds the data of the regions on this store. All methods may be called from any goroutine.
//
// Every call carries the context of the client's request: the region it believes in, with epoch, peer and store. A
// storage that does not agree answers with one of the typed errors of package region, and the client corrects itself.
type Storage interface {
	// Snapshot returns a view of the region that contains every write that was acknowledged before the call.
	// The caller must Close it.
	// Errors: those of package region; region.BusyError when the store is stopping; engine.ErrClosed; that of ctx.
	Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error)

	// Write makes the batch visible and durable as one, and returns nil when it is both. The batch must not be
	// changed until Write returns, and not even then if it returns an error. An empty batch is only checked against the
	// region. If rc names a term, the batch is written in that term of the region's leader or not at all: any other is
	// region.StaleCommandError.
	// Errors: region.UndeterminedError, and then it may or may not be written; the others of package region, or that of
	// ctx, and then nothing was or will be written; those of engine.Engine's Write. A replicated storage takes smaller
	// batches than an engine; beyond, it is engine.ErrTooLarge as well.
	Write(ctx context.Context, rc *kvrpcpb.Context, batch *engine.Batch) error
}

// termed is a Snapshot that knows the term of the region's leader in which it was taken. That of a storage without
// terms does not have the method.
type termed interface {
	Term() uint64
}

// bind binds what is written under rc to the term in which snap was taken. What is decided on the snapshot holds only as
// long as nobody else has led, for the latches of another leader know nothing of ours. Without a term nothing is bound.
func bind(rc *kvrpcpb.Context, snap engine.Snapshot) {
	if t, ok := snap.(termed); ok && rc != nil {
		rc.Term = t.Term()
	}
}

// measured is a Storage that tells of which region and size a batch was that it did not take.
type measured struct{ Storage }

// Write implements Storage. A batch that is too large is a tooLargeError; but not one that deletes a range, for then it is
// what the range holds that is too much.
func (m measured) Write(ctx context.Context, rc *kvrpcpb.Context, batch *engine.Batch) error {
	err := m.Storage.Write(ctx, rc, batch)
	if errors.Is(err, engine.ErrTooLarge) && !deletesRange(batch) {
		return &tooLargeError{regionID: rc.GetRegionId(), size: batch.Size(), err: err}
	}
	return err
}

func deletesRange(batch *engine.Batch) bool {
	for op := range batch.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return true
		}
	}
	return false
}

// tooLargeError: the storage takes no batch of this size. In parts it may.
type tooLargeError struct {
	regionID uint64
	size     int // by engine.Batch.Size
	err      error
}

func (e *tooLargeError) Error() string { return e.err.Error() }
func (e *tooLargeError) Unwrap() error { return e.err }
