// The network of real processes, from the sender's side: gRPC streams.

package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/proto/storepb"
)

const (
	// pingInterval is how long a connection may be silent before we ask whether the other end still lives; gRPC allows
	// no less than 10 s. pingPatience is how long the answer may take. A stopped process is noticed after both.
	pingInterval = 10 * time.Second
	pingPatience = 3 * time.Second
)

type grpcNetwork struct{ options []grpc.DialOption }

// GRPC is the network of real processes: each stream and each snapshot has a connection of its own. To be reached,
// Register the transport with a grpc.Server that reads by kv/codec, takes messages of 33 MiB and allows a ping each 10 s.
func GRPC(options ...grpc.DialOption) Network { return &grpcNetwork{options} }

func (n *grpcNetwork) join(*Transport)  {}
func (n *grpcNetwork) leave(*Transport) {}

// dial prepares a connection, which is made by the first call on it. gRPC's own pauses between attempts never come to
// pass: a connection that fails is given up, since the next one may be to another address.
func (n *grpcNetwork) dial(addr string) (*grpc.ClientConn, error) {
	dialer := net.Dialer{}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingPatience}),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
	}, n.options...)
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	return conn, nil
}

// grpcStream is a stream of raft messages to another store.
type grpcStream struct {
	to     uint64
	conn   *grpc.ClientConn
	stream grpc.ClientStreamingClient[storepb.Frame, storepb.RaftDone]
	done   chan struct{} // closed when the stream has ended
	cause  error         // then: why
}

func (n *grpcNetwork) open(ctx context.Context, h hello, addr string) (outgoing, error) {
	conn, err := n.dial(addr)
	if err != nil {
		return nil, err
	}
	stream, err := storepb.NewStoreClient(conn).Raft(ctx)
	if err == nil {
		err = stream.Send(&storepb.Frame{Hello: h.toWire()})
	}
	if err == io.EOF { // refused already: the reason is with the receiver
		err = refusal(h.to, stream.RecvMsg(new(storepb.RaftDone)))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to store %d at %s: %w", h.to, addr, err)
	}
	s := &grpcStream{to: h.to, conn: conn, stream: stream, done: make(chan struct{})}
	go s.watch()
	return s, nil
}

// watch waits for the end of the stream, the only thing that ever comes back on it.
func (s *grpcStream) watch() {
	defer close(s.done)
	err := s.stream.RecvMsg(new(storepb.RaftDone))
	if err == nil {
		err = io.EOF
	}
	s.cause = fmt.Errorf("the stream to store %d has ended: %w", s.to, refusal(s.to, err))
}

func (s *grpcStream) send(messages []replica.Message) error {
	err := s.stream.Send(toFrame(messages))
	if err == io.EOF { // the reason is with the receiver
		<-s.done
		return s.cause
	}
	return err
}

func (s *grpcStream) ended() <-chan struct{} { return s.done }
func (s *grpcStream) err() error             { return s.cause }

func (s *grpcStream) close() {
	s.conn.Close()
	<-s.done
}

// refusal turns the status by which a store refuses a stream into an error of ours.
func refusal(store uint64, err error) error {
	if s := status.Convert(err); s.Code() == codes.FailedPrecondition {
		return &RefusedError{Store: store, Reason: s.Message()}
	}
	return err
}

// grpcSnapshot is a snapshot on its way to another store.
type grpcSnapshot struct {
	to     uint64
	hello  *storepb.Hello // until it was sent
	conn   *grpc.ClientConn
	stream grpc.ClientStreamingClient[storepb.SnapshotChunk, storepb.SnapshotDone]
}

func (n *grpcNetwork) openSnapshot(ctx context.Context, h hello, addr string) (outgoingSnapshot, error) {
	conn, err := n.dial(addr)
	if err != nil {
		return nil, err
	}
	stream, err := storepb.NewStoreClient(conn).Snapshot(ctx)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to store %d at %s: %w", h.to, addr, err)
	}
	return &grpcSnapshot{to: h.to, hello: h.toWire(), conn: conn, stream: stream}, nil
}

func (s *grpcSnapshot) send(chunk snapshot.Chunk) error {
	wire := &storepb.SnapshotChunk{Hello: s.hello, Data: chunk}
	s.hello = nil
	return s.stream.Send(wire)
}

func (s *grpcSnapshot) finish() error {
	answer, err := s.stream.CloseAndRecv()
	switch {
	case err != nil:
		return refusal(s.to, err)
	case answer.Outcome == storepb.SnapshotOutcome_TAKEN:
		return nil
	}
	return toRefusal(s.to, answer)
}

// toRefusal makes the error of an answer other than TAKEN.
func toRefusal(store uint64, answer *storepb.SnapshotDone) error {
	return &RefusedError{
		Store: store, Busy: answer.Outcome == storepb.SnapshotOutcome_BUSY, Reason: answer.Reason,
	}
}

func (s *grpcSnapshot) close() { s.conn.Close() }
