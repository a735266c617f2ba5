// A running server: the parts of "serve", wired together, started in order, and stopped in the reverse one.
//
//	status port ── metrics                       ┌── scheduler/server ── records in data-dir/scheduler
//	store port ─── kv/server ── kv/standalone ── engine in data-dir/engine
//	                     heartbeats ─────────────┘ (through scheduler/client, as any store would)

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
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/engine/open"
	"tinykv/kv/server"
	"tinykv/kv/standalone"
	schedulerclient "tinykv/scheduler/client"
	schedulerserver "tinykv/scheduler/server"
)

// serveOptions say what to run.
type serveOptions struct {
	dir, engine                           string
	addr, schedulerAddr, statusAddr       string // where to listen; port 0 is any free one
	advertiseAddr, advertiseSchedulerAddr string // where clients come; "" is where we listen
	log                                   *slog.Logger
}

// running is a server that serves.
type running struct {
	storeAddr, schedulerAddr, statusAddr string
	failed                               chan error // gets an error when a part ends by itself

	log     *slog.Logger
	closers []closer // in the order of the starts
}

// closer stops one part. Its name is for the error.
type closer struct {
	name string
	stop func(ctx context.Context) error
}

// onClose has a part stopped by close, before all parts that were started earlier.
func (r *running) onClose(name string, stop func(ctx context.Context) error) {
	r.closers = append(r.closers, closer{name, stop})
}

// close stops all parts. What has not finished when ctx ends is broken off, but what was acknowledged is durable
// anyway.
func (r *running) close(ctx context.Context) error {
	var errs []error
	for _, c := range slices.Backward(r.closers) {
		if err := c.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the %s: %w", c.name, err))
		}
	}
	r.closers = nil
	return errors.Join(errs...)
}

// startServer starts everything and returns when it serves. With an error nothing is left running. ctx bounds the
// start only.
func startServer(ctx context.Context, o serveOptions) (_ *running, err error) {
	if o.dir == "" {
		return nil, errors.New("where is the data to be kept? Say --data-dir DIRECTORY")
	}
	r := &running{failed: make(chan error, 3), log: o.log}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(context.WithoutCancel(ctx)))
		}
	}()
	// The ports come first: if one is taken, probably by ourselves, the disk is not touched.
	ports, err := r.listen(o)
	if err != nil {
		return nil, err
	}
	dir, db, err := r.openData(o)
	if err != nil {
		return nil, err
	}
	pd, err := r.startScheduler(o, ports, dir)
	if err != nil {
		return nil, err
	}
	me, err := join(ctx, pd, dir, ports.storeAdvertised)
	if err != nil {
		return nil, err
	}
	r.startStore(ports, dir, db, me, newMetrics(), pd)
	return r, nil
}

// ports are the listeners and the addresses by which clients reach them.
type ports struct {
	store, scheduler, status             net.Listener
	storeAdvertised, schedulerAdvertised string
}

func (r *running) listen(o serveOptions) (p ports, err error) {
	for _, l := range []struct {
		flag, addr string
		to         *net.Listener
	}{{"--addr", o.addr, &p.store}, {"--scheduler-addr", o.schedulerAddr, &p.scheduler}, {"--status-addr", o.statusAddr, &p.status}} {
		if *l.to, err = net.Listen("tcp", l.addr); err != nil {
			return p, fmt.Errorf("cannot listen: %w; stop who has the port, or give another %s (port 0 means any free one)", err, l.flag)
		}
		r.onClose("listener of "+l.flag, func(context.Context) error { (*l.to).Close(); return nil }) // closed already by its server
	}
	r.storeAddr, r.schedulerAddr, r.statusAddr = p.store.Addr().String(), p.scheduler.Addr().String(), p.status.Addr().String()
	if p.storeAdvertised, err = advertised(o.advertiseAddr, p.store, "--advertise-addr"); err != nil {
		return p, err
	}
	p.schedulerAdvertised, err = advertised(o.advertiseSchedulerAddr, p.scheduler, "--advertise-scheduler-addr")
	return p, err
}

// advertised is the address that clients are told to dial.
func advertised(given string, lis net.Listener, flag string) (string, error) {
	if given != "" {
		if _, _, err := net.SplitHostPort(given); err != nil {
			return "", fmt.Errorf("bad %s: %w; give HOST:PORT", flag, err)
		}
		return given, nil
	}
	if tcp, ok := lis.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("clients can't dial %s: give the address by which they reach this machine as %s", lis.Addr(), flag)
	}
	return lis.Addr().String(), nil
}

func (r *running) openData(o serveOptions) (*datadir.Dir, engine.Engine, error) {
	dir, err := datadir.Open(o.dir, o.engine)
	if err != nil {
		return nil, nil, err
	}
	db, err := open.Open(o.engine, dir.Engine(), open.Options{Logger: o.log})
	if err != nil {
		return nil, nil, err
	}
	r.onClose("engine", func(context.Context) error { return db.Close() })
	return dir, db, nil
}

// startScheduler starts the scheduler and returns a client of it.
func (r *running) startScheduler(o serveOptions, p ports, dir *datadir.Dir) (*schedulerclient.Client, error) {
	records, err := schedulerserver.OpenDir(dir.Scheduler())
	if err != nil {
		return nil, err
	}
	r.onClose("scheduler's records", func(context.Context) error { return records.Close() })
	s, err := schedulerserver.New(schedulerserver.Options{
		Storage: records, AdvertiseURLs: []string{"http://" + p.schedulerAdvertised}, Logger: o.log,
	})
	if err != nil {
		return nil, err
	}
	go func() { r.ended("scheduler", s.Serve(p.scheduler)) }()
	r.onClose("scheduler", s.Close)
	pd, err := schedulerclient.New(schedulerclient.Options{Addrs: []string{r.schedulerAddr}})
	if err != nil {
		return nil, err
	}
	r.onClose("scheduler's client", func(context.Context) error { return pd.Close() })
	return pd, nil
}

// startStore starts what serves the data, what reports on it, and the status port.
func (r *running) startStore(p ports, dir *datadir.Dir, db engine.Engine, me member, m *metrics, pd *schedulerclient.Client) {
	healthy := health.NewServer()
	store := standalone.New(db, standalone.Options{
		ClusterID: me.clusterID, Peer: me.region.Peers[0], Region: me.region, Wrote: m.wrote,
		Broken: func(err error) {
			r.log.Error("the disk failed: this store writes nothing any more; see to the disk, then restart", "error", err)
			healthy.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
		},
	})
	r.onClose("store", func(context.Context) error { store.Close(); return nil })

	service := server.New(store, server.Options{Logger: r.log, Metrics: m.requests})
	g := grpc.NewServer(service.GRPCOptions()...)
	service.Register(g)
	healthpb.RegisterHealthServer(g, healthy)
	reflection.Register(g)
	go func() { r.ended("store", g.Serve(p.store)) }()
	r.onClose("service", func(ctx context.Context) error {
		healthy.Shutdown()
		service.Stop()
		return stopGracefully(ctx, g)
	})

	background, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	reports := reporter{pd: pd, me: me, db: db, dir: dir.Engine(), log: r.log}
	go func() { reports.run(background); done <- struct{}{} }()
	go func() { sweepExpired(background, service, me, r.log); done <- struct{}{} }()
	r.onClose("background work", func(context.Context) error { cancel(); <-done; <-done; return nil })

	web := &http.Server{Handler: statusHandler(m, me, healthy), ReadHeaderTimeout: 5 * time.Second}
	go func() { r.ended("status port", web.Serve(p.status)) }()
	r.onClose("status port", web.Shutdown)
}

// ended tells whoever waits that a part has ended without being asked to.
func (r *running) ended(part string, err error) {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return
	}
	r.failed <- fmt.Errorf("the %s ended: %w", part, err)
}

// stopGracefully lets calls in flight finish until ctx ends, then breaks them off.
func stopGracefully(ctx context.Context, g *grpc.Server) error {
	stopped := make(chan struct{})
	go func() { g.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		g.Stop()
		<-stopped
		return errors.New("some requests took too long and were broken off")
	}
}
