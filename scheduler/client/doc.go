// Package client asks a scheduler: for timestamps, ids, and where keys and stores are. Stores also report through it.
//
// A Client knows a few addresses. It asks the first that answers who leads, talks to the leader over one connection,
// and looks for the leader again when that fails:
//
//	call ──► leader known? ──no──► GetMembers at each address ──► leader
//	             │ yes                                              │
//	             ▼                                                  │
//	         one attempt ◄──────────────────────────────────────────┘
//	             │ unavailable, slow, or no leader any more: pause, forget the leader, again, until the context ends
//	             ▼
//	           answer, or an error that no retry cures
//
// Timestamps are asked for together: callers that wait while a request is on its way share the next one, all over one
// stream. So their number is not bounded by round trips.
//
// What always holds:
//
//  1. Every call ends when its context does; one without a deadline ends after DefaultTimeout.
//  2. A timestamp is greater than every one that any client was given before this call began.
//  3. A Client talks to one cluster in its life. If another one answers at its addresses, that is an error.
//  4. After Close every call fails at once, and no goroutine and no connection is left.
//
// Example:
//
//	pd, err := client.New(client.Options{Addrs: []string{"127.0.0.1:2379"}})
//	defer pd.Close()
//	ts, err := pd.Timestamp(ctx)
//	where, err := pd.Region(ctx, []byte("key"))
//
// Left out: forwarding through another member, and following a member that is not the leader.
package client
