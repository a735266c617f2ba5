// Which handler a request of a BatchCommands frame goes to.

package server

import (
	"context"
	"errors"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tinykv/proto/tikvpb"
)

type (
	batchRequest  = tikvpb.BatchCommandsRequest_Request
	batchResponse = tikvpb.BatchCommandsResponse_Response
)

// dispatch answers one request of a frame, by the same handler that answers it as a unary call. There is always an
// answer, of the type that belongs to the request: what would be the status of a unary call becomes a text in that
// type.
func (s *Server) dispatch(ctx context.Context, req *batchRequest) *batchResponse {
	method := commandName(req)
	resp, err := s.serve(ctx, method, func(ctx context.Context) (any, error) { return s.route(ctx, req) })
	switch {
	case err == nil:
		return wrap(req, resp.(proto.Message))
	case errors.Is(err, errBusy):
		return busyRefusal(req)
	default:
		return refusal(req, status.Convert(err).Message())
	}
}

// route calls the handler of the request's command. For commands that nobody has written yet the error is errUnwritten.
func (s *Server) route(ctx context.Context, req *batchRequest) (proto.Message, error) {
	switch cmd := req.GetCmd().(type) {
	case *tikvpb.BatchCommandsRequest_Request_RawGet:
		return s.RawGet(ctx, cmd.RawGet)
	case *tikvpb.BatchCommandsRequest_Request_RawBatchGet:
		return s.RawBatchGet(ctx, cmd.RawBatchGet)
	case *tikvpb.BatchCommandsRequest_Request_RawPut:
		return s.RawPut(ctx, cmd.RawPut)
	case *tikvpb.BatchCommandsRequest_Request_RawBatchPut:
		return s.RawBatchPut(ctx, cmd.RawBatchPut)
	case *tikvpb.BatchCommandsRequest_Request_RawDelete:
		return s.RawDelete(ctx, cmd.RawDelete)
	case *tikvpb.BatchCommandsRequest_Request_RawBatchDelete:
		return s.RawBatchDelete(ctx, cmd.RawBatchDelete)
	case *tikvpb.BatchCommandsRequest_Request_RawScan:
		return s.RawScan(ctx, cmd.RawScan)
	case *tikvpb.BatchCommandsRequest_Request_RawBatchScan:
		return s.RawBatchScan(ctx, cmd.RawBatchScan)
	case *tikvpb.BatchCommandsRequest_Request_RawDeleteRange:
		return s.RawDeleteRange(ctx, cmd.RawDeleteRange)
	case *tikvpb.BatchCommandsRequest_Request_Empty:
		return &tikvpb.BatchCommandsEmptyResponse{TestId: cmd.Empty.GetTestId()}, nil
	}
	return nil, errUnwritten
}
