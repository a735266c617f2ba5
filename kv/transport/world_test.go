// Worlds for the tests: stores that talk through gRPC on the loopback, or through memory.

package transport

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"tinykv/kv/codec"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; nothing waits that long if all is well.
const patience = 20 * time.Second

// eachNetwork runs a test over both networks.
func eachNetwork(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("memory", func(t *testing.T) { test(t, newWorld(t, new(Memory))) })
	t.Run("grpc", func(t *testing.T) { test(t, newWorld(t, nil)) })
}

// world is a cluster of transports.
type world struct {
	t      testing.TB
	memory *Memory // nil: gRPC

	mu        sync.Mutex
	addresses map[uint64]string
}

func newWorld(t testing.TB, memory *Memory) *world {
	return &world{t: t, memory: memory, addresses: map[uint64]string{}}
}

// Address implements Resolver.
func (w *world) Address(_ context.Context, store uint64) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if addr := w.addresses[store]; addr != "" || w.memory != nil {
		return addr, nil
	}
	return "", fmt.Errorf("store %d has no address", store)
}

func (w *world) setAddress(store uint64, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addresses[store] = addr
}

// store is a running transport with its handler.
type store struct {
	*Transport
	*inbox
	addr  string
	close func()
}

// options are those of a test: short pauses.
func (w *world) options(id uint64) Options {
	o := Options{
		ClusterID: 7, StoreID: id, Resolver: w, Seed: id,
		FirstPause: time.Millisecond, LongestPause: 10 * time.Millisecond,
		SnapshotFirstPause: time.Millisecond, SnapshotLongestPause: 10 * time.Millisecond,
	}
	if w.memory != nil {
		o.Network = w.memory
	}
	return o
}

func (w *world) start(id uint64) *store { return w.startWith(w.options(id)) }

func (w *world) startWith(o Options) *store {
	in := &inbox{open: make(chan struct{})}
	close(in.open)
	in.changed = sync.NewCond(&in.mu)
	s := w.startHandler(o, in)
	s.inbox = in
	return s
}

// startHandler starts a store with a handler that is not an inbox.
func (w *world) startHandler(o Options, h Handler) *store {
	w.t.Helper()
	s := &store{Transport: New(o, h)}
	stopServer := func() {}
	if w.memory == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		server := grpc.NewServer(codec.ServerOption(), grpc.MaxRecvMsgSize(64<<20))
		s.Register(server)
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := server.Serve(listener); err != nil {
				w.t.Error(err)
			}
		})
		stopServer = func() { server.Stop(); serving.Wait() }
		s.addr = listener.Addr().String()
		w.setAddress(o.StoreID, s.addr)
	}
	s.close = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
		stopServer()
	})
	w.t.Cleanup(s.close)
	return s
}

// inbox is a Handler that keeps what it gets.
type inbox struct {
	mu          sync.Mutex
	changed     *sync.Cond
	messages    []replica.Message
	calls       int
	unreachable map[uint64]int
	open        chan struct{} // Receive waits until it is closed
	snapshots   func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error
}

func (in *inbox) Receive(ctx context.Context, _ uint64, messages []replica.Message) {
	in.mu.Lock()
	in.messages = append(in.messages, messages...)
	in.calls++
	in.changed.Broadcast()
	open := in.open
	in.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

func (in *inbox) ReceiveSnapshot(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
	in.mu.Lock()
	receive := in.snapshots
	in.mu.Unlock()
	return receive(ctx, from, next)
}

func (in *inbox) Unreachable(_ context.Context, store uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.unreachable == nil {
		in.unreachable = map[uint64]int{}
	}
	in.unreachable[store]++
	in.changed.Broadcast()
}

func (in *inbox) losses(store uint64) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.unreachable[store]
}

// block lets Receive wait from now on, until the function that is returned is called.
func (in *inbox) block() (unblock func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open = make(chan struct{})
	return sync.OnceFunc(func() { close(in.open) })
}

// waitFor waits until a condition on the inbox holds.
func (in *inbox) waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	late := time.AfterFunc(patience, func() { in.mu.Lock(); in.changed.Broadcast(); in.mu.Unlock() })
	defer late.Stop()
	in.mu.Lock()
	defer in.mu.Unlock()
	for deadline := time.Now().Add(patience); !condition(); in.changed.Wait() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after %v; %d messages in %d calls, unreachable %v", what, patience, len(in.messages), in.calls,
				in.unreachable)
		}
	}
}

// waitForMessages returns what has arrived as soon as it is that many.
func (in *inbox) waitForMessages(t testing.TB, n int) []replica.Message {
	t.Helper()
	in.waitFor(t, fmt.Sprintf("%d messages", n), func() bool { return len(in.messages) >= n })
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.messages[:len(in.messages):len(in.messages)]
}

// await waits for a condition that nobody announces, such as a counter.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s after %v", what, patience)
		}
	}
}

// heartbeat is a message from one store's peer to another's, with a number to know it by.
func heartbeat(from, to, number uint64) replica.Message {
	return replica.Message{
		RegionID: 1,
		From:     region.Peer{ID: 10 + from, StoreID: from},
		To:       region.Peer{ID: 10 + to, StoreID: to},
		Raft:     raft.Message{Type: raft.MsgHeartbeat, From: 10 + from, To: 10 + to, Term: 1, Context: number},
	}
}

// sendOne sends a numbered heartbeat.
func (s *store) sendOne(to, number uint64) {
	s.Send(to, []replica.Message{heartbeat(s.options.StoreID, to, number)})
}

// meet sends heartbeats until they arrive, so that the stream is there, and forgets them.
func (s *store) meet(t testing.TB, other *store) {
	t.Helper()
	const greeting, last = 1 << 40, 1 << 41
	arrived := func(number uint64) bool {
		other.inbox.mu.Lock()
		defer other.inbox.mu.Unlock()
		return slices.Contains(numbers(other.messages), number)
	}
	await(t, "connection", func() bool { s.sendOne(other.options.StoreID, greeting); return arrived(greeting) })
	s.sendOne(other.options.StoreID, last)
	await(t, "last greeting", func() bool { return arrived(last) })
	other.inbox.mu.Lock()
	defer other.inbox.mu.Unlock()
	other.messages, other.calls = nil, 0
}

// waiting is how many messages wait for a store.
func (s *store) waiting(to uint64) int {
	s.Transport.mu.Lock()
	defer s.Transport.mu.Unlock()
	return s.peers[to].queue.messages
}

// numbers are those of the heartbeats that arrived.
func numbers(messages []replica.Message) []uint64 {
	var n []uint64
	for i := range messages {
		n = append(n, messages[i].Raft.Context)
	}
	return n
}

// within bounds a step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
