// BatchCommands: many requests and many answers on one stream.
//
//	receiver ──frames──► loop ──► one goroutine per request ──answers──► sender
//	                       │            (at most streamRequests)          │
//	                       └── takes no frame while there is no room      └── all that are ready go into one frame
//
// Memory is bounded without any limit on the client: with no room for a request the loop waits, then the receiver
// does, then gRPC's flow control, then the client. A client that reads no answers blocks the sender, with it the
// handlers, and with them the loop. What its answers hold meanwhile is charged to the budget that all share.

package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tinykv/proto/tikvpb"
)

const (
	// streamRequests is how many requests of one stream run at once.
	streamRequests = 1024
	// frameAnswers bounds the answers in a frame: as many as a client asks for in one.
	frameAnswers = 128
	// frameBytes is the size at which a frame is sent without waiting for more answers, in bytes.
	frameBytes = 1 << 20
)

type (
	batchStream = grpc.BidiStreamingServer[tikvpb.BatchCommandsRequest, tikvpb.BatchCommandsResponse]
	batchFrame  = tikvpb.BatchCommandsRequest
)

// BatchCommands answers each request of each frame once, by its id, as soon as its answer is there and in no
// particular order. It ends without an error when the client has no more requests and all are answered, with
// Unavailable when the store is stopping (what was taken is answered before), and with InvalidArgument for a frame
// without an id for each request.
func (s *Server) BatchCommands(stream batchStream) error {
	b := &batchRun{
		server:  s,
		stream:  stream,
		room:    make(chan struct{}, streamRequests),
		answers: make(chan answer, frameAnswers),
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		b.send()
	}()
	err := b.receive()
	b.running.Wait()
	close(b.answers)
	<-sent
	return err
}

// batchRun is one stream.
type batchRun struct {
	server  *Server
	stream  batchStream
	running sync.WaitGroup
	room    chan struct{} // one element for each request in progress
	answers chan answer
}

// answer is a response, the id of the request that it belongs to, and what it holds until it is sent.
type answer struct {
	id       uint64
	response *batchResponse
	charge   *charge
}

// receive starts requests until the stream ends, and returns why it did.
func (b *batchRun) receive() error {
	frames, failed := b.frames()
	for {
		select {
		case frame := <-frames:
			if err := b.start(frame); err != nil {
				return err
			}
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-b.server.stopping:
			return status.Error(codes.Unavailable, "the store is stopping")
		}
	}
}

// frames receives in a goroutine of its own, because a receive can't be interrupted but by the end of the stream.
// That comes at the latest when BatchCommands returns.
func (b *batchRun) frames() (<-chan *batchFrame, <-chan error) {
	frames, failed := make(chan *batchFrame), make(chan error, 1)
	go func() {
		for {
			frame, err := b.stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- frame:
			case <-b.stream.Context().Done():
				failed <- status.FromContextError(b.stream.Context().Err()).Err()
				return
			}
		}
	}()
	return frames, failed
}

// start runs each request of the frame in a goroutine of its own, so that one that waits holds up no other.
func (b *batchRun) start(frame *batchFrame) error {
	if len(frame.GetRequests()) != len(frame.GetRequestIds()) {
		return status.Errorf(codes.InvalidArgument, "a frame of %d requests has %d ids",
			len(frame.GetRequests()), len(frame.GetRequestIds()))
	}
	ctx := b.stream.Context()
	for i, req := range frame.GetRequests() {
		select {
		case b.room <- struct{}{}:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		b.running.Add(1)
		go b.run(ctx, frame.GetRequestIds()[i], req)
	}
	return nil
}

// run answers one request.
func (b *batchRun) run(ctx context.Context, id uint64, req *batchRequest) {
	defer b.running.Done()
	defer func() { <-b.room }()
	held := &charge{budget: b.server.budget}
	b.answers <- answer{id, b.server.dispatch(withCharge(ctx, held), req), held}
}

// send sends answers until there will be no more. When the stream is broken it goes on taking them, so that no
// request waits for it.
func (b *batchRun) send() {
	broken := false
	for first := range b.answers {
		frame, charges := b.gather(first)
		if !broken {
			broken = b.stream.Send(frame) != nil
			b.server.metrics.frame.Observe(float64(len(frame.Responses)))
		}
		for _, c := range charges {
			c.release()
		}
	}
}

// gather makes a frame of first and of all answers that are ready now. It never waits: while one frame is being sent
// the next one's answers come together by themselves.
func (b *batchRun) gather(first answer) (frame *tikvpb.BatchCommandsResponse, charges []*charge) {
	frame = &tikvpb.BatchCommandsResponse{}
	size := 0
	for next, more := first, true; more; {
		frame.Responses = append(frame.Responses, next.response)
		frame.RequestIds = append(frame.RequestIds, next.id)
		charges = append(charges, next.charge)
		size += proto.Size(next.response)
		if len(frame.Responses) == frameAnswers || size >= frameBytes {
			break
		}
		select {
		case next, more = <-b.answers:
		default:
			more = false
		}
	}
	return frame, charges
}
