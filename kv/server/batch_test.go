package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"tinykv/kv/engine"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

func TestEveryRequestOfAFrameIsAnsweredByItsID(t *testing.T) {
	storage, _ := newPlain(t)
	d := open(t, storage, Options{})
	stream := d.stream()
	const n = 300
	for i := range uint64(n) {
		send(t, stream, i, putRequest(fmt.Sprint("key", i), fmt.Sprint("value", i)))
	}
	receive(t, stream, n)
	var gets []*batchRequest
	for i := range n {
		gets = append(gets, getRequest(fmt.Sprint("key", i)))
	}
	send(t, stream, 1000, gets...)
	answers, frames := receive(t, stream, n)
	for i := range uint64(n) {
		if got := string(answers[1000+i].GetRawGet().GetValue()); got != fmt.Sprint("value", i) {
			t.Errorf("request %d is answered with %q", 1000+i, got)
		}
	}
	if frames >= n {
		t.Errorf("%d answers came in %d frames: none shared one", n, frames)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("at its end the stream says %v", err)
	}
}

// gated lets writes of keys that begin with "slow" wait until open is closed.
type gated struct {
	plain
	waiting chan struct{} // gets an element for each write that waits
	open    chan struct{}
}

func (g gated) Write(ctx context.Context, rc *kvrpcpb.Context, b *engine.Batch) error {
	for op := range b.Ops() {
		if strings.HasPrefix(string(op.Key), "slow") {
			g.waiting <- struct{}{}
			<-g.open
		}
	}
	return g.plain.Write(ctx, rc, b)
}

func newGated(t *testing.T) gated {
	storage, _ := newPlain(t)
	return gated{storage, make(chan struct{}, 100), make(chan struct{})}
}

func TestRequestThatWaitsHoldsUpNoOther(t *testing.T) {
	g := newGated(t)
	stream := open(t, g, Options{}).stream()
	send(t, stream, 1, putRequest("slow", "1"), putRequest("fast", "2"))
	answers, _ := receive(t, stream, 1)
	if answers[2] == nil {
		t.Fatalf("the request that waits was answered first: %v", answers)
	}
	send(t, stream, 3, getRequest("fast"))
	if answers, _ = receive(t, stream, 1); string(answers[3].GetRawGet().GetValue()) != "2" {
		t.Errorf("the next frame got %v", answers)
	}
	close(g.open)
	if answers, _ = receive(t, stream, 1); answers[1].GetRawPut() == nil {
		t.Errorf("the request that waited got %v", answers)
	}
}

func TestStopAnswersWhatWasTakenAndEndsTheStream(t *testing.T) {
	g := newGated(t)
	d := open(t, g, Options{})
	stream := d.stream()
	send(t, stream, 1, putRequest("slow", "1"))
	<-g.waiting
	stopped := make(chan struct{})
	go func() { d.stop(); close(stopped) }()
	<-d.server.stopping
	close(g.open)
	if answers, _ := receive(t, stream, 1); answers[1].GetRawPut() == nil || answers[1].GetRawPut().Error != "" {
		t.Errorf("the request in flight got %v", answers)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v, want Unavailable", err)
	}
	<-stopped
}

func TestFrameWithoutAnIDForEachRequestEndsTheStream(t *testing.T) {
	storage, _ := newPlain(t)
	stream := open(t, storage, Options{}).stream()
	if err := stream.Send(&tikvpb.BatchCommandsRequest{Requests: []*batchRequest{getRequest("a")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
}

func TestEmptyFrameAndEmptyCommandAreHarmless(t *testing.T) {
	storage, _ := newPlain(t)
	stream := open(t, storage, Options{}).stream()
	send(t, stream, 1)
	send(t, stream, 1, &batchRequest{}, &batchRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_Empty{
		Empty: &tikvpb.BatchCommandsEmptyRequest{TestId: 9},
	}})
	answers, _ := receive(t, stream, 2)
	if answers[1].GetCmd() != nil || answers[2].GetEmpty().GetTestId() != 9 {
		t.Errorf("got %v", answers)
	}
}

// Every command there is: an answer of its own type, and one that a client does not take for success if nobody has written the
// handler.
func TestEveryCommandIsAnsweredByItsOwnType(t *testing.T) {
	storage, _ := newPlain(t)
	server := New(storage, Options{})
	commands := (&batchRequest{}).ProtoReflect().Descriptor().Oneofs().ByName("cmd").Fields()
	unwritten := 0
	for i := range commands.Len() {
		command := commands.Get(i)
		req := &batchRequest{}
		m := req.ProtoReflect()
		m.Set(command, m.NewField(command))
		resp := server.dispatch(t.Context(), req)
		answered := commandOf(resp.ProtoReflect())
		if answered == nil || answered.Number() != command.Number() {
			t.Errorf("%s is answered by %v", command.Name(), resp)
			continue
		}
		bare := resp.ProtoReflect().Get(answered).Message()
		if _, err := server.route(t.Context(), req); status.Code(err) == codes.Unimplemented {
			unwritten++
			if !errorField(bare) || !strings.Contains(fmt.Sprint(bare.Interface()), "Unimplemented") {
				t.Errorf("%s is not written, and the answer is %v", command.Name(), resp)
			}
		}
	}
	t.Logf("%d commands, %d of them not written yet", commands.Len(), unwritten)
}

// errorField tells whether an answer says something in a field for errors that all clients read.
func errorField(m protoreflect.Message) bool {
	for _, name := range []protoreflect.Name{"error", "errors", "region_error"} {
		if field := m.Descriptor().Fields().ByName(name); field != nil && m.Has(field) {
			return true
		}
	}
	return false
}

func TestBusyProcessSaysSo(t *testing.T) {
	g := newGated(t)
	d := open(t, g, Options{MaxRequests: 1})
	stream := d.stream()
	send(t, stream, 1, putRequest("slow", "1"))
	<-g.waiting
	send(t, stream, 2, getRequest("a"))
	answers, _ := receive(t, stream, 1)
	if answers[2].GetRawGet().GetRegionError().GetServerIsBusy() == nil {
		t.Errorf("in a frame: %v, want ServerIsBusy", answers)
	}
	got, err := d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Key: []byte("a")})
	if err != nil || got.GetRegionError().GetServerIsBusy() == nil {
		t.Errorf("unary: %v, %v, want ServerIsBusy", got, err)
	}
	if busyAnswer("GetStoreSafeTS") != nil || busyAnswer("NoSuchCall") != nil {
		t.Error("an answer without room for a region error can't say that the store is busy: a status does")
	}
	close(g.open)
}

// Random bytes and random fields: every request has an answer, and none panics.
func FuzzRequests(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		seed := make([]byte, random.IntN(60))
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	for _, req := range []*batchRequest{putRequest("a", "b"), getRequest("a"), {}} {
		b, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		storage, _ := newPlain(t)
		server := New(storage, Options{})
		req := &batchRequest{}
		if proto.Unmarshal(data, req) == nil {
			server.dispatch(t.Context(), req)
		}
		// The same bytes as the fields of each command.
		commands := req.ProtoReflect().Descriptor().Oneofs().ByName("cmd").Fields()
		for i := range commands.Len() {
			req := &batchRequest{}
			m := req.ProtoReflect()
			field := m.NewField(commands.Get(i))
			if proto.Unmarshal(data, field.Message().Interface()) == nil {
				m.Set(commands.Get(i), field)
				if resp := server.dispatch(t.Context(), req); resp.GetCmd() == nil {
					t.Errorf("no answer to %v", req)
				}
			}
		}
		if err := storage.Close(); err != nil {
			t.Error(err) // hangs if a request left a snapshot open
		}
	})
}

func TestOutcomesAreCountedUnderOneName(t *testing.T) {
	for want, resp := range map[string]any{
		"ok":           &kvrpcpb.RawGetResponse{NotFound: true},
		"error":        &kvrpcpb.RawGetResponse{Error: "bad"},
		"region_error": &kvrpcpb.RawGetResponse{RegionError: &errorpb.Error{}},
	} {
		if got := outcome(resp, nil); got != want {
			t.Errorf("%v counts as %q, want %q", resp, got, want)
		}
	}
	if got := outcome(&kvrpcpb.RawScanResponse{RegionError: hopeless("bad")}, nil); got != "error" {
		t.Errorf("a scan's bad input counts as %q", got)
	}
	if got := outcome(nil, errBusy); got != "status" {
		t.Errorf("a status counts as %q", got)
	}
}
