// peer: the goroutine and the stream for one other store.

package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tinykv/kv/replica"
)

// peer sends to one store. Everything that waits when the stream is free goes out at once, so frames grow by themselves
// when the network is the slow part, and a lone message leaves at once.
type peer struct {
	t     *Transport
	store uint64
	ready chan struct{} // there may be something in the queue; capacity 1
	wake  chan struct{} // try again now; capacity 1

	// Of the peer's goroutine.
	stream outgoing // nil: not connected
	opened time.Time
	told   bool // the log has it that the store can't be reached

	// Guarded by the transport's lock.
	queue      queue
	backoff    backoff
	quietUntil time.Time          // until then the handler need not hear of trouble again
	cancel     context.CancelFunc // ends the stream, or the attempt to open it; nil: there is none
}

// outgoing is a stream to another store.
type outgoing interface {
	// send delivers a frame, and waits while the receiver is slow. The slice is the caller's again afterwards.
	send(messages []replica.Message) error
	// ended is closed when the other side has ended the stream.
	ended() <-chan struct{}
	// err says why it ended, after ended was closed or send has failed.
	err() error
	// close frees everything.
	close()
}

// RefusedError says that another store refused to talk to this one, or to take a snapshot. To try again is of no use
// until somebody has changed something; Reason says what. Busy: it may be of use after a while.
type RefusedError struct {
	Store  uint64
	Busy   bool
	Reason string
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("store %d refused: %s", e.Store, e.Reason) }

// run sends until the transport closes, or nothing was to be sent for a long time.
func (p *peer) run() {
	defer p.disconnect()
	idle := time.NewTimer(p.t.options.IdleTimeout)
	defer idle.Stop()
	for {
		idle.Reset(p.t.options.IdleTimeout)
		select {
		case <-p.t.ctx.Done():
			return
		case <-idle.C:
			if p.retire() {
				return
			}
		case <-p.streamEnded():
			p.fail(p.stream.err())
		case <-p.ready:
			if err := p.deliver(); err != nil {
				p.fail(err)
			}
		}
	}
}

// streamEnded never comes if there is no stream.
func (p *peer) streamEnded() <-chan struct{} {
	if p.stream == nil {
		return nil
	}
	return p.stream.ended()
}

// nothingWaits is true if what was waiting has been dropped since.
func (p *peer) nothingWaits() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return len(p.queue.waiting) == 0
}

// retire takes the peer out of the transport, unless something waits.
func (p *peer) retire() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.queue.messages > 0 {
		return false
	}
	delete(p.t.peers, p.store)
	return true
}

// deliver sends everything that waits, in as few frames as the limit allows.
func (p *peer) deliver() error {
	if p.nothingWaits() {
		return nil
	}
	if err := p.connect(); err != nil {
		return err
	}
	p.t.mu.Lock()
	batch := p.queue.take() // now: what came while we connected goes along
	p.t.mu.Unlock()
	rest := batch
	for len(rest) > 0 {
		n := frameLength(rest, p.t.options.FrameBytes)
		if err := p.stream.send(rest[:n]); err != nil {
			p.finish(batch, rest)
			return err
		}
		p.sent(rest[:n])
		rest = rest[n:]
	}
	p.finish(batch, nil)
	return nil
}

func (p *peer) sent(frame []replica.Message) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	before := p.queue.bytes
	p.queue.release(frame)
	p.t.stats.Sent.Frames++
	p.t.stats.Sent.Messages += uint64(len(frame))
	p.t.stats.Sent.Bytes += uint64(before - p.queue.bytes)
}

// finish gives up the rest of a batch, and its memory back.
func (p *peer) finish(batch, rest []replica.Message) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.stats.Dropped.Unreachable += uint64(len(rest))
	p.queue.release(rest)
	p.queue.recycle(batch)
}

// connect opens the stream if there is none.
func (p *peer) connect() error {
	if p.stream != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(p.t.ctx)
	if !p.setCancel(cancel) {
		cancel()
		return ErrCut
	}
	patience := time.AfterFunc(p.t.options.ConnectTimeout, cancel)
	stream, err := p.open(ctx)
	switch {
	case err != nil && patience.Stop():
		return err
	case err != nil:
		return fmt.Errorf("connect to store %d: no answer within %v: %w", p.store, p.t.options.ConnectTimeout, err)
	}
	p.stream, p.opened, p.told = stream, time.Now(), false
	if !patience.Stop() {
		return fmt.Errorf("connect to store %d: no answer within %v", p.store, p.t.options.ConnectTimeout)
	}
	p.t.count(func(s *Stats) { s.Connected++ })
	p.t.log.Info("connected", "to", p.store)
	return nil
}

func (p *peer) open(ctx context.Context) (outgoing, error) {
	addr, err := p.t.resolve(ctx, p.store)
	if err != nil {
		return nil, err
	}
	return p.t.network.open(ctx, p.t.hello(p.store), addr)
}

// setCancel makes cancel what a Cut uses. False: the store is cut off already.
func (p *peer) setCancel(cancel context.CancelFunc) bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.t.cut[p.store] {
		return false
	}
	p.cancel = cancel
	return true
}

// hangUp ends the stream from outside of the peer's goroutine. The lock is held.
func (p *peer) hangUp() {
	if p.cancel != nil {
		p.cancel()
	}
}

func (p *peer) disconnect() {
	p.t.mu.Lock()
	p.hangUp()
	p.cancel = nil
	p.t.mu.Unlock()
	if p.stream != nil {
		p.stream.close()
		p.stream = nil
	}
}

// fail drops what waits (it would be old when the store is back, and raft sends again what is still wanted), tells the
// handler, and pauses.
func (p *peer) fail(cause error) {
	wasOpen := p.stream != nil
	p.disconnect()
	if p.t.ctx.Err() != nil {
		return
	}
	level := slog.LevelDebug
	if wasOpen || !p.told {
		level = slog.LevelWarn // once for each time that the store is gone
	}
	p.told = true
	pause := p.noteFailure(wasOpen, cause)
	p.t.log.Log(p.t.ctx, level, "not connected, will try again", "to", p.store, "err", cause, "pause", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.t.ctx.Done():
	case <-timer.C:
	case <-p.wake:
	}
}

func (p *peer) noteFailure(wasOpen bool, cause error) (pause time.Duration) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	s := &p.t.stats
	s.Lost++
	if refused := (*RefusedError)(nil); errors.As(cause, &refused) {
		s.RefusedByPeers++
	}
	s.Dropped.Unreachable += uint64(p.queue.drop())
	if wasOpen && time.Since(p.opened) > p.t.options.LongestPause {
		p.backoff.reset() // it was a good stream: this is new trouble
	}
	select {
	case <-p.wake: // of before the failure
	default:
	}
	pause = p.backoff.next()
	if !p.t.cut[p.store] {
		p.t.noteLost(p)
	}
	return pause
}

// resolve finds the address of a store.
func (t *Transport) resolve(ctx context.Context, store uint64) (string, error) {
	addr, err := t.options.Resolver.Address(ctx, store)
	if err != nil {
		return "", fmt.Errorf("look up the address of store %d: %w", store, err)
	}
	return addr, nil
}

// hello is what we say to a store.
func (t *Transport) hello(to uint64) hello {
	return hello{cluster: t.options.ClusterID, from: t.options.StoreID, to: to, version: protocolVersion}
}
