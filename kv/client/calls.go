// The RPCs: each as a unary call and, where the protocol has it, as a request in a frame of BatchCommands.

package client

import (
	"context"

	"google.golang.org/grpc"

	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

// request is one RPC, ready to be sent either way.
type request struct {
	name   string
	slow   bool // its work grows with the data, so only the caller's deadline bounds it
	unary  func(ctx context.Context, kv tikvpb.TikvClient, opts ...grpc.CallOption) (response, error)
	frame  *frameRequest                         // nil: unary only
	unwrap func(*frameResponse) (response, bool) // false: the answer is of another kind
}

// response is what every answer of a store has.
type response interface {
	GetRegionError() *errorpb.Error
}

type (
	frameRequest  = tikvpb.BatchCommandsRequest_Request
	frameResponse = tikvpb.BatchCommandsResponse_Response
)

// rpc ties the two ways of one RPC together.
func rpc[Req any, Res interface {
	comparable
	response
}](
	name string, req *Req, unary func(tikvpb.TikvClient, context.Context, *Req, ...grpc.CallOption) (Res, error),
	frame *frameRequest, unwrap func(*frameResponse) Res,
) request {
	r := request{name: name, frame: frame}
	r.unary = func(ctx context.Context, kv tikvpb.TikvClient, opts ...grpc.CallOption) (response, error) {
		return unary(kv, ctx, req, opts...)
	}
	r.unwrap = func(answer *frameResponse) (response, bool) {
		var none Res
		res := unwrap(answer)
		return res, res != none
	}
	return r
}

func rawGet(r *kvrpcpb.RawGetRequest) request {
	return rpc("RawGet", r, tikvpb.TikvClient.RawGet,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawGet{RawGet: r}}, (*frameResponse).GetRawGet)
}

func rawBatchGet(r *kvrpcpb.RawBatchGetRequest) request {
	return rpc("RawBatchGet", r, tikvpb.TikvClient.RawBatchGet,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchGet{RawBatchGet: r}},
		(*frameResponse).GetRawBatchGet)
}

func rawPut(r *kvrpcpb.RawPutRequest) request {
	return rpc("RawPut", r, tikvpb.TikvClient.RawPut,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawPut{RawPut: r}}, (*frameResponse).GetRawPut)
}

func rawBatchPut(r *kvrpcpb.RawBatchPutRequest) request {
	return rpc("RawBatchPut", r, tikvpb.TikvClient.RawBatchPut,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchPut{RawBatchPut: r}},
		(*frameResponse).GetRawBatchPut)
}

func rawDelete(r *kvrpcpb.RawDeleteRequest) request {
	return rpc("RawDelete", r, tikvpb.TikvClient.RawDelete,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawDelete{RawDelete: r}}, (*frameResponse).GetRawDelete)
}

func rawBatchDelete(r *kvrpcpb.RawBatchDeleteRequest) request {
	return rpc("RawBatchDelete", r, tikvpb.TikvClient.RawBatchDelete,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchDelete{RawBatchDelete: r}},
		(*frameResponse).GetRawBatchDelete)
}

func rawScan(r *kvrpcpb.RawScanRequest) request {
	return rpc("RawScan", r, tikvpb.TikvClient.RawScan,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawScan{RawScan: r}}, (*frameResponse).GetRawScan)
}

func rawDeleteRange(r *kvrpcpb.RawDeleteRangeRequest) request {
	req := rpc("RawDeleteRange", r, tikvpb.TikvClient.RawDeleteRange,
		&frameRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawDeleteRange{RawDeleteRange: r}},
		(*frameResponse).GetRawDeleteRange)
	req.slow = true
	return req
}

// The protocol has no frames for the following ones.

func rawCompareAndSwap(r *kvrpcpb.RawCASRequest) request {
	return rpc[kvrpcpb.RawCASRequest, *kvrpcpb.RawCASResponse](
		"RawCompareAndSwap", r, tikvpb.TikvClient.RawCompareAndSwap, nil, nil)
}

func rawGetKeyTTL(r *kvrpcpb.RawGetKeyTTLRequest) request {
	return rpc[kvrpcpb.RawGetKeyTTLRequest, *kvrpcpb.RawGetKeyTTLResponse](
		"RawGetKeyTTL", r, tikvpb.TikvClient.RawGetKeyTTL, nil, nil)
}

func rawChecksum(r *kvrpcpb.RawChecksumRequest) request {
	req := rpc[kvrpcpb.RawChecksumRequest, *kvrpcpb.RawChecksumResponse](
		"RawChecksum", r, tikvpb.TikvClient.RawChecksum, nil, nil)
	req.slow = true
	return req
}
