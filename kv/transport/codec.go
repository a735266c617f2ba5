// The codec of a store's gRPC server: a look at a frame before memory is taken for what it says to hold.

package transport

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tinykv/proto/storepb"
)

// ServerOptions are what a grpc.Server needs with which a transport is registered: a message of two bytes on the wire
// takes a hundred times as much in memory, so a frame that is full of them would take all there is, before anything of
// ours has seen as much as its hello. Requests of others are read as ever.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(protocodec.Name)})}
}

// codec is gRPC's own, and counts what is in a frame first.
type codec struct{ encoding.CodecV2 }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	frame, ok := v.(*storepb.Frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	if err := checkWire(whole.ReadOnlyData()); err != nil {
		return err
	}
	return proto.Unmarshal(whole.ReadOnlyData(), frame)
}

// The numbers of the fields in which a frame and a message repeat themselves.
const (
	frameMessagesField  = 2
	messageEntriesField = 11
)

// checkWire refuses a frame of more messages, or more entries in all of them, than a sender puts into one.
func checkWire(frame []byte) error {
	messages, entries := 0, 0
	return eachField(frame, frameMessagesField, func(message []byte) error {
		if messages++; messages > maxFrameMessages {
			return fmt.Errorf("messages: more than %d in a frame", maxFrameMessages)
		}
		return eachField(message, messageEntriesField, func([]byte) error {
			if entries++; entries > maxFrameEntries {
				return fmt.Errorf("entries: more than %d in a frame", maxFrameEntries)
			}
			return nil
		})
	})
}

// eachField calls f with each field of bytes that has this number, and takes no memory for any.
func eachField(b []byte, number protowire.Number, f func([]byte) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		if num == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			if err := f(value); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}
