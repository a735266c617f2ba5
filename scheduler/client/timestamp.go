// Timestamps, asked for together over one stream.

package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/proto/pdpb"
)

const (
	// maxTimestampBatch bounds the callers that share one request; also what PD's own client asks for at most.
	maxTimestampBatch = 10000
	// timestampQueue is how many callers can stand in line without blocking each other.
	timestampQueue = 1024
)

// Timestamp returns one that is greater than every one that anybody was given before this call.
func (c *Client) Timestamp(ctx context.Context) (Timestamp, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	pause := firstPause
	for {
		ts, err := c.timestamps.get(ctx)
		if err == nil {
			return ts, nil
		}
		const what = "get a timestamp"
		if ctx.Err() != nil {
			return Timestamp{}, c.gaveUp(what, ctx, err)
		}
		if !retryable(err) {
			return Timestamp{}, wrap(what, err)
		}
		if !sleep(ctx, pause) {
			return Timestamp{}, c.gaveUp(what, ctx, err)
		}
		pause = min(2*pause, lastPause)
	}
}

// batcher gathers callers. One goroutine owns the stream: while it waits for an answer, the next callers line up, and
// all of them share the next request.
type batcher struct {
	client *Client
	line   chan caller
	done   sync.WaitGroup
	start  sync.Once
}

type caller struct {
	ctx    context.Context
	answer chan<- answer // has room for one
}

type answer struct {
	ts  Timestamp
	err error
}

func newBatcher(c *Client) *batcher {
	return &batcher{client: c, line: make(chan caller, timestampQueue)}
}

// get stands in line and waits.
func (b *batcher) get(ctx context.Context) (Timestamp, error) {
	b.start.Do(func() {
		b.done.Add(1)
		go b.run()
	})
	got := make(chan answer, 1)
	select {
	case b.line <- caller{ctx, got}:
	case <-ctx.Done():
		return Timestamp{}, ctx.Err()
	}
	select {
	case a := <-got:
		return a.ts, a.err
	case <-ctx.Done():
		return Timestamp{}, ctx.Err()
	}
}

// wait returns when the goroutine has ended, after the Client's context has.
func (b *batcher) wait() {
	b.start.Do(func() {}) // none is started any more
	b.done.Wait()
}

func (b *batcher) run() {
	defer b.done.Done()
	var s stream
	defer func() { s.close() }()
	for {
		batch := b.gather()
		if len(batch) == 0 {
			return
		}
		first, err := s.ask(b.client, uint32(len(batch)))
		if err != nil {
			s.close()
			b.client.forgetLeader()
		}
		for i, c := range batch {
			ts := first
			ts.Logical += int64(i)
			c.answer <- answer{ts, err}
		}
	}
}

// gather waits for a caller and takes all that stand in line with it. Empty: the Client was closed.
func (b *batcher) gather() []caller {
	var batch []caller
	for {
		var c caller
		if len(batch) == 0 {
			select {
			case c = <-b.line:
			case <-b.client.ctx.Done():
				return nil
			}
		} else {
			select {
			case c = <-b.line:
			default:
				return batch
			}
		}
		if c.ctx.Err() == nil { // who has left gets none
			batch = append(batch, c)
		}
		if len(batch) == maxTimestampBatch {
			return batch
		}
	}
}

// stream is the one to the leader, opened when first needed.
type stream struct {
	tso    grpc.BidiStreamingClient[pdpb.TsoRequest, pdpb.TsoResponse]
	header *pdpb.RequestHeader
	cancel context.CancelFunc
}

// ask gets count timestamps and returns the first. After an error the stream must be closed.
func (s *stream) ask(c *Client, count uint32) (Timestamp, error) {
	if s.tso == nil {
		if err := s.open(c); err != nil {
			return Timestamp{}, err
		}
	}
	// A scheduler that hangs must not take the callers with it.
	timer := time.AfterFunc(attemptTimeout, s.cancel)
	defer timer.Stop()
	if err := s.tso.Send(&pdpb.TsoRequest{Header: s.header, Count: count}); err != nil {
		_, err = s.tso.Recv() // Send only says that the stream has ended, Recv says why
		return Timestamp{}, asUnavailable(err)
	}
	res, err := s.tso.Recv()
	if err != nil {
		return Timestamp{}, asUnavailable(err)
	}
	if res.GetCount() != count || res.GetTimestamp().GetLogical() < int64(count)-1 {
		return Timestamp{}, status.Errorf(codes.Internal, "asked for %d timestamps, the scheduler answered %v", count,
			res)
	}
	last := res.GetTimestamp()
	return Timestamp{Physical: last.GetPhysical(), Logical: last.GetLogical() - int64(count) + 1}, nil
}

func (s *stream) open(c *Client) error {
	findCtx, done := context.WithTimeout(c.ctx, attemptTimeout)
	defer done()
	pd, header, err := c.leaderClient(findCtx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	timer := time.AfterFunc(attemptTimeout, cancel)
	defer timer.Stop()
	tso, err := pd.Tso(ctx)
	if err != nil {
		cancel()
		return asUnavailable(err)
	}
	s.tso, s.header, s.cancel = tso, header, cancel
	return nil
}

func (s *stream) close() {
	if s.cancel != nil {
		s.cancel()
	}
	*s = stream{}
}

// asUnavailable makes the ways in which a stream ends one that is retried: the end of a stream is not the end of the
// scheduler.
func asUnavailable(err error) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.Canceled {
		return status.Errorf(codes.Unavailable, "the stream of timestamps ended: %v", err)
	}
	return err
}
