// How the gRPC server is set up.

package server

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxMessageSize bounds a message, in bytes. A client packs up to 128 requests into a frame without a look at
	// their sizes, so this is far above the largest value; a message beyond it breaks the stream and with it requests
	// of others.
	maxMessageSize = 64 << 20
	// pingInterval is how often we ask a silent connection whether its other end still lives.
	pingInterval = 20 * time.Second
	// pingPatience is how long the answer may take.
	pingPatience = 10 * time.Second
	// minClientPing is how often a client may ask us, idle or not. TiKV's client does every 10 seconds.
	minClientPing = time.Second
)

func transportOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageSize),
		grpc.MaxSendMsgSize(maxMessageSize),
		grpc.InitialWindowSize(1 << 20),
		grpc.InitialConnWindowSize(2 << 20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingInterval, Timeout: pingPatience}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minClientPing, PermitWithoutStream: true}),
	}
}
