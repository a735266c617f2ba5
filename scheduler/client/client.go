// Client: connections, the leader, and the loop that every call goes through.

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"tinykv/proto/pdpb"
)

const (
	// DefaultTimeout bounds a call whose context has no deadline.
	DefaultTimeout = 10 * time.Second
	// attemptTimeout bounds one attempt, so that a scheduler that hangs does not use up the whole deadline.
	attemptTimeout = 3 * time.Second
	// The pause between attempts doubles from the first to the last of these.
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// ErrClosed: the Client was closed.
var ErrClosed = errors.New("scheduler client is closed")

// Options of a Client.
type Options struct {
	Addrs       []string          // needed: addresses of schedulers, host:port or http://host:port
	DialOptions []grpc.DialOption // beyond the usual; for tests
}

// Client asks the schedulers of one cluster. All methods may be called from any goroutine.
type Client struct {
	opts       Options
	timestamps *batcher
	ctx        context.Context // ends with Close
	close      context.CancelFunc

	mu        sync.Mutex // guards all below
	conns     map[string]*grpc.ClientConn
	addrs     []string // where schedulers may be: those given and those learned
	leader    string   // its address, "" if it has to be found out
	clusterID uint64   // 0 until the first answer
}

// New returns a Client. It does not connect yet: the first call does. Error: no address was given, or one that is none.
func New(opts Options) (*Client, error) {
	if len(opts.Addrs) == 0 {
		return nil, errors.New("no scheduler address given, such as 127.0.0.1:2379")
	}
	c := &Client{opts: opts, conns: map[string]*grpc.ClientConn{}}
	for _, a := range opts.Addrs {
		addr := hostPort(a)
		if !strings.Contains(addr, ":") {
			return nil, fmt.Errorf("scheduler address %q should be host:port, such as 127.0.0.1:2379", a)
		}
		c.addrs = append(c.addrs, addr)
	}
	c.ctx, c.close = context.WithCancel(context.Background())
	c.timestamps = newBatcher(c)
	return c, nil
}

// Close ends all calls and connections. A second Close does nothing.
func (c *Client) Close() error {
	c.close()
	c.timestamps.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for addr, conn := range c.conns {
		errs = append(errs, conn.Close())
		delete(c.conns, addr)
	}
	return errors.Join(errs...)
}

// ClusterID is the id of the cluster, or 0 if no scheduler has answered yet.
func (c *Client) ClusterID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clusterID
}

// attempt is one try of a call at the leader.
type attempt func(ctx context.Context, pd pdpb.PDClient, h *pdpb.RequestHeader) error

// call repeats attempts until one succeeds, fails for good, or ctx ends.
func (c *Client) call(ctx context.Context, what string, try attempt) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	pause := firstPause
	for {
		err := c.once(ctx, try)
		if err == nil || !retryable(err) {
			return wrap(what, err)
		}
		c.forgetLeader()
		if !sleep(ctx, pause) {
			return c.gaveUp(what, ctx, err)
		}
		pause = min(2*pause, lastPause)
	}
}

// bound gives ctx a deadline if it has none, and ends it when the Client closes.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	cancelTimeout := func() {}
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancelTimeout = context.WithTimeout(ctx, DefaultTimeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil); cancelTimeout() }
}

func (c *Client) once(ctx context.Context, try attempt) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	pd, h, err := c.leaderClient(ctx)
	if err != nil {
		return err
	}
	return try(ctx, pd, h)
}

// leaderClient returns the way to the leader, which it finds out if need be.
func (c *Client) leaderClient(ctx context.Context) (pdpb.PDClient, *pdpb.RequestHeader, error) {
	c.mu.Lock()
	leader, id := c.leader, c.clusterID
	c.mu.Unlock()
	if leader == "" {
		if _, err := c.discover(ctx); err != nil {
			return nil, nil, err
		}
		c.mu.Lock()
		leader, id = c.leader, c.clusterID
		c.mu.Unlock()
	}
	conn, err := c.connect(leader)
	if err != nil {
		return nil, nil, err
	}
	return pdpb.NewPDClient(conn), &pdpb.RequestHeader{ClusterId: id}, nil
}

// discover asks the known addresses, one after the other, who the members are and who leads.
func (c *Client) discover(ctx context.Context) (*pdpb.GetMembersResponse, error) {
	c.mu.Lock()
	addrs := slices.Clone(c.addrs)
	c.mu.Unlock()
	var last error
	for _, addr := range addrs {
		res, err := c.membersAt(ctx, addr)
		if err != nil {
			last = err
			continue
		}
		return res, c.learn(addr, res)
	}
	return nil, last
}

func (c *Client) membersAt(ctx context.Context, addr string) (*pdpb.GetMembersResponse, error) {
	conn, err := c.connect(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	res, err := pdpb.NewPDClient(conn).GetMembers(ctx, &pdpb.GetMembersRequest{})
	if err != nil {
		return nil, err
	}
	if len(res.GetLeader().GetClientUrls()) == 0 {
		return nil, status.Errorf(codes.Unavailable, "the scheduler at %s knows no leader at present", addr)
	}
	return res, nil
}

// learn notes the members that the scheduler at addr told.
func (c *Client) learn(addr string, res *pdpb.GetMembersResponse) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := res.GetHeader().GetClusterId()
	if c.clusterID != 0 && c.clusterID != id {
		return fmt.Errorf("the scheduler at %s serves cluster %d now, this client began with %d: open a new one",
			addr, id, c.clusterID)
	}
	c.clusterID = id
	for _, m := range res.GetMembers() {
		for _, u := range m.GetClientUrls() {
			if a := hostPort(u); !slices.Contains(c.addrs, a) {
				c.addrs = append(c.addrs, a)
			}
		}
	}
	c.leader = ""
	for _, u := range res.GetLeader().GetClientUrls() {
		if a := hostPort(u); c.leader == "" || a == addr { // rather the way that has just worked
			c.leader = a
		}
	}
	return nil
}

func (c *Client) forgetLeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = ""
}

func (c *Client) connect(addr string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if conn, ok := c.conns[addr]; ok {
		return conn, nil
	}
	opts := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// gRPC's own pauses between two attempts to connect grow to two minutes. A scheduler that is back should be found
		// at once; what comes too often is bounded by our own pauses.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastPause},
			MinConnectTimeout: attemptTimeout,
		}),
	}, c.opts.DialOptions...)
	conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, err
	}
	c.conns[addr] = conn
	return conn, nil
}

// hostPort strips what makes an address a URL.
func hostPort(addr string) string {
	addr = strings.TrimPrefix(strings.TrimPrefix(addr, "http://"), "https://")
	return strings.TrimSuffix(addr, "/")
}

// sleep pauses, and returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
