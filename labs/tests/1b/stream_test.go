// BatchCommands: many requests in one frame, each answered under its id.

package stage1b_test

import (
	"fmt"
	"testing"

	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

type (
	request  = tikvpb.BatchCommandsRequest_Request
	response = tikvpb.BatchCommandsResponse_Response

	inEmpty          = tikvpb.BatchCommandsRequest_Request_Empty
	inRawBatchDelete = tikvpb.BatchCommandsRequest_Request_RawBatchDelete
	inRawBatchGet    = tikvpb.BatchCommandsRequest_Request_RawBatchGet
	inRawBatchPut    = tikvpb.BatchCommandsRequest_Request_RawBatchPut
	inRawBatchScan   = tikvpb.BatchCommandsRequest_Request_RawBatchScan
	inRawDelete      = tikvpb.BatchCommandsRequest_Request_RawDelete
	inRawDeleteRange = tikvpb.BatchCommandsRequest_Request_RawDeleteRange
	inRawGet         = tikvpb.BatchCommandsRequest_Request_RawGet
	inRawPut         = tikvpb.BatchCommandsRequest_Request_RawPut
	inRawScan        = tikvpb.BatchCommandsRequest_Request_RawScan
)

// frame sends one frame and collects the answers to all of its requests.
func (d *desk) frame(stream tikvpb.Tikv_BatchCommandsClient, ids []uint64, reqs []*request) map[uint64]*response {
	d.t.Helper()
	if err := stream.Send(&tikvpb.BatchCommandsRequest{Requests: reqs, RequestIds: ids}); err != nil {
		d.t.Fatal(err)
	}
	waiting := map[uint64]bool{}
	for _, id := range ids {
		waiting[id] = true
	}
	answers := map[uint64]*response{}
	for len(waiting) > 0 {
		r, err := stream.Recv()
		if err != nil {
			d.broken(fmt.Sprintf("answers to the requests %v", ids), "the stream ended: "+err.Error())
		}
		if len(r.GetRequestIds()) != len(r.GetResponses()) {
			d.broken("one id for each answer of a frame", fmt.Sprintf("%d ids, %d answers", len(r.GetRequestIds()),
				len(r.GetResponses())))
		}
		for i, id := range r.GetRequestIds() {
			if !waiting[id] {
				d.broken("one answer for each id that was sent", fmt.Sprintf("id %d a second time, or never sent", id))
			}
			delete(waiting, id)
			answers[id] = r.GetResponses()[i]
		}
	}
	return answers
}

func TestBatchCommandsAnswersEachRequest(t *testing.T) {
	d := open(t, answered)
	d.batchPut(pair{"a", "1"}, pair{"b", ""}, pair{"x", "9"}, pair{"y", "9"}, pair{"z", "9"})
	stream, err := d.kv.BatchCommands(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	d.say("BatchCommands: one frame with each raw request that a frame can carry, and ids that are no row of numbers")
	ids := []uint64{900, 3, 77, 1 << 60, 5, 42, 6, 8, 1000, 11, 12, 13}
	got := d.frame(stream, ids, []*request{
		{Cmd: &inRawGet{RawGet: &kvrpcpb.RawGetRequest{Key: []byte("a")}}},
		{Cmd: &inRawGet{RawGet: &kvrpcpb.RawGetRequest{Key: []byte("missing")}}},
		{Cmd: &inRawBatchGet{RawBatchGet: &kvrpcpb.RawBatchGetRequest{Keys: bytesOf([]string{"b", "c?", "a"})}}},
		{Cmd: &inRawPut{RawPut: &kvrpcpb.RawPutRequest{Key: []byte("p"),
			Value: []byte("put")}}},
		{Cmd: &inRawBatchPut{RawBatchPut: &kvrpcpb.RawBatchPutRequest{Pairs: []*kvrpcpb.KvPair{{Key: []byte("q"),
			Value: []byte("bp")}}}}},
		{Cmd: &inRawDelete{RawDelete: &kvrpcpb.RawDeleteRequest{Key: []byte("x")}}},
		{Cmd: &inRawBatchDelete{RawBatchDelete: &kvrpcpb.RawBatchDeleteRequest{Keys: bytesOf([]string{"y"})}}},
		{Cmd: &inRawScan{RawScan: &kvrpcpb.RawScanRequest{EndKey: []byte("c"), Limit: 5}}},
		{Cmd: &inRawDeleteRange{RawDeleteRange: &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("z")}}},
		{Cmd: &inRawPut{RawPut: &kvrpcpb.RawPutRequest{Key: nil, Value: []byte("no key")}}},
		{Cmd: &inRawBatchScan{RawBatchScan: &kvrpcpb.RawBatchScanRequest{
			Ranges: []*kvrpcpb.KeyRange{{StartKey: []byte("a"), EndKey: []byte("b")}}, EachLimit: 3}}},
		{Cmd: &inEmpty{Empty: &tikvpb.BatchCommandsEmptyRequest{TestId: 21}}},
	})
	type check struct { // what must hold for the answer under an id
		id    uint64
		what  string
		right bool
	}
	for _, c := range []check{
		{900, `RawGet: "1"`, string(got[900].GetRawGet().GetValue()) == "1" && !got[900].GetRawGet().GetNotFound()},
		{3, `RawGet: not_found`, got[3].GetRawGet() != nil && got[3].GetRawGet().GetNotFound()},
		{77, `RawBatchGet: "b"="" "a"="1"`, list(plain(got[77].GetRawBatchGet().GetPairs())) == list([]pair{{"b", ""},
			{"a", "1"}})},
		{1 << 60, "RawPut: no error", got[1<<60].GetRawPut() != nil && !troubleOf(got[1<<60].GetRawPut(), nil).any()},
		{5, "RawBatchPut: no error", got[5].GetRawBatchPut() != nil && !troubleOf(got[5].GetRawBatchPut(), nil).any()},
		{42, "RawDelete: no error", got[42].GetRawDelete() != nil && !troubleOf(got[42].GetRawDelete(), nil).any()},
		{6, "RawBatchDelete: no error", got[6].GetRawBatchDelete() != nil && !troubleOf(got[6].GetRawBatchDelete(),
			nil).any()},
		{8, `RawScan: "a"="1" "b"=""`, list(plain(got[8].GetRawScan().GetKvs())) == list([]pair{{"a", "1"}, {"b", ""}})},
		{1000, "RawDeleteRange: no error",
			got[1000].GetRawDeleteRange() != nil && !troubleOf(got[1000].GetRawDeleteRange(), nil).any()},
		{12, `RawBatchScan: "a"="1"`, list(plain(got[12].GetRawBatchScan().GetKvs())) == list([]pair{{"a", "1"}})},
		{13, "Empty: test_id 21", got[13].GetEmpty().GetTestId() == 21},
		{11, "RawPut: an error, the key is empty", got[11].GetRawPut() != nil && troubleOf(got[11].GetRawPut(), nil).any()},
	} {
		if !c.right {
			d.broken(fmt.Sprintf("under id %d, %s", c.id, c.what), fmt.Sprint(got[c.id]))
		}
	}
	d.rule = roundTrip
	d.yields(query{limit: 10}, pair{"a", "1"}, pair{"b", ""}, pair{"p", "put"}, pair{"q", "bp"})
	d.settled()
}

func TestBatchCommandsDoesNotWaitForTheSlow(t *testing.T) {
	d := open(t, answered)
	d.put("a", "1")
	d.store.reset()
	release := make(chan struct{})
	d.store.onWrite = func(int) { <-release }
	stream, err := d.kv.BatchCommands(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	d.say("BatchCommands: a frame with a RawPut whose write hangs, and 20 RawGets")
	ids, reqs := []uint64{1}, []*request{{Cmd: &inRawPut{RawPut: &kvrpcpb.RawPutRequest{Key: []byte("b")}}}}
	for i := range uint64(20) {
		ids = append(ids, 2+i)
		reqs = append(reqs, &request{Cmd: &inRawGet{RawGet: &kvrpcpb.RawGetRequest{Key: []byte("a")}}})
	}
	if err := stream.Send(&tikvpb.BatchCommandsRequest{Requests: reqs, RequestIds: ids}); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for len(seen) < 20 {
		r, err := stream.Recv()
		if err != nil {
			close(release)
			d.broken("the answers to the 20 RawGets, while the write hangs", fmt.Sprintf("%d answers, then: %v", len(seen), err))
		}
		for i, id := range r.GetRequestIds() {
			if id == 1 || seen[id] || string(r.GetResponses()[i].GetRawGet().GetValue()) != "1" {
				d.broken(`each RawGet is answered once with "1", the RawPut not yet`, fmt.Sprintf("id %d: %v", id,
					r.GetResponses()[i]))
			}
			seen[id] = true
		}
	}
	close(release)
	r, err := stream.Recv()
	if err != nil || len(r.GetRequestIds()) != 1 || r.GetRequestIds()[0] != 1 || r.GetResponses()[0].GetRawPut() == nil {
		d.broken("the answer to the RawPut when its write is done", fmt.Sprint(r, err))
	}
}
