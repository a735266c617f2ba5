// What is done around each request, however it came in: room for it, numbers about it, and its name next to a panic.

package server

import (
	"context"
	"errors"
	"path"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
)

// handler is any of the calls, behind its types.
type handler func(ctx context.Context) (any, error)

// serve runs one request. With no room for it, it answers with the status busy and does not run it.
func (s *Server) serve(ctx context.Context, method string, h handler) (resp any, err error) {
	start := time.Now()
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	default:
		s.metrics.answered(method, 0, nil, errBusy)
		return nil, errBusy
	}
	s.metrics.running.Inc()
	defer s.metrics.running.Dec()
	defer s.name(method, &err)
	resp, err = h(ctx)
	s.metrics.answered(method, time.Since(start), resp, err)
	return resp, err
}

// name logs which request met a panic, and lets the panic end the process: an invariant of ours is broken, so nothing
// in memory can be trusted any more, and what is on disk can. A function that is not written yet (see unwritten) breaks
// nothing: it becomes the error of the request, if somebody wants to know of it.
func (s *Server) name(method string, err *error) {
	if cause := recover(); cause != nil {
		if *err = s.unwritten(method, cause); *err != nil {
			return
		}
		s.log.Error("a request broke an invariant, the process ends", "method", method, "panic", cause,
			"stack", string(debug.Stack()))
		panic(cause)
	}
}

// GRPCOptions are the options that a gRPC server needs to serve s as its clients expect.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	return append(transportOptions(), grpc.UnaryInterceptor(s.unary), grpc.StatsHandler(unaryCharges{s.budget}))
}

// unary leads every unary call through serve.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	method := path.Base(info.FullMethod)
	resp, err := s.serve(ctx, method, func(ctx context.Context) (any, error) { return next(ctx, req) })
	if errors.Is(err, errBusy) {
		if busy := busyAnswer(method); busy != nil {
			return busy, nil
		}
	}
	return resp, err
}
