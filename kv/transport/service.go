// The network of real processes, from the receiver's side: the gRPC service of a store.
//
// A call of the service may wait in three places: for the network, for the handler, and for the end of an earlier
// session. gRPC can't be made to give up the first, but it ends everything that a call does when the call returns. So
// the work of each call is done in a goroutine beside it, and the call itself waits for that or for its context.

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/kv/snapshot"
	"tinykv/proto/storepb"
)

type service struct {
	storepb.UnimplementedStoreServer
	t *Transport
}

func registerService(g grpc.ServiceRegistrar, t *Transport) {
	storepb.RegisterStoreServer(g, &service{t: t})
}

var (
	// errMalformed is for what can't be read.
	errMalformed = errors.New("malformed")
	// errSilent: a stream that did not say whose it is.
	errSilent = errors.New("no hello came in time")
	// errTooMany: there are as many streams as there may be.
	errTooMany = errors.New("this store has too many streams from other stores: are these stores of its cluster?")
)

type (
	raftStream     = grpc.ClientStreamingServer[storepb.Frame, storepb.RaftDone]
	snapshotStream = grpc.ClientStreamingServer[storepb.SnapshotChunk, storepb.SnapshotDone]
)

// Raft receives raft messages from one store until either side ends the stream.
func (s *service) Raft(stream raftStream) error {
	done := new(storepb.RaftDone)
	err := s.t.serve(stream.Context(), func(ctx context.Context, cancel context.CancelCauseFunc) (err error) {
		done.Messages, err = s.t.receiveFrames(ctx, cancel, stream)
		return err
	})
	if err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(done)
}

// Snapshot receives one snapshot.
func (s *service) Snapshot(stream snapshotStream) error {
	err := s.t.serve(stream.Context(), func(ctx context.Context, cancel context.CancelCauseFunc) error {
		return s.t.receiveChunks(ctx, cancel, stream)
	})
	if answer := toAnswer(err); answer != nil {
		return stream.SendAndClose(answer)
	}
	return toStatus(err)
}

// serve does the work of a call in a goroutine of its own, and returns its error, or the reason why its context ended.
// In that case the work may go on for a moment; the transport waits for it when it closes.
func (t *Transport) serve(
	ctx context.Context, work func(ctx context.Context, cancel context.CancelCauseFunc) error,
) error {
	done, err := t.begin()
	if err != nil {
		return err
	}
	ctx, cancel := t.bound(ctx)
	result := make(chan error, 1)
	go func() {
		defer done()
		result <- work(ctx, cancel)
	}()
	defer cancel(nil)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receiveFrames hands over frame after frame. It returns the number of messages that came, at the end of the stream.
func (t *Transport) receiveFrames(
	ctx context.Context, cancel context.CancelCauseFunc, stream raftStream,
) (messages uint64, err error) {
	stop := t.awaitHello(cancel, t.options.HelloTimeout)
	frame, err := stream.Recv()
	stop()
	if err == io.EOF || err == nil && frame.Hello == nil {
		return 0, t.malformed("hello: missing in the first frame")
	}
	if err != nil {
		return 0, t.unread(err)
	}
	s, err := t.welcome(ctx, cancel, toHello(frame.Hello))
	if err != nil {
		return 0, err
	}
	defer s.leave()
	for frame.Hello = nil; err == nil; frame, err = stream.Recv() {
		if err := t.receiveFrame(s, frame); err != nil {
			return messages, err
		}
		messages += uint64(len(frame.Messages))
	}
	if err == io.EOF {
		return messages, nil
	}
	return messages, t.unread(err)
}

// awaitHello ends a stream that has not said whose it is by then: until it does, it is nobody's, and there may be many. The
// function that it returns ends the wait.
func (t *Transport) awaitHello(cancel context.CancelCauseFunc, patience time.Duration) (stop func() bool) {
	return time.AfterFunc(patience, func() {
		t.count(func(s *Stats) { s.Refused.Silent++ })
		cancel(errSilent)
	}).Stop
}

func (t *Transport) receiveFrame(s *session, frame *storepb.Frame) error {
	if frame.Hello != nil {
		return t.malformed("hello: in a frame that is not the first")
	}
	messages, err := toMessages(frame, s.from, t.options.StoreID)
	if err != nil {
		return t.malformed(err.Error())
	}
	if !s.receive(messages) {
		return context.Cause(s.ctx)
	}
	return nil
}

// receiveChunks reads the hello and hands over the chunks.
func (t *Transport) receiveChunks(
	ctx context.Context, cancel context.CancelCauseFunc, stream snapshotStream,
) error {
	stop := t.awaitHello(cancel, t.options.SnapshotStall) // it comes with the first chunk, which the sender may wait for
	first, err := stream.Recv()
	stop()
	if err == io.EOF || err == nil && first.Hello == nil {
		return t.malformed("hello: missing in the first chunk")
	}
	if err != nil {
		return t.unread(err)
	}
	h := toHello(first.Hello)
	if err := t.checkHello(h); err != nil {
		return err
	}
	first.Hello = nil
	return t.receiveSnapshot(ctx, cancel, h.from, func() (snapshot.Chunk, error) {
		wire, err := first, error(nil)
		if first = nil; wire == nil {
			wire, err = stream.Recv()
		}
		if err != nil {
			return nil, t.unread(err)
		}
		return t.readChunk(wire)
	})
}

func (t *Transport) readChunk(wire *storepb.SnapshotChunk) (snapshot.Chunk, error) {
	if wire.Hello != nil {
		return nil, t.malformed("hello: in a chunk that is not the first")
	}
	chunk, err := toChunk(wire)
	if err != nil {
		return nil, t.malformed(err.Error())
	}
	return chunk, nil
}

// malformed counts what can't be read and makes the error of it, which ends the stream.
func (t *Transport) malformed(what string) error {
	t.count(func(s *Stats) { s.Refused.Malformed++ })
	return fmt.Errorf("%w: %s", errMalformed, what)
}

// unread is the error of a Recv. gRPC does not get as far as a frame if its bytes are none, or too many.
func (t *Transport) unread(err error) error {
	if s := status.Convert(err); s.Code() == codes.Internal || s.Code() == codes.ResourceExhausted {
		return t.malformed(s.Message())
	}
	return err
}

// toAnswer is the answer to a snapshot; nil if the error is one of the call rather than of the snapshot.
func toAnswer(err error) *storepb.SnapshotDone {
	switch {
	case err == nil:
		return &storepb.SnapshotDone{Outcome: storepb.SnapshotOutcome_TAKEN}
	case errors.Is(err, errBusy):
		return &storepb.SnapshotDone{Outcome: storepb.SnapshotOutcome_BUSY, Reason: err.Error()}
	case statusCode(err) != codes.Unknown:
		return nil
	}
	return &storepb.SnapshotDone{Outcome: storepb.SnapshotOutcome_REFUSED, Reason: err.Error()}
}

// toStatus is how an error of ours looks to the other side.
func toStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(statusCode(err), err.Error())
}

func statusCode(err error) codes.Code {
	switch {
	case errors.Is(err, errMalformed):
		return codes.InvalidArgument
	case errors.Is(err, errSilent):
		return codes.DeadlineExceeded
	case errors.Is(err, errTooMany):
		return codes.ResourceExhausted
	case errors.Is(err, errOtherCluster), errors.Is(err, errOtherStore), errors.Is(err, errOtherVersion):
		return codes.FailedPrecondition
	case errors.Is(err, errSuperseded):
		return codes.Aborted
	case errors.Is(err, ErrClosed), errors.Is(err, ErrCut), errors.Is(err, ErrSnapshotStalled):
		return codes.Unavailable
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}
