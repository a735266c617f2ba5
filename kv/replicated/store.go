// Store: how it is opened, spoken to, and closed.

package replicated

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/kv/transport"
	"tinykv/raft"
)

// Transport is the way to the other stores.
type Transport interface {
	// Send gives messages to the network, which may lose them. It does not wait. The slice is the transport's.
	Send(to uint64, messages []replica.Message)
	// SendSnapshot returns nil when the other store has the whole snapshot. It reads source and does not close it.
	SendSnapshot(ctx context.Context, to uint64, source transport.Source) error
}

// Options of a Store. Log, Data, Spools and what Connect returns stay the caller's to close, after the store.
type Options struct {
	ClusterID, StoreID uint64

	Log    raftlog.Log
	Data   engine.Engine  // best without a log of its own (open.Options.Unlogged)
	Spools snapshot.Spool // where received snapshots are
	// Connect makes the way to the other stores, by which they also reach s: it is a transport.Handler.
	Connect func(s *Store) Transport

	TickInterval time.Duration  // of raft; 0: 100 ms
	Raft         raft.Config    // timeouts in ticks, how reads are confirmed, switches
	Limits       replica.Limits // of what is kept

	RequestBytes int // requests that may wait for their turn; 0: 64 MiB
	MessageBytes int // messages of other stores that may wait; 0: 64 MiB

	Seed    uint64               // of elections; 0: at random
	Clock   func() time.Duration // nil: one that goes on while the machine sleeps
	Logger  *slog.Logger         // nil: nothing is logged
	Metrics *Metrics             // nil: nothing is counted
	// Failed is told once, when a disk has failed and the store serves nothing any more. It must not wait. May be nil.
	Failed func(error)
}

const (
	defaultRequestBytes = 64 << 20
	defaultMessageBytes = 64 << 20
	// handOverLimit is how long Close waits for other stores to take over the leaderships of this one.
	handOverLimit = 500 * time.Millisecond
)

func (o Options) withDefaults() Options {
	if o.RequestBytes == 0 {
		o.RequestBytes = defaultRequestBytes
	}
	if o.MessageBytes == 0 {
		o.MessageBytes = defaultMessageBytes
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Clock == nil {
		o.Clock = clockReading
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return o
}

// Store is a store that runs. Its methods may be called from any goroutine.
type Store struct {
	opts      Options
	transport Transport
	start     time.Duration // on the clock
	metrics   *Metrics
	log       *slog.Logger

	inbox      *inbox
	views      *views
	background *background
	nextID     atomic.Uint64
	ended      chan struct{} // closed when the loop has ended

	failing sync.Once
	failed  atomic.Pointer[error]
	closing sync.Once
}

// Open reads what is on disk and runs the store. Errors are of one line that says what to do; then nothing runs.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	c, err := store.Open(store.Config{
		ClusterID: o.ClusterID, StoreID: o.StoreID, Log: o.Log, Data: o.Data,
		Rand: rand.New(rand.NewPCG(o.Seed, o.StoreID)), TickInterval: o.TickInterval, Raft: o.Raft, Limits: o.Limits,
	})
	if err != nil {
		return nil, err
	}
	if err := removeLeftovers(o.Spools, c.Spools()); err != nil {
		return nil, err
	}
	s := newStore(o)
	s.transport = o.Connect(s)
	go (&loop{Store: s, core: c, callers: map[uint64]*caller{}}).run()
	return s, nil
}

func newStore(o Options) *Store {
	s := &Store{
		opts: o, start: o.Clock(), metrics: o.Metrics, log: o.Logger,
		inbox: newInbox(o.RequestBytes, o.MessageBytes), views: newViews(), background: newBackground(),
		ended: make(chan struct{}),
	}
	s.metrics.attach(s)
	return s
}

// now is the time since the store's start, on a clock that nobody sets.
func (s *Store) now() time.Duration { return s.opts.Clock() - s.start }

// Receive takes messages of another store. It waits while there is no room for them. Implements transport.Handler, with the
// next two.
func (s *Store) Receive(ctx context.Context, _ uint64, messages []replica.Message) {
	s.metrics.received.Add(float64(len(messages)))
	for i := range messages {
		it := item{event: store.Receive{Message: messages[i]}, kind: message}
		for _, e := range messages[i].Raft.Entries {
			it.bytes += len(e.Data)
		}
		if s.inbox.postWhenRoom(ctx, it) != nil {
			return
		}
	}
}

// ReceiveSnapshot takes a snapshot of another store: it keeps it until it is complete and durable, and then tells the loop.
// Errors: those of next, of the disk, of the snapshot's form; then nothing is left of it.
func (s *Store) ReceiveSnapshot(_ context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
	head, spool, err := s.receiveInto(next)
	if err != nil {
		s.log.Warn("a snapshot did not arrive", "from_store", from, "err", err)
		return err
	}
	s.metrics.snapshots.WithLabelValues("received").Inc()
	s.report(store.SnapshotReceived{Head: head, Spool: spool})
	return nil
}

// Unreachable notes that messages to a store were lost.
func (s *Store) Unreachable(_ context.Context, storeID uint64) {
	s.report(store.Unreachable{StoreID: storeID})
}

// report tells the loop what it must hear.
func (s *Store) report(e store.Event) { _ = s.inbox.post(item{event: e}) } // closed: nobody is left to care

// Views returns what is known of this store's regions, in the order of their ids.
func (s *Store) Views() []replica.View { return s.views.all() }

// Changed returns a channel that is closed when a leader, an epoch, or the list of regions has changed since the call.
func (s *Store) Changed() <-chan struct{} { return *s.views.changed.Load() }

// Failure is why the store serves nothing any more, or nil.
func (s *Store) Failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// broken tells the world, once, that a disk has failed.
func (s *Store) broken(err error) {
	s.failing.Do(func() {
		s.failed.Store(&err)
		s.metrics.broken.Set(1)
		s.log.Error("a disk failed, the store serves nothing any more: see to the disk, then start it again", "err", err)
		s.opts.Failed(err)
	})
}

// Close hands leadership to other stores if they take it soon, answers all who wait, and returns when nothing runs any
// more. A second Close does nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), handOverLimit)
		s.handOver(ctx)
		cancel()
		s.report(store.Stop{})
		<-s.ended
		s.background.stop()
	})
}

// handOver asks another peer of each region that this store leads to lead it, and waits until they do.
func (s *Store) handOver(ctx context.Context) {
	for {
		changed, leading := s.Changed(), false
		for _, v := range s.Views() {
			if to, ok := successor(v); ok {
				leading = true
				if s.TransferLeader(ctx, v.Region.ID, to.ID) != nil {
					return
				}
			}
		}
		if !leading {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		}
	}
}

// successor is a peer that could lead in the place of this one. False: it does not lead, or is alone.
func successor(v replica.View) (region.Peer, bool) {
	if !v.Leads() {
		return region.Peer{}, false
	}
	for _, p := range v.Region.Peers {
		if p != v.Peer {
			return p, true
		}
	}
	return region.Peer{}, false
}
