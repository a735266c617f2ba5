// The workbench of the tests: a server on an engine in memory, reached by gRPC within the process.

package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// plain is the simplest Storage: an engine.
type plain struct{ engine.Engine }

func (p plain) Snapshot(context.Context, *kvrpcpb.Context) (engine.Snapshot, error) {
	return p.Engine.Snapshot()
}

func (p plain) Write(_ context.Context, _ *kvrpcpb.Context, b *engine.Batch) error {
	return p.Engine.Write(b, engine.Synced)
}

func newPlain(t *testing.T) (plain, *mem.Disk) {
	t.Helper()
	disk := mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{})
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	return plain{e}, disk
}

// clock is a clock that tests move, in seconds.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds.Load(), 0) }

// desk is a server that can be called.
type desk struct {
	t      *testing.T
	server *Server
	kv     tikvpb.TikvClient
	stop   func()
}

func open(t *testing.T, storage Storage, options Options) *desk {
	t.Helper()
	options.Logger = slog.New(slog.DiscardHandler)
	d := &desk{t: t, server: New(storage, options)}
	lis := bufconn.Listen(1 << 20)
	g := grpc.NewServer(d.server.GRPCOptions()...)
	d.server.Register(g)
	go g.Serve(lis)
	conn, err := grpc.NewClient("passthrough:///store",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageSize), grpc.MaxCallSendMsgSize(maxMessageSize)))
	if err != nil {
		t.Fatal(err)
	}
	d.kv = tikvpb.NewTikvClient(conn)
	d.stop = func() {
		d.server.Stop()
		g.GracefulStop()
	}
	t.Cleanup(func() { conn.Close(); g.Stop() })
	return d
}

func (d *desk) ctx() context.Context {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	d.t.Cleanup(cancel)
	return ctx
}

func (d *desk) stream() grpc.BidiStreamingClient[tikvpb.BatchCommandsRequest, tikvpb.BatchCommandsResponse] {
	d.t.Helper()
	stream, err := d.kv.BatchCommands(d.ctx())
	if err != nil {
		d.t.Fatal(err)
	}
	return stream
}

// send sends a frame of requests, whose ids count from first.
func send(t *testing.T, stream grpc.BidiStreamingClient[tikvpb.BatchCommandsRequest, tikvpb.BatchCommandsResponse],
	first uint64, requests ...*batchRequest) {
	t.Helper()
	frame := &tikvpb.BatchCommandsRequest{Requests: requests}
	for i := range requests {
		frame.RequestIds = append(frame.RequestIds, first+uint64(i))
	}
	if err := stream.Send(frame); err != nil {
		t.Fatal(err)
	}
}

// receive takes n answers, by id, and the number of frames that they came in. An id that comes twice is a failure.
func receive(t *testing.T, stream grpc.BidiStreamingClient[tikvpb.BatchCommandsRequest, tikvpb.BatchCommandsResponse],
	n int) (answers map[uint64]*batchResponse, frames int) {
	t.Helper()
	answers = map[uint64]*batchResponse{}
	for len(answers) < n {
		frame, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d of %d answers: %v", len(answers), n, err)
		}
		frames++
		if len(frame.Responses) != len(frame.RequestIds) {
			t.Fatalf("a frame of %d answers with %d ids", len(frame.Responses), len(frame.RequestIds))
		}
		for i, id := range frame.RequestIds {
			if answers[id] != nil {
				t.Fatalf("request %d was answered twice", id)
			}
			answers[id] = frame.Responses[i]
		}
	}
	return answers, frames
}

func putRequest(key, value string) *batchRequest {
	return &batchRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawPut{
		RawPut: &kvrpcpb.RawPutRequest{Key: []byte(key), Value: []byte(value)},
	}}
}

func getRequest(key string) *batchRequest {
	return &batchRequest{Cmd: &tikvpb.BatchCommandsRequest_Request_RawGet{
		RawGet: &kvrpcpb.RawGetRequest{Key: []byte(key)},
	}}
}
