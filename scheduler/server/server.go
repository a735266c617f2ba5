// Server: how it starts, serves and ends.

package server

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"tinykv/proto/pdpb"
	"tinykv/scheduler/cluster"
)

// keepalivePolicy lets clients ping an idle connection, as TiKV's do every 10 seconds. By default gRPC takes that for
// an attack and hangs up.
var keepalivePolicy = keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}

// Options of a Server.
type Options struct {
	Storage       Storage          // needed; the caller closes it after the server
	AdvertiseURLs []string         // needed: where clients reach this server, as http://host:port
	Name          string           // of this member, shown to people; "" means "scheduler"
	Logger        *slog.Logger     // nil: nothing is logged
	Now           func() time.Time // nil: time.Now
	ClusterID     uint64           // for a new cluster only; 0: at random
}

// Server is a scheduler. It always leads: there is no other one yet.
type Server struct {
	pdpb.UnimplementedPDServer

	opts      Options
	clusterID uint64
	storage   Storage
	log       *slog.Logger
	health    *health.Server
	grpc      *grpc.Server

	timestamps *timestamps
	safePoint  *safePoint

	metaMu sync.Mutex // one change of the metadata at a time, from decision to commit; taken before mu

	mu      sync.RWMutex // guards cluster
	cluster *cluster.Cluster

	idsMu sync.Mutex // guards ids
	ids   *cluster.IDs

	regionsDirty chan struct{} // has room for one: regions are to be saved
	closing      chan struct{} // closed when the server is to end
	closeOnce    sync.Once
	flusher      sync.WaitGroup
}

// New loads what was saved, or begins a new cluster, and returns a server that does not listen yet. Errors are one
// line that says what to do: an address that nobody can dial, a record that cannot be trusted, a disk that cannot be
// written.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	found, err := loadAll(ctx, opts.Storage)
	if err != nil {
		return nil, err
	}
	if found.meta.ClusterID == 0 {
		if found.meta, err = begin(ctx, opts.Storage, opts.ClusterID); err != nil {
			return nil, fmt.Errorf("cannot begin a new cluster: %w", err)
		}
	}
	c, err := cluster.New(found.meta, found.regions)
	if err != nil {
		return nil, fmt.Errorf("what the scheduler saved contradicts itself: %w", err)
	}
	s := &Server{
		opts: opts, clusterID: c.ID(), storage: opts.Storage, log: opts.Logger,
		health: health.NewServer(), grpc: grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalivePolicy)),
		timestamps: newTimestamps(opts, int64(found.timestamp.Bound)),
		safePoint:  newSafePoint(opts.Storage, found.safePoint.Bound),
		cluster:    c, ids: cluster.NewIDs(found.ids.Bound, 0),
		regionsDirty: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	s.Register(s.grpc)
	s.flusher.Add(1)
	go s.flushRegions()
	s.log.Info("scheduler opened", "cluster_id", c.ID(), "bootstrapped", c.Bootstrapped(),
		"stores", len(c.Stores()), "regions", len(c.Regions()), "urls", opts.AdvertiseURLs)
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Storage == nil {
		return o, errors.New("a scheduler needs a Storage")
	}
	if len(o.AdvertiseURLs) == 0 {
		return o, errors.New("a scheduler needs a URL to advertise, such as http://127.0.0.1:2379")
	}
	for _, u := range o.AdvertiseURLs {
		if err := CheckURL(u); err != nil {
			return o, err
		}
	}
	if o.Name == "" {
		o.Name = "scheduler"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for o.ClusterID == 0 {
		var random [8]byte
		_, _ = cryptorand.Read(random[:]) // never fails
		o.ClusterID = binary.BigEndian.Uint64(random[:])
	}
	return o, nil
}

// CheckURL refuses a URL that must not be advertised, because nobody can be reached under it: clients dial every one
// they are told. The error is one line that says what to do.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.Port() == "0" {
		return fmt.Errorf("%q cannot be advertised to clients: it should be http://host:port", text)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q cannot be advertised to clients, nobody can dial %s: use an address of this machine",
			text, ip)
	}
	return nil
}

// Register adds PD and the health service to a gRPC server of the caller's. Not needed with Serve.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pdpb.RegisterPDServer(r, s)
	grpc_health_v1.RegisterHealthServer(r, s.health)
}

// Serve answers calls on lis until Close, and then returns nil. It owns lis.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.grpc.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve the scheduler on %s: %w", lis.Addr(), err)
	}
	return nil
}

// Close ends all streams, lets calls in flight finish until ctx is done, and saves the regions. A second Close does
// nothing.
func (s *Server) Close(ctx context.Context) error {
	var err error
	s.closeOnce.Do(func() {
		s.health.Shutdown()
		s.timestamps.stop()
		close(s.closing) // streams and the flusher end
		stopped := make(chan struct{})
		go func() { s.grpc.GracefulStop(); close(stopped) }()
		select {
		case <-stopped:
		case <-ctx.Done():
			s.grpc.Stop()
			<-stopped
		}
		s.flusher.Wait()
		s.timestamps.wait()
		err = s.saveRegions()
		s.log.Info("scheduler closed")
	})
	return err
}

// ClusterID is the id of the cluster, never 0.
func (s *Server) ClusterID() uint64 { return s.clusterID }
