// Snapshots on their way, on either side.
//
//	SendSnapshot ─ Source.Next ─► rate limit ─► chunk ─ flow control ─► next ─ ReceiveSnapshot
//	             ◄────────────────── taken, busy, refused and why ───────────────────────────
//
// One chunk is in memory on either side, and what the network holds.

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"tinykv/kv/snapshot"
)

// snapshotBurstBytes is how far the rate of snapshots may be exceeded for a moment.
const snapshotBurstBytes = 1 << 20

// ErrSnapshotStalled: nothing moved for Options.SnapshotStall.
var ErrSnapshotStalled = errors.New("the snapshot has stalled")

// errBusy: as many snapshots as allowed are being received.
var errBusy = errors.New("too many snapshots are being received; send it again later")

// Source gives the chunks of a snapshot one after the other, and io.EOF after the last one; see snapshot.Source.
type Source interface {
	Next() (snapshot.Chunk, error)
}

// transfer is a snapshot in progress, in either direction.
type transfer struct {
	store  uint64
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  *time.Timer
	chunks uint64
	bytes  uint64
}

func (x *transfer) abort(cause error) { x.cancel(cause) }

// beginTransfer registers a transfer with a store, so that Cut can break it off, as does a stall: both use cancel,
// which belongs to ctx. endTransfer must be called.
func (t *Transport) beginTransfer(
	ctx context.Context, cancel context.CancelCauseFunc, store uint64,
) (*transfer, error) {
	x := &transfer{store: store, ctx: ctx, cancel: cancel}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, ErrClosed
	case t.cut[store]:
		return nil, ErrCut
	}
	x.stall = time.AfterFunc(t.options.SnapshotStall, func() { x.abort(ErrSnapshotStalled) })
	t.running.Add(1)
	t.transfers[x] = true
	return x, nil
}

// moved notes a chunk.
func (t *Transport) moved(x *transfer, bytes int) {
	x.chunks++
	x.bytes += uint64(bytes)
	x.stall.Reset(t.options.SnapshotStall)
}

func (t *Transport) endTransfer(x *transfer) {
	x.stall.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.transfers, x)
	t.running.Done()
}

// cause turns what failed into the reason why, if we broke it off ourselves.
func (x *transfer) cause(err error) error {
	if err != nil && err != io.EOF && x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return err
}

// count adds a finished transfer to the counters of its direction.
func (x *transfer) count(to *Transfers, err error) {
	to.Ongoing--
	to.Chunks += x.chunks
	to.Bytes += x.bytes
	refused := (*RefusedError)(nil)
	switch {
	case err == nil:
		to.Done++
	case errors.Is(err, errBusy) || errors.As(err, &refused) && refused.Busy:
		to.Busy++
	default:
		to.Failed++
	}
}

// SendSnapshot sends all chunks of a source to a store on a connection of its own, and returns nil when the store has
// taken the snapshot: it is durable there. It waits while as many others are being sent as may be (Options.SnapshotSends),
// and while the store rests because it did not take its last one, and shares the rate of all. Errors: ErrCut, ErrClosed, ErrSnapshotStalled, RefusedError with the store's reason, those of ctx, of the source,
// and of the network; then the store keeps nothing. The source is the caller's to close.
func (t *Transport) SendSnapshot(ctx context.Context, to uint64, source Source) error {
	if err := t.sendSnapshot(ctx, to, source); err != nil {
		return fmt.Errorf("send a snapshot to store %d: %w", to, err)
	}
	return nil
}

func (t *Transport) sendSnapshot(ctx context.Context, to uint64, source Source) error {
	ctx, cancel := t.bound(ctx)
	defer cancel(nil)
	if err := t.awaitRest(ctx, to); err != nil {
		return err
	}
	if err := t.sending.await(ctx, to); err != nil {
		return err
	}
	defer t.sending.free(to)
	x, err := t.beginTransfer(ctx, cancel, to)
	if err != nil {
		return err
	}
	defer t.endTransfer(x)
	t.count(func(s *Stats) { s.SnapshotsSent.Ongoing++ })
	err = x.cause(t.stream(x, source))
	t.count(func(s *Stats) { x.count(&s.SnapshotsSent, err) })
	t.noteRest(to, err)
	return err
}

// rest is the pause before the next snapshot to a store that did not take the last one. Whoever wants it to have one asks
// again at once, and a snapshot is much to read and to send for nothing.
type rest struct {
	backoff backoff
	until   time.Time
}

// awaitRest waits until a store may be sent a snapshot again.
func (t *Transport) awaitRest(ctx context.Context, store uint64) error {
	t.mu.Lock()
	pause := time.Duration(0)
	if r := t.resting[store]; r != nil {
		pause = time.Until(r.until)
	}
	t.mu.Unlock()
	timer := time.NewTimer(max(0, pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// noteRest begins a store's pause, or ends all of them: it has taken a snapshot.
func (t *Transport) noteRest(store uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.resting[store]
	switch {
	case err == nil:
		delete(t.resting, store)
		return
	case errors.Is(err, ErrCut) || r == nil && len(t.resting) >= maxPeers:
		return
	case r == nil:
		first, most := t.options.SnapshotFirstPause, t.options.SnapshotLongestPause
		r = &rest{backoff: backoff{first: first, most: most, rand: rand.New(rand.NewPCG(t.options.Seed, store))}}
		t.resting[store] = r
	}
	r.until = time.Now().Add(r.backoff.next())
}

// stream opens the way and sends the chunks.
func (t *Transport) stream(x *transfer, source Source) error {
	addr, err := t.resolve(x.ctx, x.store)
	if err != nil {
		return err
	}
	out, err := t.network.openSnapshot(x.ctx, t.hello(x.store), addr)
	if err != nil {
		return err
	}
	defer out.close()
	for {
		chunk, err := source.Next()
		if err == io.EOF {
			return out.finish()
		}
		if err != nil {
			return err
		}
		if err := t.sendChunk(x, out, chunk); err == io.EOF {
			return out.finish()
		} else if err != nil {
			return err
		}
	}
}

// sendChunk waits for its share of the rate and sends a chunk.
func (t *Transport) sendChunk(x *transfer, out outgoingSnapshot, chunk snapshot.Chunk) error {
	size := len(chunk)
	for rest := size; rest > 0; rest -= snapshotBurstBytes {
		if err := t.limiter.WaitN(x.ctx, min(rest, snapshotBurstBytes)); err != nil {
			return err
		}
	}
	if err := out.send(chunk); err != nil {
		return err
	}
	t.moved(x, size)
	return nil
}

// receiveSnapshot hands a snapshot from another store to the handler. next returns the chunks as they come, and fails
// when ctx, to which cancel belongs, ends. The error is for the other side: errBusy, or why it was not taken.
func (t *Transport) receiveSnapshot(
	ctx context.Context, cancel context.CancelCauseFunc, from uint64, next func() (snapshot.Chunk, error),
) error {
	if !t.taking.take(from) {
		t.count(func(s *Stats) { s.SnapshotsReceived.Busy++ })
		return errBusy
	}
	defer t.taking.free(from)
	x, err := t.beginTransfer(ctx, cancel, from)
	if err != nil {
		return err
	}
	defer t.endTransfer(x)
	t.count(func(s *Stats) { s.SnapshotsReceived.Ongoing++ })
	err = x.cause(t.handler.ReceiveSnapshot(ctx, from, func() (snapshot.Chunk, error) {
		chunk, err := next()
		if err == nil {
			t.moved(x, len(chunk))
		}
		return chunk, x.cause(err)
	}))
	t.count(func(s *Stats) { x.count(&s.SnapshotsReceived, err) })
	return err
}
