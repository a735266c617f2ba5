// Server: what every handler needs, and the three ways in which a handler uses the storage.

package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"tinykv/kv/engine"
	"tinykv/kv/latch"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

// Options of a Server. The zero value is fit for use.
type Options struct {
	Now         func() time.Time // the clock by which pairs expire; nil: time.Now
	Logger      *slog.Logger     // nil: nothing is logged
	Metrics     *Metrics         // nil: nothing is counted
	MaxRequests int              // requests at once in the process, more are told that the store is busy; 0: 4096
	// Unwritten is told when a request met a function that has no body yet but panics: who runs the server should end
	// it then, since what the request held it may hold for ever. nil: that panic ends the process like any other.
	Unwritten func(error)
}

const (
	defaultMaxRequests = 4096
	latchSlots         = 4096
)

// Server serves tikvpb.Tikv over a Storage. Make it with New. Methods may be called from any goroutine.
type Server struct {
	tikvpb.UnimplementedTikvServer // answers for the calls that nobody has written yet

	storage Storage
	latches *latch.Table
	clock   func() time.Time
	log     *slog.Logger
	metrics *Metrics
	room    chan struct{} // one element for each request in progress
	notice  func(error)   // Options.Unwritten
	budget  *budget       // of the memory that answers hold

	stopOnce sync.Once
	stopping chan struct{} // closed when no new request is to be taken
}

// New returns a server over storage. Neither is started by it and neither is closed by it.
func New(storage Storage, options Options) *Server {
	s := &Server{
		storage:  measured{storage},
		latches:  latch.New(latchSlots),
		clock:    options.Now,
		log:      options.Logger,
		metrics:  options.Metrics,
		notice:   options.Unwritten,
		budget:   newBudget(answerBudget),
		stopping: make(chan struct{}),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	if options.MaxRequests == 0 {
		options.MaxRequests = defaultMaxRequests
	}
	s.room = make(chan struct{}, options.MaxRequests)
	return s
}

// Register makes the server's calls reachable through g.
func (s *Server) Register(g grpc.ServiceRegistrar) { tikvpb.RegisterTikvServer(g, s) }

// Stop lets the BatchCommands streams end: each answers what it has taken and takes no more. Clients keep these
// streams open for ever, so without it a graceful stop of the gRPC server would never end. Unary calls are the gRPC
// server's to stop.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// now is the time in seconds since 1970, by which pairs expire. A request asks once.
func (s *Server) now() uint64 { return uint64(s.clock().Unix()) }

// A reader answers from a snapshot. It must not keep it.
type reader func(snap engine.Snapshot, cf engine.CF) error

// A writer says what to write. A nil batch is nothing.
type writer func(cf engine.CF) (*engine.Batch, error)

// A decider says what to write after a look at what there is.
type decider func(snap engine.Snapshot, cf engine.CF) (*engine.Batch, error)

// read runs a request that only reads: it takes one snapshot from the storage, runs f on it, and closes it on every
// path; an error of that Close is not reported, as the answer is there. cfName is as in the request (see
// engine.ParseCF). f gets the snapshot through [interruptible], with ctx bounded by withinLimit, so that an endless
// scan ends when the client has left or its time is up.
// Errors: engine.ErrUnknownCF, those of the storage, those of f.
func (s *Server) read(ctx context.Context, rc *kvrpcpb.Context, cfName string, f reader) error {
	cf, err := engine.ParseCF(cfName)
	if err != nil {
		return err
	}
	ctx, cancel := withinLimit(ctx, rc)
	defer cancel()
	snap, err := s.storage.Snapshot(ctx, rc)
	if err != nil {
		return err
	}
	defer snap.Close()
	return f(interruptible(ctx, snap), cf)
}

// write runs a request that writes without a look at what there is: f says what, and that goes to the storage as one
// batch, by one Write. During the Write its keys are latched against those who look (see latchShared), and on every
// path they are released afterwards. ctx is bounded by withinLimit.
// Errors: engine.ErrUnknownCF, those of f, of ctx, of the storage.
func (s *Server) write(ctx context.Context, rc *kvrpcpb.Context, cfName string, f writer) error {
	cf, err := engine.ParseCF(cfName)
	if err != nil {
		return err
	}
	ctx, cancel := withinLimit(ctx, rc)
	defer cancel()
	batch, err := f(cf)
	if err != nil {
		return err
	}
	release, err := s.latchShared(ctx, batch)
	if err != nil {
		return err
	}
	defer release()
	return s.storage.Write(ctx, rc, batch)
}

// change runs a request that looks at keys and writes what follows from it, as one step: nobody else writes the keys
// between the snapshot and the end of the write. So keys are latched exclusively (see latch.Table.Exclusive) before
// the snapshot is taken, and released, on every path, when all is done. f decides on the snapshot, which is closed
// again before anything is written. A batch that is nil or empty is not written. The write is bound to the term of the
// snapshot (see bind, which decide calls). ctx is bounded by withinLimit.
// Errors: engine.ErrUnknownCF, those of f, of ctx, of the storage.
func (s *Server) change(ctx context.Context, rc *kvrpcpb.Context, cfName string, keys [][]byte, f decider) error {
	cf, err := engine.ParseCF(cfName)
	if err != nil {
		return err
	}
	ctx, cancel := withinLimit(ctx, rc)
	defer cancel()
	release, err := s.latches.Exclusive(ctx, keys...)
	if err != nil {
		return err
	}
	defer release()
	batch, err := s.decide(ctx, rc, cf, f)
	if err != nil || batch == nil || batch.Len() == 0 {
		return err
	}
	return s.storage.Write(ctx, rc, batch)
}

// decide runs f on a snapshot that is closed before anything is written, and binds rc to its term.
func (s *Server) decide(ctx context.Context, rc *kvrpcpb.Context, cf engine.CF, f decider) (*engine.Batch, error) {
	snap, err := s.storage.Snapshot(ctx, rc)
	if err != nil {
		return nil, err
	}
	bind(rc, snap)
	defer snap.Close()
	return f(snap, cf)
}

// latchShared latches the keys that the batch writes.
func (s *Server) latchShared(ctx context.Context, batch *engine.Batch) (release func(), err error) {
	keys := make([][]byte, 0, batch.Len())
	for op := range batch.Ops() {
		if op.Kind == engine.OpDeleteRange {
			return s.latches.SharedAll(ctx)
		}
		keys = append(keys, op.Key)
	}
	return s.latches.Shared(ctx, keys...)
}

// withinLimit bounds ctx by the time that the client allows the request, if it names one.
func withinLimit(ctx context.Context, rc *kvrpcpb.Context) (context.Context, context.CancelFunc) {
	millis := rc.GetMaxExecutionDurationMs()
	if millis == 0 || millis > uint64(time.Hour.Milliseconds()) {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, time.Duration(millis)*time.Millisecond, errTooLong)
}
