// Client: what it is made of, how it opens and closes.

package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"tinykv/kv/region"
	scheduler "tinykv/scheduler/client"
)

const (
	// DefaultTimeout bounds a call whose context has no deadline.
	DefaultTimeout = 20 * time.Second
	// DefaultConnections is the number of connections to each store, as TiKV's own client has it: one would be bound
	// to one core.
	DefaultConnections = 4
	// attemptTimeout bounds one attempt of a short request, so that a store that hangs does not use up the whole
	// deadline.
	attemptTimeout = 5 * time.Second
)

// Options of a Client.
type Options struct {
	Scheduler []string // needed: addresses of the scheduler, host:port

	// Batch sends requests in frames over one BatchCommands stream per connection, instead of one unary call each.
	// Many callers at once then cost less; a single one waits a little longer.
	Batch       bool
	Connections int // to each store; 0 means DefaultConnections

	Seed        uint64            // of the pauses between attempts; 0: at random
	DialOptions []grpc.DialOption // beyond the usual; for tests
}

// Errors beyond those of the context. Test with errors.Is.
var (
	// ErrClosed: the Client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrUndetermined: a write was sent and no answer came, or the store itself has lost sight of it. It may have happened,
	// may still happen, or never. Read, then decide.
	ErrUndetermined = errors.New("it is not known whether the write happened")
	// ErrRefused: the request itself is wrong, or the store is broken. A repetition won't help; the text says why.
	ErrRefused = errors.New("the store refused the request")
	// ErrTooLarge, which is also ErrRefused: the answer would be larger than a store gives at once. Ask for less. Scans
	// and batch gets do that by themselves, so from them it means that a single pair is too large.
	ErrTooLarge = fmt.Errorf("%w: the answer would be too large", ErrRefused)
)

// Client is the way to one cluster. All methods may be called from any goroutine.
type Client struct {
	pd     *scheduler.Client
	stores transport
	ctx    context.Context // ends with Close
	close  context.CancelFunc

	seedMu sync.Mutex // guards seeds
	seeds  *rand.Rand

	mu    sync.Mutex // guards cache, addresses
	cache cache
	// addresses of stores, as the scheduler told. Forgotten when a store cannot be reached: it may have moved.
	addresses map[uint64]string
}

// transport sends one request to the store at an address. Errors of the way are gRPC statuses; one that is, or wraps,
// unsent means that the request was not sent.
type transport interface {
	send(ctx context.Context, addr string, req request) (response, error)
	close() error
}

// New returns a Client. It does not connect yet. Error: no usable scheduler address.
func New(opts Options) (*Client, error) {
	pd, err := scheduler.New(scheduler.Options{Addrs: opts.Scheduler, DialOptions: opts.DialOptions})
	if err != nil {
		return nil, err
	}
	if opts.Connections <= 0 {
		opts.Connections = DefaultConnections
	}
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64()
	}
	c := &Client{
		pd: pd, stores: newConnections(opts), seeds: rand.New(rand.NewPCG(opts.Seed, 1)),
		addresses: map[uint64]string{},
	}
	c.ctx, c.close = context.WithCancel(context.Background())
	return c, nil
}

// Scheduler is the client's way to the scheduler, for timestamps and the state of the cluster. It is closed with the
// Client.
func (c *Client) Scheduler() *scheduler.Client { return c.pd }

// Close ends all calls and connections. A second Close does nothing.
func (c *Client) Close() error {
	c.close()
	return errors.Join(c.stores.close(), c.pd.Close())
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

func (c *Client) newBackoff() *backoff {
	c.seedMu.Lock()
	defer c.seedMu.Unlock()
	return newBackoff(c.seeds.Uint64())
}

// locate returns the region that holds key: from the cache, or from the scheduler. False: nobody knows at present.
func (c *Client) locate(ctx context.Context, key []byte) (located, bool, error) {
	c.mu.Lock()
	at, ok := c.cache.find(key)
	c.mu.Unlock()
	if ok {
		return at, true, nil
	}
	info, known, err := c.pd.Region(ctx, key)
	if err != nil || !known {
		return located{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.learn(info.Region, info.Leader)
	at, ok = c.cache.find(key)
	return at, ok, nil
}

// beyondAllKeys is greater than every key that a store takes: longer than the longest, and of the greatest bytes.
var beyondAllKeys = func() []byte {
	key := make([]byte, 8<<10+1)
	for i := range key {
		key[i] = 0xff
	}
	return key
}()

// locateBefore returns the region that holds the keys right before end; an empty end is beyond the last key.
func (c *Client) locateBefore(ctx context.Context, end []byte) (located, bool, error) {
	c.mu.Lock()
	at, ok := c.cache.findBefore(end)
	c.mu.Unlock()
	if ok {
		return at, true, nil
	}
	key := end
	if len(key) == 0 {
		key = beyondAllKeys
	}
	info, known, err := c.pd.Region(ctx, key)
	if err == nil && known && !holdsBefore(info.Region.Range, end) { // end is the start of that region
		info, known, err = c.pd.PrevRegion(ctx, key)
	}
	if err != nil || !known {
		return located{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.learn(info.Region, info.Leader)
	at, ok = c.cache.findBefore(end)
	return at, ok, nil
}

// address returns where a store is.
func (c *Client) address(ctx context.Context, storeID uint64) (string, error) {
	c.mu.Lock()
	addr, ok := c.addresses[storeID]
	c.mu.Unlock()
	if ok {
		return addr, nil
	}
	info, err := c.pd.Store(ctx, storeID)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses[storeID] = info.Store.Address
	return info.Store.Address, nil
}

// correct changes the picture as a store's error demands.
func (c *Client) correct(at located, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.answered(at)
	if v.leader != (region.Peer{}) {
		c.cache.lead(at.region, v.leader)
	}
	if len(v.regions) > 0 {
		c.cache.forget(at.region)
		for _, r := range v.regions {
			leader, _ := r.PeerOn(at.peer.StoreID) // likely the one that leads, for it led the region before
			c.cache.learn(r, leader)
		}
	}
	if v.forgetRegion {
		c.cache.forget(at.region)
	}
	if v.elsewhere {
		c.cache.unreachable(at)
	}
	if v.forgetStore {
		delete(c.addresses, at.peer.StoreID)
	}
}

// lost notes that a store did not answer.
func (c *Client) lost(at located) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.unreachable(at)
	delete(c.addresses, at.peer.StoreID)
}

// wait pauses, and returns the context's error if that ended first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gaveUp is the error of a call whose time was up; last is why it had to retry.
func gaveUp(ctx context.Context, what string, last error) error {
	if errors.Is(context.Cause(ctx), ErrClosed) {
		return fmt.Errorf("%s: %w", what, ErrClosed)
	}
	switch {
	case last == nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case errors.Is(last, ctx.Err()):
		return fmt.Errorf("%s: %w", what, last)
	}
	return fmt.Errorf("%s: %w, last trouble: %w", what, ctx.Err(), last)
}
