// What other programs may send to a store: everything.

package transport

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tinykv/kv/codec"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/proto/storepb"
	"tinykv/raft"
)

// stranger is a client of a store that does what it likes.
func stranger(t *testing.T, addr string) (*grpc.ClientConn, storepb.StoreClient) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, storepb.NewStoreClient(conn)
}

func goodHello() *storepb.Hello {
	return &storepb.Hello{ClusterId: 7, FromStore: 3, ToStore: 2, Version: protocolVersion}
}

func frameOf(h *storepb.Hello, messages ...replica.Message) *storepb.Frame {
	f := toFrame(messages)
	f.Hello = h
	return f
}

func TestStreamsThatMisbehaveAreEndedAndHurtNobodyElse(t *testing.T) {
	helloWith := func(change func(*storepb.Hello)) *storepb.Hello {
		h := goodHello()
		change(h)
		return h
	}
	broken := frameOf(nil, heartbeat(3, 2, 9))
	broken.Messages[0].Type = 77
	wrongHello := func(change func(*storepb.Hello)) []*storepb.Frame {
		return []*storepb.Frame{frameOf(helloWith(change), heartbeat(3, 2, 9))}
	}
	for _, test := range []struct {
		name   string
		frames []*storepb.Frame
		code   codes.Code
		want   string
		count  func(Refused) uint64
	}{
		{"no_hello", []*storepb.Frame{frameOf(nil, heartbeat(3, 2, 9))}, codes.InvalidArgument,
			"hello: missing in the first frame", func(r Refused) uint64 { return r.Malformed }},
		{"second_hello", []*storepb.Frame{frameOf(goodHello()), frameOf(goodHello())}, codes.InvalidArgument,
			"hello: in a frame that is not the first", func(r Refused) uint64 { return r.Malformed }},
		{"other_cluster", wrongHello(func(h *storepb.Hello) { h.ClusterId = 8 }),
			codes.FailedPrecondition, "you are of cluster 8", func(r Refused) uint64 { return r.Cluster }},
		{"other_store", wrongHello(func(h *storepb.Hello) { h.ToStore = 5 }),
			codes.FailedPrecondition, "you look for store 5", func(r Refused) uint64 { return r.Store }},
		{"our_own_id", wrongHello(func(h *storepb.Hello) { h.FromStore = 2 }),
			codes.FailedPrecondition, "give each store an id of its own", func(r Refused) uint64 { return r.Store }},
		{"later_version", wrongHello(func(h *storepb.Hello) { h.Version = 2 }),
			codes.FailedPrecondition, "run the same release", func(r Refused) uint64 { return r.Version }},
		{"garbage_after_a_good_start", []*storepb.Frame{frameOf(goodHello()), broken}, codes.InvalidArgument,
			"messages[0]: type: unknown, 77", func(r Refused) uint64 { return r.Malformed }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, nil)
			one, two := w.start(1), w.start(2)
			one.meet(t, two)
			_, client := stranger(t, two.addr)
			stream, err := client.Raft(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range test.frames {
				if err := stream.Send(f); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			_, err = stream.CloseAndRecv()
			if s := status.Convert(err); s.Code() != test.code || !strings.Contains(s.Message(), test.want) {
				t.Errorf("answer %v, want %v with %q", err, test.code, test.want)
			}
			if n := test.count(two.Stats().Refused); n != 1 {
				t.Errorf("counted %d times: %+v", n, two.Stats().Refused)
			}
			one.sendOne(2, 5)
			if got := numbers(two.waitForMessages(t, 1)); len(got) != 1 || got[0] != 5 {
				t.Errorf("arrived %v, want only what the well-behaved store sent", got)
			}
			if s := one.Stats(); s.Lost > 0 {
				t.Errorf("the well-behaved store lost its stream: %+v", s)
			}
		})
	}
}

// A frame with one bad message is refused as a whole.
func TestNothingOfAMalformedFrameIsUsed(t *testing.T) {
	w := newWorld(t, nil)
	two := w.start(2)
	_, client := stranger(t, two.addr)
	stream, err := client.Raft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := frameOf(goodHello(), heartbeat(3, 2, 1), heartbeat(3, 2, 2))
	f.Messages[1].RegionId = 0
	if err := stream.Send(f); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("answer %v", err)
	}
	if n := len(two.waitForMessages(t, 0)); n != 0 {
		t.Errorf("%d messages of a malformed frame were used", n)
	}
}

func TestTheAnswerCountsMessagesWhenTheSenderCloses(t *testing.T) {
	w := newWorld(t, nil)
	two := w.start(2)
	_, client := stranger(t, two.addr)
	stream, err := client.Raft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		f := frameOf(nil, heartbeat(3, 2, i), heartbeat(3, 2, i))
		if i == 0 {
			f.Hello = goodHello()
		}
		if err := stream.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := stream.CloseAndRecv(); err != nil || done.Messages != 6 {
		t.Errorf("answer %v, %v", done, err)
	}
}

func TestSnapshotStreamsThatMisbehave(t *testing.T) {
	for _, test := range []struct {
		name   string
		chunks []*storepb.SnapshotChunk
		code   codes.Code
		want   string
	}{
		{"no_hello", []*storepb.SnapshotChunk{{Data: []byte("x")}},
			codes.InvalidArgument, "hello: missing in the first chunk"},
		{"second_hello", []*storepb.SnapshotChunk{
			{Hello: goodHello(), Data: []byte("x")}, {Hello: goodHello(), Data: []byte("x")},
		}, codes.InvalidArgument, "hello: in a chunk that is not the first"},
		{"no_data", []*storepb.SnapshotChunk{{Hello: goodHello()}}, codes.InvalidArgument, "data: missing"},
		{"too_large", []*storepb.SnapshotChunk{{Hello: goodHello(), Data: make([]byte, snapshot.MaxChunkBytes+1)}},
			codes.InvalidArgument, "data: "},
		{"nothing", nil, codes.InvalidArgument, "hello: missing in the first chunk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, nil)
			two := w.start(2)
			two.onSnapshot(readAll(new(bytes.Buffer)))
			_, client := stranger(t, two.addr)
			stream, err := client.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range test.chunks {
				if err := stream.Send(c); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			answer, err := stream.CloseAndRecv()
			if s := status.Convert(err); s.Code() != test.code || !strings.Contains(s.Message(), test.want) {
				t.Errorf("answer %v, %v; want %v with %q", answer, err, test.code, test.want)
			}
			await(t, "end of the transfer", func() bool { return two.Stats().SnapshotsReceived.Ongoing == 0 })
		})
	}
}

// Frames that are no frames at all: gRPC or protobuf refuses most, the conversion the rest.
func TestRandomBytesInsteadOfFrames(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.start(1), w.start(2)
	one.meet(t, two)
	conn, _ := stranger(t, two.addr)
	rng := rand.New(rand.NewPCG(1, 2))
	hello, err := proto.Marshal(frameOf(goodHello()))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		desc := &grpc.StreamDesc{ClientStreams: true}
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := conn.NewStream(ctx, desc, storepb.Store_Raft_FullMethodName, grpc.ForceCodec(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, rng.IntN(200))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 { // a field of a frame that has noise in it
			noise = protowire.AppendBytes([]byte{2<<3 | 2}, noise)
		}
		for _, bytes := range [][]byte{hello, noise} {
			if err := stream.SendMsg(bytes); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		var answer []byte
		_ = stream.RecvMsg(&answer) // ends, whatever it is
		cancel()
	}
	one.sendOne(2, 5)
	two.waitFor(t, "message of the well-behaved store", func() bool {
		for i := range two.messages {
			if m := &two.messages[i]; m.From.StoreID == 1 && m.Raft.Context == 5 {
				return true
			}
		}
		return false
	})
	if s := one.Stats(); s.Lost > 0 {
		t.Errorf("the well-behaved store lost its stream: %+v", s)
	}
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}
func (rawCodec) Name() string { return "proto" }

// A frame may say in a few bytes that it holds a great many messages, each of which would take a hundred times as much. It
// is refused before that, and whoever sends it need not even have said hello.
func TestFramesOfTooMuchAreRefusedBeforeTheyTakeMemory(t *testing.T) {
	messages := func(n int) []byte { return bytes.Repeat([]byte{2<<3 | 2, 0}, n) }
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"messages":              {messages(4 << 20), "too many parts"},
		"bytes":                 {protowire.AppendBytes([]byte{5<<3 | 2}, make([]byte, 65<<20)), "larger than max"},
		"ends within a message": {append(messages(1<<16), 2<<3|2, 9), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			two := w.start(2)
			conn, _ := stranger(t, two.addr)
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, storepb.Store_Raft_FullMethodName,
				grpc.ForceCodec(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := stream.SendMsg(c.frame); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			var answer []byte
			err = stream.RecvMsg(&answer)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("answer %v, want %q", err, c.want)
			}
			if n := two.Stats().Refused.Malformed; n != 1 {
				t.Errorf("counted %d times", n)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 300<<20 {
				t.Errorf("%d MiB were taken for a frame of %d MiB", got>>20, len(c.frame)>>20)
			}
		})
	}
}

// The largest frames that a sender makes are no more than a receiver takes.
func TestTheLargestFramesAreTaken(t *testing.T) {
	small := make([]replica.Message, maxFrameMessages)
	for i := range small {
		small[i] = heartbeat(1, 2, 1)
	}
	long := heartbeat(1, 2, 1)
	long.Raft.Type, long.Raft.Entries = raft.MsgApp, make([]raft.Entry, maxEntries)
	for name, messages := range map[string][]replica.Message{"messages": small, "entries": {long, long}} {
		encoded, err := proto.Marshal(toFrame(messages))
		if err != nil {
			t.Fatal(err)
		}
		if err := codec.Check(encoded, new(storepb.Frame).ProtoReflect().Descriptor()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreamsThatSayNothingAreEnded(t *testing.T) {
	w := newWorld(t, nil)
	o := w.options(2)
	o.HelloTimeout, o.SnapshotStall = 20*time.Millisecond, 20*time.Millisecond
	two := w.startWith(o)
	_, client := stranger(t, two.addr)
	frames, err := client.Raft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"frames": frames.RecvMsg(new(storepb.RaftDone)), "chunks": chunks.RecvMsg(new(storepb.SnapshotDone)),
	} {
		if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := two.Stats().Refused.Silent; n != 2 {
		t.Errorf("counted %d times", n)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.start(1), w.start(2)
	one.meet(t, two)
	_, client := stranger(t, two.addr)
	ctx, cancel := context.WithCancel(t.Context())
	streams := make([]storepb.Store_RaftClient, maxVisitors+50)
	for i := range streams {
		var err error
		if streams[i], err = client.Raft(ctx); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "refusals", func() bool { return two.Stats().Refused.TooMany == 51 }) // one has a stream
	one.sendOne(2, 5)
	if got := numbers(two.waitForMessages(t, 1)); len(got) != 1 || got[0] != 5 {
		t.Errorf("arrived %v", got)
	}
	cancel()
	three := w.start(3)
	three.meet(t, two) // there is room again
}
