// Package transport carries what stores say to each other: raft messages of all regions, and snapshots.
//
//	Send ─► queue ─► everything that waits, as one frame ═══ one stream for a pair ═══► Handler.Receive
//	        bounded                                                                       one call at a time
//
//	SendSnapshot ─► Source.Next ─► rate limit ═══ a connection of its own ═══► Handler.ReceiveSnapshot
//
// Raft was made for a network that loses messages, so what can't be sent is dropped, counted, and reported as
// Unreachable; nothing is kept for later, since raft sends again what is still wanted. What a transport must do is to
// never make its owner wait, to use little memory whatever others do, and to cost little for each message. The last comes
// by itself: while a frame is being sent, messages gather for the next one. The busier the network, the larger the
// frames; a lone message leaves at once.
//
// The protocol is proto/storepb. Beside gRPC there is a Memory network, for several stores in one process. Everything
// but the carrying itself is the same code: queues, pauses, hellos, limits, Cut.
//
// Begin reading with Transport (transport.go), then peer.go for what is sent, session.go for what comes, snapshot.go.
// grpc.go, service.go and memory.go are the networks; convert.go is the border to protobuf.
//
// # Invariants
//
//	T1  Send, Cut, Heal and Stats never wait for a network or for a Handler.
//	T2  Messages from one store to another are handed over in the order in which they were sent, each at most once, and by
//	    one call of Receive at a time, also across a reconnect.
//	T3  What waits for one store is bounded in messages and bytes, and so are snapshots in progress, in either direction,
//	    and streams from others. A slow or dead store takes nothing from the others but its own share.
//	T4  Nothing is handed over from a store of another cluster, of another version, or that looked for another store; and
//	    nothing of a frame or chunk that can't be read: its stream is ended.
//	T5  Each message handed to Send is counted once: as sent, as dropped for a reason, or as waiting.
//	T6  SendSnapshot returns once, and nil only if the other store has said that it has taken all of it.
//	T7  When Close returns, no goroutine and no call of the Handler is left.
//
// # Example
//
//	t := transport.New(transport.Options{ClusterID: 7, StoreID: 1, Resolver: addresses}, handler)
//	defer t.Close()
//	t.Register(grpcServer)
//	t.Send(2, messages)                              // returns at once
//	err := t.SendSnapshot(ctx, 3, snapshot.NewSource(snap, head, 0))
//
// # What it leaves out
//
// Authentication and encryption: whoever reaches a store's port and knows the id of its cluster is believed to be the
// store that it says it is, and may, for instance, take the place of that store's stream. So a mistaken peer does no harm,
// a malicious one can. Compression. Sending more than one stream to a store. Going on with a snapshot that was broken off.
package transport
