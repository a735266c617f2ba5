// The answer to a request of a frame that no handler has answered. A unary call would get a status, but a status
// would end the stream and with it the requests of others. And an answer of no type makes TiKV's client try again for
// 40 seconds. So the answer is a message of the request's own type with the text where that type keeps its errors, at
// which a client gives up at once.

package server

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

// errUnwritten is the answer to calls that nobody has written yet.
var errUnwritten = status.Error(codes.Unimplemented, "this store does not know this call yet: Unimplemented")

// refusal returns the answer of the request's own type that has text as its error. If the request is of no type that
// we know, the answer has none either.
func refusal(req *batchRequest, text string) *batchResponse {
	return respond(req, func(m protoreflect.Message) {
		told := setError(m, "error", text)
		told = setError(m, "errors", text) || told
		addPairError(m, text)
		if !told {
			setRegionError(m, hopeless(text)) // there is no other place that every client looks at
		}
	})
}

// busyRefusal returns the answer of the request's own type by which the client knows to ask again a little later.
func busyRefusal(req *batchRequest) *batchResponse {
	return respond(req, func(m protoreflect.Message) { setRegionError(m, busyError()) })
}

// busyAnswer is the same for a unary call of this name, or nil if its answers have no room for it.
func busyAnswer(method string) proto.Message {
	call := tikvpb.File_tikvpb_proto.Services().ByName("Tikv").Methods().ByName(protoreflect.Name(method))
	if call == nil || call.Output().Fields().ByName("region_error") == nil {
		return nil
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(call.Output().FullName())
	if err != nil {
		return nil
	}
	m := kind.New()
	setRegionError(m, busyError())
	return m.Interface()
}

func busyError() *errorpb.Error {
	const reason = "too many requests in progress"
	return &errorpb.Error{Message: reason, ServerIsBusy: &errorpb.ServerIsBusy{Reason: reason}}
}

// commandName is the name of the request's command, for people.
func commandName(req *batchRequest) string {
	if field := commandOf(req.ProtoReflect()); field != nil {
		return string(field.Name())
	}
	return "unknown"
}

// wrap puts a handler's response into the field of the frame that has the request's number.
func wrap(req *batchRequest, resp proto.Message) *batchResponse {
	wrapped := &batchResponse{}
	m := wrapped.ProtoReflect()
	field := m.Descriptor().Fields().ByNumber(commandOf(req.ProtoReflect()).Number())
	m.Set(field, protoreflect.ValueOfMessage(resp.ProtoReflect()))
	return wrapped
}

// respond makes the response whose command has the same number as that of the request, and lets fill complete it.
func respond(req *batchRequest, fill func(protoreflect.Message)) *batchResponse {
	resp := &batchResponse{}
	asked := commandOf(req.ProtoReflect())
	if asked == nil {
		return resp
	}
	m := resp.ProtoReflect()
	field := m.Descriptor().Fields().ByNumber(asked.Number())
	if field == nil {
		return resp
	}
	fill(m.Mutable(field).Message())
	return resp
}

func commandOf(req protoreflect.Message) protoreflect.FieldDescriptor {
	return req.WhichOneof(req.Descriptor().Oneofs().ByName("cmd"))
}

// setError puts text into the field of this name: a string, an abort of a transaction, or a list of these.
func setError(m protoreflect.Message, name protoreflect.Name, text string) bool {
	field := m.Descriptor().Fields().ByName(name)
	if field == nil {
		return false
	}
	abort := protoreflect.ValueOfMessage((&kvrpcpb.KeyError{Abort: text}).ProtoReflect())
	switch {
	case field.Kind() == protoreflect.StringKind && !field.IsList():
		m.Set(field, protoreflect.ValueOfString(text))
	case field.Message() == nil || field.Message().FullName() != "kvrpcpb.KeyError":
		return false
	case field.IsList():
		m.Mutable(field).List().Append(abort)
	default:
		m.Set(field, abort)
	}
	return true
}

// pairsField is the response's list of pairs, or nil.
func pairsField(m protoreflect.Message) protoreflect.FieldDescriptor {
	for _, name := range []protoreflect.Name{"pairs", "kvs"} {
		field := m.Descriptor().Fields().ByName(name)
		if field != nil && field.IsList() && field.Message() != nil && field.Message().FullName() == "kvrpcpb.KvPair" {
			return field
		}
	}
	return nil
}

// addPairError appends a pair that is an error, for those who look there, if the response has pairs.
func addPairError(m protoreflect.Message, text string) {
	if field := pairsField(m); field != nil {
		pair := (&kvrpcpb.KvPair{Error: &kvrpcpb.KeyError{Abort: text}}).ProtoReflect()
		m.Mutable(field).List().Append(protoreflect.ValueOfMessage(pair))
	}
}

func setRegionError(m protoreflect.Message, e *errorpb.Error) {
	if field := m.Descriptor().Fields().ByName("region_error"); field != nil {
		m.Set(field, protoreflect.ValueOfMessage(e.ProtoReflect()))
	}
}
