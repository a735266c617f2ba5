// The driver of tso.Oracle: tells it the time, writes the bound, wakes the callers. And the Tso stream.

package server

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/proto/pdpb"
	"tinykv/scheduler/tso"
)

// timestamps runs an Oracle.
type timestamps struct {
	opts    Options
	persist sync.WaitGroup // the write in flight

	mu      sync.Mutex // guards all below; never held while writing
	oracle  *tso.Oracle
	nextID  uint64
	waiting map[uint64]chan<- tso.Effect // request -> its caller
}

func newTimestamps(opts Options, saved int64) *timestamps {
	return &timestamps{opts: opts, oracle: tso.New(saved, tso.Options{}), waiting: map[uint64]chan<- tso.Effect{}}
}

// take returns count timestamps, or the error of package tso that tells why not.
func (t *timestamps) take(ctx context.Context, count uint32) (tso.Grant, error) {
	answer := make(chan tso.Effect, 1)
	t.mu.Lock()
	t.nextID++
	id := t.nextID
	t.waiting[id] = answer
	t.do(t.oracle.Request(t.opts.Now().UnixMilli(), id, count))
	t.mu.Unlock()

	select {
	case e := <-answer:
		if refused, ok := e.(tso.Refuse); ok {
			return tso.Grant{}, refused.Err
		}
		return e.(tso.Grant), nil
	case <-ctx.Done():
		return tso.Grant{}, ctx.Err() // the grant is lost, which wastes numbers and harms nobody
	}
}

// do carries out effects. mu is held.
func (t *timestamps) do(effects []tso.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case tso.Persist:
			t.persist.Add(1)
			go t.save(e.UpTo)
		case tso.Grant:
			t.answer(e.ID, e)
		case tso.Refuse:
			t.answer(e.ID, e)
		}
	}
}

func (t *timestamps) answer(id uint64, e tso.Effect) {
	t.waiting[id] <- e // has room for one
	delete(t.waiting, id)
}

func (t *timestamps) save(upTo int64) {
	defer t.persist.Done()
	err := save(context.Background(), t.opts.Storage, recordTimestamp, boundRecord{uint64(upTo)})
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.opts.Logger.Error("the bound of timestamps could not be saved", "bound", upTo, "err", err)
		t.do(t.oracle.PersistFailed(err))
		return
	}
	t.do(t.oracle.Persisted(t.opts.Now().UnixMilli()))
}

// stop refuses whoever waits and whoever comes.
func (t *timestamps) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.do(t.oracle.Stop())
}

// wait returns when the write in flight has ended, after stop.
func (t *timestamps) wait() { t.persist.Wait() }

// Tso answers each request of the stream with timestamps, in the order of the requests.
func (s *Server) Tso(stream grpc.BidiStreamingServer[pdpb.TsoRequest, pdpb.TsoResponse]) error {
	return eachMessage(s.closing, stream, func(req *pdpb.TsoRequest) error {
		if err := s.checkCluster(req.GetHeader()); err != nil {
			return err
		}
		grant, err := s.timestamps.take(stream.Context(), req.GetCount())
		if err != nil {
			return toStatus(err)
		}
		return stream.Send(&pdpb.TsoResponse{
			Header:    s.header(),
			Count:     grant.Count,
			Timestamp: &pdpb.Timestamp{Physical: grant.Last.Physical, Logical: grant.Last.Logical},
		})
	})
}

// eachMessage calls handle for every message of a stream until the caller ends it, handle fails, or closing is
// closed. A stream would otherwise hold up the end of the server for as long as its caller likes.
func eachMessage[Req, Res any](
	closing <-chan struct{}, stream grpc.BidiStreamingServer[Req, Res], handle func(*Req) error,
) error {
	type received struct {
		req *Req
		err error
	}
	messages := make(chan received)
	go func() { // ends at the latest when this stream's context does, which is when the handler has returned
		for {
			req, err := stream.Recv()
			select {
			case messages <- received{req, err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-closing:
			return status.Error(codes.Unavailable, tso.ErrStopped.Error())
		case m := <-messages:
			if m.err != nil {
				return endOfStream(m.err)
			}
			if err := handle(m.req); err != nil {
				return err
			}
		}
	}
}
