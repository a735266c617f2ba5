// Package codec is what a store's gRPC server reads requests with: gRPC's own codec, and a look at large messages before
// memory is taken for what they hold.
//
//	bytes of a message ─► fewer than 64 KiB? ─► decoded
//	                  └─► count of the parts within ─► decoded, or refused
//
// The limit on the size of a message does not bound what it takes in memory: two bytes on the wire are an empty message
// within, which is a hundred bytes and more when it is decoded. 16 MiB of these took 1.7 GiB, whoever had sent them, before
// any of our code had seen as much as whose they were.
//
// # What always holds
//
//  1. Counting takes no memory.
//  2. What a correct client or store sends is never refused: the limit is above all that other limits allow.
//  3. What is refused never reaches a handler: gRPC answers Internal, with the reason.
//
// It leaves out how many messages there are at once, which is for the server.
package codec

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// smallBytes is the size of messages that are not looked at: whatever is in them can't be much.
	smallBytes = 64 << 10
	// messageWeight is what a message within counts, beside a string or byte string: so much more it takes.
	messageWeight = 4
	// maxWeight bounds the parts of a message: a million messages, or a write of 700,000 pairs.
	maxWeight = 4 << 20
)

// ServerOption makes a gRPC server read with this codec.
func ServerOption() grpc.ServerOption {
	return grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(protocodec.Name)})
}

type codec struct{ encoding.CodecV2 }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok || data.Len() < smallBytes {
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	if err := Check(whole.ReadOnlyData(), m.ProtoReflect().Descriptor()); err != nil {
		return err
	}
	return proto.Unmarshal(whole.ReadOnlyData(), m)
}

// ErrTooManyParts : a message holds more than any that is sent in earnest. Send less at once.
var ErrTooManyParts = errors.New("too many parts in a message: send less at once")

// Check refuses an encoded message of a kind for what is in it: ErrTooManyParts, or that it is cut off.
func Check(encoded []byte, kind protoreflect.MessageDescriptor) error {
	s := scale{}
	if err := s.weigh(encoded, kind); err != nil {
		return fmt.Errorf("%s of %d bytes: %w", kind.FullName(), len(encoded), err)
	}
	return nil
}

// scale adds up what the parts of a message count.
type scale struct{ weight int }

// weigh adds everything within a message. It calls itself as deep as messages are defined to hold messages; none of ours
// holds its own kind.
func (s *scale) weigh(b []byte, kind protoreflect.MessageDescriptor) error {
	fields := kind.Fields()
	for len(b) > 0 {
		number, wireType, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, wireType, b); n < 0 {
			return protowire.ParseError(n)
		}
		if wireType == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			if err := s.add(value, messageOf(fields.ByNumber(number))); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// add adds one part: a message of a kind, or a string or bytes (nil).
func (s *scale) add(value []byte, kind protoreflect.MessageDescriptor) error {
	s.weight++
	if kind != nil {
		s.weight += messageWeight - 1
	}
	if s.weight > maxWeight {
		return ErrTooManyParts
	}
	if kind == nil {
		return nil
	}
	return s.weigh(value, kind)
}

// messageOf is the kind of message that a field holds; nil if it holds none, or is not known.
func messageOf(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field == nil {
		return nil
	}
	return field.Message()
}
