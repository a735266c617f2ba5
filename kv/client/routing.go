// Routing: one attempt at a region, and the loop that repeats it until it is answered.

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/kv/region/regionpb"
	"tinykv/proto/kvrpcpb"
	scheduler "tinykv/scheduler/client"
)

// effect is what it means to send a request twice.
type effect uint8

const (
	reads effect = iota // nothing
	// writes: after a loss it may have happened, or still happen. Sent again it could take effect twice, the second time
	// after what others wrote in between, and that even if it only sets a value.
	writes
)

// builder makes the request for a region. It is called anew for each attempt, as the region may be another one by then.
type builder func(at located, kv *kvrpcpb.Context) request

// outcome is how one attempt ended: with an answer, or with an error that is final or not.
type outcome struct {
	res   response
	err   error
	retry bool // err may pass
	lost  bool // the request was sent, and may have been carried out

	// How long to wait before the next attempt.
	why         reason
	asked       time.Duration
	immediately bool
}

// attempt sends to the peer that is believed to lead, once, and learns from what comes back.
func (c *Client) attempt(ctx context.Context, at located, build builder) outcome {
	addr, err := c.address(ctx, at.peer.StoreID)
	if errors.Is(err, scheduler.ErrUnknownStore) {
		c.correct(at, verdict{forgetRegion: true})
		return outcome{err: err, retry: true, why: staleRoute}
	}
	if err != nil {
		return outcome{err: err}
	}
	req := build(at, &kvrpcpb.Context{
		RegionId: at.region.ID, RegionEpoch: regionpb.FromEpoch(at.region.Epoch), Peer: regionpb.FromPeer(at.peer),
		ClusterId: c.pd.ClusterID(),
	})
	attemptCtx, cancel := ctx, func() {}
	if !req.slow {
		attemptCtx, cancel = context.WithTimeout(ctx, attemptTimeout)
	}
	res, err := c.stores.send(attemptCtx, addr, req)
	cancel()
	if err != nil {
		return c.failed(ctx, at, addr, req, err)
	}
	if e := res.GetRegionError(); e != nil {
		v := judge(e)
		c.correct(at, v)
		err := fmt.Errorf("store %d at %s says: %s", at.peer.StoreID, addr, explain(e))
		if v.tooLarge {
			return outcome{err: fmt.Errorf("%w: %w", ErrTooLarge, err)}
		}
		if v.fatal {
			return outcome{err: fmt.Errorf("%w: %w", ErrRefused, err)}
		}
		return outcome{err: err, retry: true, why: v.why, asked: v.asked, immediately: v.immediately}
	}
	c.mu.Lock()
	c.cache.answered(at)
	c.mu.Unlock()
	return outcome{res: res}
}

// failed judges an attempt that got no answer.
func (c *Client) failed(ctx context.Context, at located, addr string, req request, err error) outcome {
	var un unsent
	sent := !errors.As(err, &un)
	if ctx.Err() != nil {
		return outcome{err: ctx.Err(), lost: sent}
	}
	s := status.Convert(err)
	text := fmt.Errorf("%s to store %d at %s: %s", req.name, at.peer.StoreID, addr, s.Message())
	switch s.Code() {
	case codes.Unimplemented, codes.InvalidArgument, codes.ResourceExhausted, codes.PermissionDenied,
		codes.Unauthenticated:
		return outcome{err: fmt.Errorf("%w: %w", ErrRefused, text)}
	}
	c.lost(at)
	return outcome{err: text, retry: true, lost: sent, why: unreachable}
}

// after waits as the outcome of an attempt says. A good hint costs no wait the first time; if it turns out to be
// none, it does.
func (b *backoff) after(ctx context.Context, o outcome) error {
	if o.immediately && b.attempts[o.why] == 0 {
		b.attempts[o.why]++
		return ctx.Err()
	}
	return wait(ctx, b.pause(o.why, o.asked))
}

// locator finds the region of a request, anew for each attempt.
type locator func(ctx context.Context) (located, bool, error)

// ask repeats attempts until the region that find returns has answered, or ctx ends.
func (c *Client) ask(
	ctx context.Context, what string, e effect, find locator, build builder,
) (response, located, error) {
	b := c.newBackoff()
	var last error
	for {
		at, o := c.findAndAttempt(ctx, find, build)
		if o.err == nil {
			return o.res, at, nil
		}
		if o.err != ctx.Err() && (last == nil || !errors.Is(o.err, ctx.Err())) { // running out of time explains nothing
			last = o.err
		}
		switch {
		case o.lost && e == writes:
			return nil, at, fmt.Errorf("%s: %w: %w", what, ErrUndetermined, o.err)
		case ctx.Err() != nil || o.retry && b.after(ctx, o) != nil:
			return nil, at, gaveUp(ctx, what, last)
		case !o.retry:
			return nil, at, fmt.Errorf("%s: %w", what, o.err)
		}
	}
}

var errNoRegion = errors.New("the scheduler knows no region for the key at present (has a store joined?)")

func (c *Client) findAndAttempt(ctx context.Context, find locator, build builder) (located, outcome) {
	at, known, err := find(ctx)
	switch {
	case err != nil:
		return at, outcome{err: err}
	case !known:
		return at, outcome{err: errNoRegion, retry: true, why: noLeader}
	}
	return at, c.attempt(ctx, at, build)
}

// atKey locates the region of one key.
func (c *Client) atKey(key []byte) locator {
	return func(ctx context.Context) (located, bool, error) { return c.locate(ctx, key) }
}

// beforeKey locates the region of the keys right before end.
func (c *Client) beforeKey(end []byte) locator {
	return func(ctx context.Context) (located, bool, error) { return c.locateBefore(ctx, end) }
}
