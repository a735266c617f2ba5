package codec

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tinykv/proto/kvrpcpb"
	"tinykv/proto/storepb"
	"tinykv/proto/tikvpb"
)

// read decodes bytes as a gRPC server does, and returns what memory that took.
func read(b []byte, into proto.Message) (taken uint64, err error) {
	c := codec{encoding.GetCodecV2(protocodec.Name)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, into)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// field is a field that holds bytes.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func TestMessagesOfTooManyPartsAreRefusedBeforeTheyTakeMemory(t *testing.T) {
	const n = 8 << 20
	for name, c := range map[string]struct {
		bytes []byte
		into  proto.Message
	}{
		"messages of a frame": {bytes.Repeat(field(2, nil), n), new(storepb.Frame)},
		"entries":             {field(2, bytes.Repeat(field(11, nil), n)), new(storepb.Frame)},
		"entries of many":     {bytes.Repeat(field(2, bytes.Repeat(field(11, nil), 100)), n/100), new(storepb.Frame)},
		"pairs":               {bytes.Repeat(field(2, nil), n), new(kvrpcpb.RawBatchPutRequest)},
		"keys":                {bytes.Repeat(field(2, nil), n), new(kvrpcpb.RawBatchGetRequest)},
		"requests":            {bytes.Repeat(field(1, nil), n), new(tikvpb.BatchCommandsRequest)},
		"fields of no name":   {bytes.Repeat(field(999, nil), n), new(kvrpcpb.RawGetRequest)},
	} {
		taken, err := read(c.bytes, c.into)
		if !errors.Is(err, ErrTooManyParts) {
			t.Errorf("%s: %v", name, err)
		}
		if taken > uint64(len(c.bytes))+1<<20 { // gRPC puts the pieces together
			t.Errorf("%s: %d KiB were taken for %d KiB", name, taken>>10, len(c.bytes)>>10)
		}
	}
}

func TestAMessageThatIsCutOffIsRefused(t *testing.T) {
	whole := bytes.Repeat(field(2, make([]byte, 10)), 10_000)
	for _, cut := range []int{1, 5, 11} {
		if _, err := read(whole[:len(whole)-cut], new(kvrpcpb.RawBatchPutRequest)); err == nil {
			t.Errorf("%d bytes less: no error", cut)
		}
	}
}

// The largest that other limits allow: a frame of the most messages, a write of the smallest pairs.
func TestWhatIsSentInEarnestIsRead(t *testing.T) {
	frame := &storepb.Frame{}
	for range 1 << 16 {
		frame.Messages = append(frame.Messages, &storepb.Message{RegionId: 1, FromPeer: 2, ToPeer: 3,
			Entries: []*storepb.Entry{{Index: 1, Term: 1, Data: []byte("x")}}})
	}
	write := &kvrpcpb.RawBatchPutRequest{}
	for range 600_000 { // 16 MiB of 28 bytes each
		write.Pairs = append(write.Pairs, &kvrpcpb.KvPair{Key: make([]byte, 16), Value: make([]byte, 12)})
	}
	for _, m := range []proto.Message{frame, write, &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: make([]byte, 6<<20)},
		&kvrpcpb.RawGetRequest{Key: []byte("k")}} {
		encoded, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if _, err := read(encoded, got); err != nil || proto.Size(got) != len(encoded) {
			t.Errorf("%s of %d bytes: %v", m.ProtoReflect().Descriptor().Name(), len(encoded), err)
		}
	}
}

func TestCountingTakesNoMemory(t *testing.T) {
	encoded, err := proto.Marshal(&kvrpcpb.RawPutRequest{Key: []byte("k"), Value: make([]byte, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	kind := new(kvrpcpb.RawPutRequest).ProtoReflect().Descriptor()
	if n := testing.AllocsPerRun(100, func() {
		if err := Check(encoded, kind); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
