// The real transport: connections to stores, and on each either unary calls or one stream of frames.

package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"tinykv/proto/tikvpb"
)

// maxMessageBytes bounds an answer: a scan of large values is long, and a bound that is too low would look like a
// broken store.
const maxMessageBytes = 256 << 20

// connections implements transport.
type connections struct {
	opts Options
	dial []grpc.DialOption

	mu     sync.Mutex // guards all below
	stores map[string]*store
	closed bool
}

// store is the connections to one address, used in turn.
type store struct {
	conns []*connection
	turn  atomic.Uint64
}

type connection struct {
	grpc   *grpc.ClientConn
	kv     tikvpb.TikvClient
	frames *frames // nil if requests are sent one by one
}

func newConnections(opts Options) *connections {
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		// A store that restarts should be found again quickly; the pauses between our attempts are bounded alike.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: grpcbackoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
				MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	return &connections{opts: opts, dial: append(dial, opts.DialOptions...), stores: map[string]*store{}}
}

// send implements transport.
func (cs *connections) send(ctx context.Context, addr string, req request) (response, error) {
	s, err := cs.to(addr)
	if err != nil {
		return nil, err
	}
	conn := s.conns[s.turn.Add(1)%uint64(len(s.conns))]
	if conn.frames != nil && req.frame != nil {
		return conn.frames.send(ctx, req)
	}
	var to peer.Peer // gRPC names the other end as soon as a connection was found for the request
	res, err := req.unary(ctx, conn.kv, grpc.Peer(&to))
	if err != nil && to.Addr == nil {
		err = unsent{err}
	}
	return res, err
}

// unsent is the error of a request that has certainly not left this process.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

func (cs *connections) to(addr string) (*store, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, unsent{ErrClosed}
	}
	if s, ok := cs.stores[addr]; ok {
		return s, nil
	}
	s := &store{}
	for range cs.opts.Connections {
		conn, err := grpc.NewClient("passthrough:///"+addr, cs.dial...)
		if err != nil {
			return nil, err
		}
		c := &connection{grpc: conn, kv: tikvpb.NewTikvClient(conn)}
		if cs.opts.Batch {
			c.frames = newFrames(c.kv)
		}
		s.conns = append(s.conns, c)
	}
	cs.stores[addr] = s
	return s, nil
}

// close implements transport.
func (cs *connections) close() error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	var errs []error
	for addr, s := range cs.stores {
		for _, c := range s.conns {
			if c.frames != nil {
				c.frames.close()
			}
			errs = append(errs, c.grpc.Close())
		}
		delete(cs.stores, addr)
	}
	return errors.Join(errs...)
}
