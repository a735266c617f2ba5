// A server: its parts, put together and taken apart again. This file has what all servers share, and the standalone one;
// serve_replicated.go has the store of a cluster of several.
//
//	start:  ports ─► identity, records, engine ─► scheduler ─► storage, gRPC, status page ─► known to scheduler ─► ready
//	stop:   no new requests ─► those in flight end ─► reports, sweep ─► scheduler ─► write queue ─► engine
//
// The ports come first, because whoever can't have them must not have touched the disk.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"tinykv/kv/codec"
	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/engine/open"
	"tinykv/kv/server"
	"tinykv/kv/standalone"
	"tinykv/scheduler/client"
	scheduler "tinykv/scheduler/server"
)

// serveOptions say how to run a server. dir, engine and the three addresses must be set; port 0 means any free one.
type serveOptions struct {
	dir, engine                     string
	addr, schedulerAddr, statusAddr string
	advertiseHost                   string        // "": the hosts of the addresses
	sweepInterval                   time.Duration // 0: expired pairs stay on disk
	log                             *slog.Logger  // nil: nothing is logged
	onFailure                       func(error)   // is told at once when running.failed gets an error; may be nil

	// Of a store of a cluster of several. It has no scheduler of its own.
	storeID    uint64
	peers      peers // empty: a standalone store, or one that joins
	joins      bool  // a cluster that is there already
	schedulers []string
	tick       time.Duration // of raft; 0: 100 ms
	reads      string        // readsLease or readsIndex; "": readsLease
	faults     bool          // take orders to break cables
	cutOff     []uint64      // stores to which the cable is broken from the start
}

// How a store makes sure that it leads before it answers a read.
const (
	readsLease = "lease"
	readsIndex = "index"
)

// isReplicated tells whether the store is one of several.
func (o *serveOptions) isReplicated() bool { return len(o.peers) > 0 || o.storeID != 0 || o.joins }

// running is a server that serves.
type running struct {
	storeAddr, schedulerAddr, statusAddr string // as clients dial them
	clusterID                            uint64
	failed                               chan error // gets an error if a part of the server ended by itself
	onFailure                            func(error)

	log     *slog.Logger
	metrics *metrics
	health  *health.Server
	undo    []func(ctx context.Context) error // takes the parts apart, the last one first
}

// startServer runs a server and returns when it serves and is known to the scheduler. ctx bounds only the start.
// Errors are of one line that says what to do; then nothing runs.
func startServer(ctx context.Context, o serveOptions) (_ *running, err error) {
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &running{log: o.log, onFailure: o.onFailure, failed: make(chan error, 3), metrics: newMetrics(), health: health.NewServer()}
	defer func() {
		if cause := recover(); cause != nil {
			text, ok := server.Unwritten(cause)
			if !ok {
				panic(cause)
			}
			err = fmt.Errorf("the start met a hole: %s", text)
		}
		if err != nil {
			limit, cancel := context.WithTimeout(context.Background(), stopLimit)
			defer cancel()
			_ = r.close(limit) // err says more
		}
	}()
	if o.isReplicated() {
		err = r.startReplicated(ctx, o)
	} else {
		err = r.startStandalone(ctx, o)
	}
	if err != nil {
		return nil, withRoom(err)
	}
	return r, nil
}

// startStandalone runs a store that is its own cluster.
func (r *running) startStandalone(ctx context.Context, o serveOptions) error {
	ports, err := r.listen(o)
	if err != nil {
		return err
	}
	dir, err := datadir.Open(o.dir, datadir.Wanted{Engine: o.engine})
	if err != nil {
		return err
	}
	// Both kinds of files are looked at before either is written.
	records, err := r.openRecords(dir)
	if err != nil {
		return err
	}
	db, err := r.openEngine(dir.Engine(), o, open.Options{Logger: o.log})
	if err != nil {
		return err
	}
	if err := r.startScheduler(records, ports.scheduler); err != nil {
		return err
	}
	m, err := r.join(ctx, dir, db)
	if err != nil {
		return err
	}
	r.clusterID = m.ids.ClusterID
	store := r.openStore(db, m)
	service := r.startService(store, ports.store)
	r.startStatus(ports.status, r.standaloneStatus(o, m))
	if err := m.announce(ctx); err != nil {
		return err
	}
	r.inBackground(m.report)
	if o.sweepInterval > 0 {
		r.inBackground(func(ctx context.Context) { service.SweepEvery(ctx, o.sweepInterval, store.Contexts) })
	}
	if r.metrics.failed() == nil {
		r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return nil
}

// close stops the server: requests in flight end as long as ctx allows, everything else is let go of in order. It
// returns what went wrong meanwhile.
func (r *running) close(ctx context.Context) error {
	var errs []error
	for _, undo := range slices.Backward(r.undo) {
		errs = append(errs, undo(ctx))
	}
	r.undo = nil
	return errors.Join(errs...)
}

func (r *running) onClose(undo func(ctx context.Context) error) { r.undo = append(r.undo, undo) }

// inBackground runs f until the server stops.
func (r *running) inBackground(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	r.onClose(func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// fail reports that a part ended by itself.
func (r *running) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
	if r.onFailure != nil {
		r.onFailure(err)
	}
}

// portTaken begins the error of a port that can't be had.
const portTaken = "cannot listen"

type ports struct{ store, scheduler, status net.Listener }

// listen takes all ports, or none.
func (r *running) listen(o serveOptions) (p ports, err error) {
	take := func(flag, addr string) net.Listener {
		if err != nil {
			return nil
		}
		var lis net.Listener
		if lis, err = net.Listen("tcp", addr); err != nil {
			err = fmt.Errorf(portTaken+" (%w): choose another --%s, or port 0 for any free one", err, flag)
			return nil
		}
		r.onClose(func(context.Context) error { lis.Close(); return nil })
		return lis
	}
	p.store = take("addr", o.addr)
	if !o.isReplicated() {
		p.scheduler = take("scheduler-addr", o.schedulerAddr)
	}
	p.status = take("status-addr", o.statusAddr)
	if err != nil {
		return ports{}, err
	}
	r.storeAddr, r.statusAddr = advertised(p.store, o.advertiseHost), advertised(p.status, o.advertiseHost)
	if o.isReplicated() {
		r.schedulerAddr = o.schedulers[0]
		if !o.joins {
			r.storeAddr = o.peers[o.storeID]
		}
	} else {
		r.schedulerAddr = advertised(p.scheduler, o.advertiseHost)
	}
	return p, nil
}

// advertised is the address by which clients reach a listener.
func advertised(lis net.Listener, host string) string {
	if host == "" {
		return lis.Addr().String()
	}
	_, port, _ := net.SplitHostPort(lis.Addr().String()) // it is an address of ours
	return net.JoinHostPort(host, port)
}

func (r *running) openEngine(path string, o serveOptions, options open.Options) (engine.Engine, error) {
	db, err := open.Open(o.engine, path, options)
	if err != nil {
		return nil, err
	}
	r.onClose(func(context.Context) error {
		if err := db.Close(); err != nil && !errors.Is(err, engine.ErrFailed) {
			return err
		}
		return nil
	})
	return db, nil
}

// openStore makes the engine the storage of the one region. When a write fails, the store is no longer healthy.
func (r *running) openStore(db engine.Engine, m *membership) *standalone.Store {
	store := standalone.New(db, standalone.Options{
		ClusterID: m.ids.ClusterID, Peer: m.peer(), Region: m.region(),
		Wrote:  r.metrics.wrote,
		Broken: r.broken,
	})
	r.onClose(func(context.Context) error { store.Close(); return nil })
	return store
}

// openRecords opens what the scheduler keeps on disk.
func (r *running) openRecords(dir *datadir.Dir) (*scheduler.DirStorage, error) {
	clusterID, err := scheduler.PeekClusterID(dir.Scheduler())
	if err != nil {
		return nil, err
	}
	if id := dir.Identity(); id.Joined() && id.IDs.ClusterID != clusterID {
		return nil, fmt.Errorf("the data in %s belongs to cluster %d, the scheduler's records beside it to %s: "+
			"restore %s from a backup", dir.Engine(), id.IDs.ClusterID, clusterName(clusterID), dir.Scheduler())
	}
	records, err := scheduler.OpenDir(dir.Scheduler())
	if err != nil {
		return nil, err
	}
	r.onClose(func(context.Context) error { return records.Close() })
	return records, nil
}

func clusterName(id uint64) string {
	if id == 0 {
		return "none (they are missing)"
	}
	return fmt.Sprint("cluster ", id)
}

// broken tells everybody that a disk has failed.
func (r *running) broken(err error) {
	r.log.Error("the disk failed, the store refuses all writes: see to the disk, then start it again", "err", err)
	r.markBroken(err)
}

// markBroken lets health and metrics say it.
func (r *running) markBroken(err error) {
	r.metrics.fail(err)
	r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
}

func (r *running) startScheduler(records *scheduler.DirStorage, lis net.Listener) error {
	sched, err := scheduler.New(scheduler.Options{
		Storage: records, AdvertiseURLs: []string{"http://" + r.schedulerAddr}, Logger: r.log,
	})
	if err != nil {
		return err
	}
	r.onClose(sched.Close)
	go func() {
		if err := sched.Serve(lis); err != nil {
			r.fail(err)
		}
	}()
	return nil
}

// startService answers clients of the store.
func (r *running) startService(store server.Storage, lis net.Listener) *server.Server {
	service, g := r.newService(store)
	r.serveGRPC(g, lis)
	r.onClose(func(ctx context.Context) error {
		r.health.Shutdown()
		service.Stop()
		stopped := make(chan struct{})
		go func() { g.GracefulStop(); close(stopped) }()
		r.awaitStop(ctx, g, stopped)
		return nil
	})
	return service
}

// newService makes the service over a storage, and the gRPC server that it is on.
func (r *running) newService(storage server.Storage) (*server.Server, *grpc.Server) {
	service := server.New(storage, server.Options{
		Logger: r.log, Metrics: r.metrics.requests,
		Unwritten: func(err error) { r.fail(errors.New(status.Convert(err).Message())) },
	})
	options := slices.Concat(service.GRPCOptions(), []grpc.ServerOption{codec.ServerOption(), grpc.WaitForHandlers(true)})
	g := grpc.NewServer(options...)
	service.Register(g)
	r.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(g, r.health)
	reflection.Register(g)
	return service, g
}

func (r *running) serveGRPC(g *grpc.Server, lis net.Listener) {
	go func() {
		if err := g.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			r.fail(fmt.Errorf("serve the store on %s: %w", lis.Addr(), err))
		}
	}()
}

// awaitStop waits until a graceful stop has ended, or ends it when ctx does.
func (r *running) awaitStop(ctx context.Context, g *grpc.Server, stopped <-chan struct{}) {
	select {
	case <-stopped:
	case <-ctx.Done():
		r.log.Warn("requests in flight did not end in time and are cut off")
		g.Stop()
		<-stopped
	}
}

// startStatus serves the page for people and monitors.
func (r *running) startStatus(lis net.Listener, handler http.Handler) {
	page := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := page.Serve(lis); err != nil && !errors.Is(err, http.ErrServerClosed) {
			r.fail(fmt.Errorf("serve the status page on %s: %w", lis.Addr(), err))
		}
	}()
	r.onClose(func(context.Context) error { return page.Close() })
}

// join connects to the scheduler, and gets the store's ids if it has none yet.
func (r *running) join(ctx context.Context, dir *datadir.Dir, db engine.Engine) (*membership, error) {
	pd, err := client.New(client.Options{Addrs: []string{r.schedulerAddr}})
	if err != nil {
		return nil, err
	}
	r.onClose(func(context.Context) error { return pd.Close() })
	m := &membership{
		scheduler: pd, dir: dir, db: db, storeAddr: r.storeAddr, statusAddr: r.statusAddr, log: r.log,
	}
	return m, m.join(ctx)
}
