// Transport: the stores that we talk to, and the calls of the owner.

package transport

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
)

var (
	// ErrClosed: the transport was closed.
	ErrClosed = errors.New("the transport is closed")
	// ErrCut: the other store was cut off by Cut.
	ErrCut = errors.New("the store is cut off")
)

// Handler is the owner of a Transport, which is told what arrives. Its methods are called from many goroutines. The
// context ends when the stream does, also because the transport closes; a method that waits must return then.
type Handler interface {
	// Receive takes messages from a store, in the order in which they were sent; from one store, one call at a time. It
	// may wait: that store's stream waits then, and nobody else. The slice is the handler's.
	Receive(ctx context.Context, from uint64, messages []replica.Message)

	// ReceiveSnapshot reads the chunks of a snapshot and returns nil when all of it is durable here. next waits for the
	// next chunk, which is the handler's; io.EOF: the sender has no more. If the snapshot is not complete, because next
	// has failed, or is not wanted, return an error, whose text the sender is told, and leave nothing behind.
	ReceiveSnapshot(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error

	// Unreachable says that messages to a store were lost. It is called at most once for each pause between attempts.
	Unreachable(ctx context.Context, store uint64)
}

// Resolver knows where stores are. It is asked before each attempt to connect, so an address may change.
type Resolver interface {
	// Address returns host:port.
	Address(ctx context.Context, store uint64) (string, error)
}

// Options of a Transport. ClusterID, StoreID and Resolver must be set; a zero in the rest means the default.
type Options struct {
	ClusterID, StoreID uint64
	Resolver           Resolver
	Network            Network // default: gRPC
	Log                *slog.Logger
	Seed               uint64 // of the jitter between attempts

	QueueMessages int // most messages that wait for one store; default 8192
	QueueBytes    int // most bytes; default 16 MiB
	FrameBytes    int // of messages in a frame; default 1 MiB

	FirstPause     time.Duration // after the first failed attempt; default 20 ms
	LongestPause   time.Duration // after many; default 1 s
	ConnectTimeout time.Duration // of one attempt; default 3 s
	HelloTimeout   time.Duration // within which a stream from another store must say whose it is; default 10 s
	IdleTimeout    time.Duration // after which a stream without messages is closed; default 1 min

	SnapshotBytesPerSecond int           // all that are sent together; default 100 MiB
	SnapshotSends          int           // at once, no more than half of them to one store; default 4
	SnapshotReceptions     int           // at once, no more than half of them from one store; default 4
	SnapshotStall          time.Duration // most time between two chunks of one; default 30 s
	SnapshotFirstPause     time.Duration // of snapshots to a store that has not taken one; default 200 ms
	SnapshotLongestPause   time.Duration // after it has not taken many; default 10 s
}

const (
	// maxPeers bounds the stores that are sent to at once, so that mistaken store ids can't use up memory.
	maxPeers = 1024
	// maxVisitors bounds the streams from other stores, whoever they say they are, and be it nobody: one of messages and one
	// of snapshots for each of so many stores.
	maxVisitors = 2 * maxPeers
)

// Transport sends messages and snapshots to other stores and receives theirs. Make it with New. All methods may be
// called from any goroutine.
type Transport struct {
	options  Options
	handler  Handler
	network  Network
	log      *slog.Logger
	warnings *warnings
	limiter  *rate.Limiter
	sending  *slots        // of snapshots that are being sent
	taking   *slots        // of those that are being received
	reporter chan struct{} // says that there are lost stores to report; capacity 1

	ctx     context.Context // ends with Close
	stop    context.CancelCauseFunc
	running sync.WaitGroup // every goroutine of ours, and every call of a gRPC server into this package

	mu        sync.Mutex // guards all below, and the queues and sessions of all stores
	closed    bool
	peers     map[uint64]*peer
	sessions  map[uint64]*session // the stream from each store
	transfers map[*transfer]bool  // snapshots in either direction
	resting   map[uint64]*rest    // stores that did not take their last snapshot
	cut       map[uint64]bool
	visitors  int      // streams from other stores, and from those who have not said who they are
	lost      []uint64 // stores to be reported to the handler as unreachable
	stats     Stats
}

// New starts a transport. To be found by others over gRPC, Register it.
func New(options Options, handler Handler) *Transport {
	options.setDefaults()
	t := &Transport{
		options:  options,
		handler:  handler,
		network:  options.Network,
		log:      options.Log,
		warnings: newWarnings(options.Log),
		limiter:  rate.NewLimiter(rate.Limit(options.SnapshotBytesPerSecond), snapshotBurstBytes),
		sending:  newSlots(options.SnapshotSends),
		taking:   newSlots(options.SnapshotReceptions),
		reporter: make(chan struct{}, 1),

		peers:     map[uint64]*peer{},
		sessions:  map[uint64]*session{},
		transfers: map[*transfer]bool{},
		resting:   map[uint64]*rest{},
		cut:       map[uint64]bool{},
	}
	t.ctx, t.stop = context.WithCancelCause(context.Background())
	t.running.Go(t.report)
	t.network.join(t)
	return t
}

func (o *Options) setDefaults() {
	if o.Network == nil {
		o.Network = GRPC()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.QueueMessages = cmp.Or(o.QueueMessages, 8192)
	o.QueueBytes = cmp.Or(o.QueueBytes, 16<<20)
	o.FrameBytes = cmp.Or(o.FrameBytes, 1<<20)
	o.FirstPause = cmp.Or(o.FirstPause, 20*time.Millisecond)
	o.LongestPause = cmp.Or(o.LongestPause, time.Second)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 3*time.Second)
	o.HelloTimeout = cmp.Or(o.HelloTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.SnapshotBytesPerSecond = cmp.Or(o.SnapshotBytesPerSecond, 100<<20)
	o.SnapshotSends = cmp.Or(o.SnapshotSends, 4)
	o.SnapshotReceptions = cmp.Or(o.SnapshotReceptions, 4)
	o.SnapshotStall = cmp.Or(o.SnapshotStall, 30*time.Second)
	o.SnapshotFirstPause = cmp.Or(o.SnapshotFirstPause, 200*time.Millisecond)
	o.SnapshotLongestPause = cmp.Or(o.SnapshotLongestPause, 10*time.Second)
}

// Register lets other stores reach this one through g, a server that reads by kv/codec.
func (t *Transport) Register(g grpc.ServiceRegistrar) { registerService(g, t) }

// Send hands messages to the queue of a store and returns at once. Messages to one store arrive in the order in which
// they were handed over, or not at all; what does not leave is counted by reason, and the handler is told Unreachable
// (but not of what a Cut swallows, which would give no sign either). The messages are copied; what they point to is
// shared and must never change.
func (t *Transport) Send(to uint64, messages []replica.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		t.stats.Dropped.Closed += uint64(len(messages))
		return
	case t.cut[to]:
		t.stats.Dropped.Cut += uint64(len(messages))
		return
	}
	for i := range messages {
		t.enqueue(to, &messages[i])
	}
}

// enqueue adds one message to its store's queue, or counts why it can't. The lock is held.
func (t *Transport) enqueue(to uint64, m *replica.Message) {
	if err := checkSendable(m, t.options.StoreID, to); err != nil {
		t.stats.Dropped.Invalid++
		t.log.Error("a raft message can't be sent", "to", to, "region", m.RegionID, "err", err)
		return
	}
	if sizeOf(m) > maxMessageBytes {
		t.stats.Dropped.TooLarge++
		t.log.Error("a raft message is too large to be sent", "to", to, "region", m.RegionID, "bytes", sizeOf(m))
		return
	}
	p := t.peer(to)
	if p == nil {
		t.stats.Dropped.TooMany++
		return
	}
	if !p.queue.add(m) {
		t.stats.Dropped.Full++
		t.noteDropped(p)
		return
	}
	signal(p.ready)
}

// peer returns the peer of a store, with its goroutine; nil if there are too many. The lock is held.
func (t *Transport) peer(store uint64) *peer {
	if p := t.peers[store]; p != nil {
		return p
	}
	if len(t.peers) >= maxPeers {
		return nil
	}
	p := &peer{
		t:     t,
		store: store,
		queue: queue{maxMessages: t.options.QueueMessages, maxBytes: t.options.QueueBytes},
		backoff: backoff{
			first: t.options.FirstPause, most: t.options.LongestPause,
			rand: rand.New(rand.NewPCG(t.options.Seed, store)),
		},
		ready: make(chan struct{}, 1),
		wake:  make(chan struct{}, 1),
	}
	t.peers[store] = p
	t.running.Go(p.run)
	return p
}

// Cut separates this store from another one, as a broken cable would: what would be sent there is dropped without a sign,
// what arrives from there is thrown away, snapshots in either direction are broken off. For tests and demonstrations.
func (t *Transport) Cut(store uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut[store] = true
	if p := t.peers[store]; p != nil {
		t.stats.Dropped.Cut += uint64(p.queue.drop())
		p.hangUp()
	}
	for transfer := range t.transfers {
		if transfer.store == store {
			transfer.abort(ErrCut)
		}
	}
}

// Heal ends what Cut began.
func (t *Transport) Heal(store uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.cut, store)
	delete(t.resting, store)
	t.knock(store)
}

// knock ends the pause before the next attempt to connect to a store: there is reason to believe that it is there. The
// lock is held.
func (t *Transport) knock(store uint64) {
	if p := t.peers[store]; p != nil {
		signal(p.wake)
	}
}

func (t *Transport) isCut(store uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cut[store]
}

// Stats returns the counters.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	for _, p := range t.peers {
		s.WaitingMessages += uint64(p.queue.messages)
		s.WaitingBytes += uint64(p.queue.bytes)
	}
	s.OpenStreams = uint64(len(t.sessions))
	return s
}

// count changes the counters.
func (t *Transport) count(change func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.stats)
}

// Close ends all streams and snapshots, drops what waits, and returns when no goroutine of the transport is left and no
// call of the Handler is under way. A second Close does nothing.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.network.leave(t)
	t.stop(ErrClosed)
	t.running.Wait()
	return nil
}

// begin counts a call of another store as running until the function that it returns is called. Errors: ErrClosed,
// errTooMany.
func (t *Transport) begin() (done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, ErrClosed
	case t.visitors >= maxVisitors:
		t.stats.Refused.TooMany++
		return nil, errTooMany
	}
	t.visitors++
	t.running.Add(1)
	return t.end, nil
}

func (t *Transport) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.visitors--
	t.running.Done()
}

// bound returns a context that ends with ctx, with the transport, or by cancel. cancel must be called.
func (t *Transport) bound(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.ctx, func() { cancel(ErrClosed) })
	return ctx, func(cause error) { stop(); cancel(cause) }
}

// noteDropped is for messages that are lost while nothing has failed: the handler hears of it, unless it has heard of
// trouble with this store within the present pause between attempts. The lock is held.
func (t *Transport) noteDropped(p *peer) {
	if !time.Now().Before(p.quietUntil) {
		t.noteLost(p)
	}
}

// noteLost arranges for the handler to be told that a store is unreachable. The lock is held.
func (t *Transport) noteLost(p *peer) {
	p.quietUntil = time.Now().Add(p.backoff.interval())
	if !slices.Contains(t.lost, p.store) {
		t.lost = append(t.lost, p.store)
	}
	signal(t.reporter)
}

// report tells the handler which stores are unreachable. It has a goroutine of its own, so that neither Send nor a peer
// ever waits for the handler.
func (t *Transport) report() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.reporter:
		}
		t.mu.Lock()
		lost := t.lost
		t.lost = nil
		t.mu.Unlock()
		for _, store := range lost {
			t.handler.Unreachable(t.ctx, store)
		}
	}
}

// signal sets a flag that somebody waits for; a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
