// Frames: many requests in one message of a BatchCommands stream, answered by id in any order.
//
//	callers ──► line ──► writer: takes all that stand in line, one frame ──► stream ──► store
//	   ▲                                                                                  │
//	   └────────────── reader: by id, from the table of open requests ◄──────────────────┘
//
// The writer never waits for more requests to come: while it writes one frame, the next ones line up. So a single
// caller waits for nobody, and under load frames fill by themselves.

package client

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/proto/tikvpb"
)

const (
	maxFrame = 128  // requests in one frame, as TiKV's own client has it
	lineSize = 1024 // callers that can stand in line without blocking each other
)

// frames is the stream on one connection. It is opened when first needed, and again after it broke.
type frames struct {
	kv   tikvpb.TikvClient
	line chan *pending
	ctx  context.Context
	end  context.CancelFunc
	work sync.WaitGroup // writer and readers

	mu     sync.Mutex // guards all below
	nextID uint64
	open   map[uint64]*pending // sent, not answered
	stream *frameStream        // nil: to be opened
}

type frameStream struct {
	tikvpb.Tikv_BatchCommandsClient
	cancel context.CancelFunc
}

// pending is a request whose caller waits.
type pending struct {
	ctx    context.Context
	req    request
	answer chan answered // has room for one
	id     uint64        // once sent; guarded by frames.mu
}

type answered struct {
	res response
	err error
}

func newFrames(kv tikvpb.TikvClient) *frames {
	f := &frames{kv: kv, line: make(chan *pending, lineSize), open: map[uint64]*pending{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.work.Go(f.write)
	return f
}

// send stands in line and waits for the answer.
func (f *frames) send(ctx context.Context, req request) (response, error) {
	p := &pending{ctx: ctx, req: req, answer: make(chan answered, 1)}
	select {
	case f.line <- p:
	case <-ctx.Done():
		return nil, unsent{status.FromContextError(ctx.Err()).Err()}
	case <-f.ctx.Done():
		return nil, unsent{ErrClosed}
	}
	select {
	case a := <-p.answer:
		return a.res, a.err
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		err := status.FromContextError(ctx.Err()).Err()
		if p.id == 0 { // the writer will see that its caller has left
			return nil, unsent{err}
		}
		delete(f.open, p.id) // the answer, if it still comes, finds nobody
		return nil, err
	case <-f.ctx.Done():
		return nil, ErrClosed
	}
}

// write is the writer: it owns the sending side of the stream.
func (f *frames) write() {
	for {
		var frame tikvpb.BatchCommandsRequest
		select {
		case p := <-f.line:
			f.add(&frame, p)
		case <-f.ctx.Done():
			return
		}
		for more := true; more && len(frame.Requests) < maxFrame; {
			select {
			case p := <-f.line:
				f.add(&frame, p)
			default:
				more = false
			}
		}
		if len(frame.Requests) == 0 {
			continue
		}
		s, err := f.currentStream()
		if err == nil {
			// its error says only that the stream is over; the reader hears why, and tells the callers
			err = s.Send(&frame)
		}
		if s == nil {
			f.fail(frame.RequestIds, err)
		}
	}
}

// add puts a request into the frame, unless its caller has left.
func (f *frames) add(frame *tikvpb.BatchCommandsRequest, p *pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	f.nextID++
	p.id = f.nextID
	f.open[p.id] = p
	frame.Requests = append(frame.Requests, p.req.frame)
	frame.RequestIds = append(frame.RequestIds, p.id)
}

// currentStream opens the stream if there is none.
func (f *frames) currentStream() (*frameStream, error) {
	f.mu.Lock()
	s := f.stream
	f.mu.Unlock()
	if s != nil {
		return s, nil
	}
	ctx, cancel := context.WithCancel(f.ctx)
	client, err := f.kv.BatchCommands(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s = &frameStream{client, cancel}
	f.mu.Lock()
	f.stream = s
	f.mu.Unlock()
	f.work.Go(func() { f.read(s) })
	return s, nil
}

// read is the reader of one stream. When the stream ends, so do all requests that are open: the store will not answer
// them any more.
func (f *frames) read(s *frameStream) {
	for {
		frame, err := s.Recv()
		if err == nil && len(frame.GetResponses()) != len(frame.GetRequestIds()) {
			err = status.Error(codes.Internal, "a frame with different numbers of answers and ids")
		}
		if err != nil {
			f.broken(s, err)
			return
		}
		for i, id := range frame.GetRequestIds() {
			f.deliver(id, frame.GetResponses()[i])
		}
	}
}

func (f *frames) deliver(id uint64, res *frameResponse) {
	f.mu.Lock()
	p, ok := f.open[id]
	delete(f.open, id)
	f.mu.Unlock()
	if !ok {
		return // its caller has left
	}
	r, ok := p.req.unwrap(res)
	if !ok {
		p.answer <- answered{err: status.Errorf(codes.Unimplemented, "the store answered %s with %T", p.req.name,
			res.GetCmd())}
		return
	}
	p.answer <- answered{res: r}
}

// broken ends a stream and all that is open on it.
func (f *frames) broken(s *frameStream, err error) {
	s.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stream == s {
		f.stream = nil
	}
	if status.Code(err) != codes.Unimplemented { // by the end of the stream the store says nothing about the requests
		err = status.Errorf(codes.Unavailable, "the stream to the store ended: %v", status.Convert(err).Message())
	}
	for id, p := range f.open {
		delete(f.open, id)
		p.answer <- answered{err: err}
	}
}

// fail answers requests that were never sent.
func (f *frames) fail(ids []uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if p, ok := f.open[id]; ok {
			delete(f.open, id)
			p.answer <- answered{err: unsent{err}}
		}
	}
}

// close ends the stream and waits for its goroutines.
func (f *frames) close() {
	f.end()
	f.work.Wait()
}
