// The network of tests: several transports in one process.

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
)

// Memory connects transports of one process, without sockets and without clocks of its own. Frames are handed over by
// the sender's goroutine, so a slow receiver holds up its senders at once. Addresses play no part. The zero value is
// ready.
type Memory struct {
	mu     sync.Mutex
	stores map[uint64]*Transport
}

// Address implements Resolver: there is no such thing as an address here.
func (m *Memory) Address(context.Context, uint64) (string, error) { return "", nil }

func (m *Memory) join(t *Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stores == nil {
		m.stores = map[uint64]*Transport{}
	}
	m.stores[t.options.StoreID] = t
}

func (m *Memory) leave(t *Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stores[t.options.StoreID] == t {
		delete(m.stores, t.options.StoreID)
	}
}

func (m *Memory) find(store uint64) (*Transport, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.stores[store]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("connect to store %d: nobody is there", store)
}

// memoryStream is both ends of a stream: the sender's, and the session at the receiver.
type memoryStream struct{ session *session }

func (m *Memory) open(ctx context.Context, h hello, _ string) (outgoing, error) {
	target, err := m.find(h.to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := target.bound(ctx)
	s, err := target.welcome(ctx, cancel, h)
	if err != nil {
		cancel(err)
		return nil, memoryRefusal(h.to, err)
	}
	return &memoryStream{s}, nil
}

// memoryRefusal is how an error of the receiver looks to the sender; see refusal.
func memoryRefusal(store uint64, err error) error {
	for _, known := range []error{errOtherCluster, errOtherStore, errOtherVersion} {
		if errors.Is(err, known) {
			return &RefusedError{Store: store, Reason: err.Error()}
		}
	}
	return fmt.Errorf("store %d: %w", store, err)
}

func (s *memoryStream) send(messages []replica.Message) error {
	// The sender uses its slice again, the receiver keeps this one.
	if !s.session.receive(append([]replica.Message(nil), messages...)) {
		return s.err()
	}
	return nil
}

func (s *memoryStream) ended() <-chan struct{} { return s.session.ctx.Done() }
func (s *memoryStream) err() error             { return context.Cause(s.session.ctx) }

func (s *memoryStream) close() {
	s.session.cancel(nil)
	s.session.leave()
}

// memorySnapshot is a snapshot on its way: the receiver runs in a goroutine beside the sender.
type memorySnapshot struct {
	to     uint64
	ctx    context.Context // ends also when the receiver breaks off
	cancel context.CancelCauseFunc
	chunks chan snapshot.Chunk
	done   chan struct{} // closed when the receiver is done
	answer error         // then: what it said
}

func (m *Memory) openSnapshot(ctx context.Context, h hello, _ string) (outgoingSnapshot, error) {
	target, err := m.find(h.to)
	if err != nil {
		return nil, err
	}
	if err := target.checkHello(h); err != nil {
		return nil, memoryRefusal(h.to, err)
	}
	s := &memorySnapshot{to: h.to, chunks: make(chan snapshot.Chunk), done: make(chan struct{})}
	s.ctx, s.cancel = target.bound(ctx)
	go func() {
		defer close(s.done)
		s.answer = target.receiveSnapshot(s.ctx, s.cancel, h.from, s.next)
	}()
	return s, nil
}

func (s *memorySnapshot) next() (snapshot.Chunk, error) {
	select {
	case chunk, ok := <-s.chunks:
		if !ok {
			return nil, io.EOF
		}
		return chunk, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

func (s *memorySnapshot) send(chunk snapshot.Chunk) error {
	select {
	case s.chunks <- chunk:
		return nil
	case <-s.done:
		return io.EOF
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *memorySnapshot) finish() error {
	close(s.chunks)
	<-s.done
	switch answer := toAnswer(s.answer); {
	case s.answer == nil:
		return nil
	case answer == nil:
		return s.answer
	default:
		return toRefusal(s.to, answer)
	}
}

func (s *memorySnapshot) close() {
	s.cancel(nil)
	<-s.done
}
