// Package server speaks TiKV's protocol: requests come in by gRPC, answers and errors go out. It decides nothing
// about data.
//
//	            unary calls ──────────┐
//	                                  ├──► handler ──► latches ──► Storage.Snapshot ──► raw.… ──► Storage.Write ──► answer
//	BatchCommands ──► one goroutine ──┘                                                              │
//	  (a stream)      per request                                      region errors, bad input ◄────┘ errors.go
//
// A handler is a method with the name of its call in tikvpb.Tikv. It takes one snapshot or writes one batch through
// Storage, lets a pure package (kv/raw) decide, and copies the result into the response. Both ways in lead to the
// same methods.
//
// # What always holds
//
//  1. An acknowledged write is durable, and a write that is answered with an error string has not happened, unless the
//     string says that it may have: the disk failed, or the write lost its leader and its fate is undetermined.
//  2. One request sees one snapshot and writes one batch.
//  3. A request that writes what it read (compare-and-swap, the sweep of expired pairs) holds its keys exclusively
//     meanwhile; every other write holds its keys shared, so none slips in between. Latches are this process's, so the
//     write is also bound to the term of the snapshot: under another leader it is refused.
//  4. Each request of a BatchCommands frame is answered once, by its id, by a message of its own type, in any order,
//     unless the stream ends.
//  5. Errors are translated in one place: region errors (the client's picture of the cluster is wrong, or the store
//     is busy: it asks again by itself), error strings (the request is wrong or the store is broken: a person must
//     look), gRPC statuses (the caller has left).
//  6. No input panics. A panic is a broken invariant of our own: it is logged with its request and ends the process,
//     and a restart finds every acknowledged write.
//  7. Everything is bounded: requests at once in the process and per stream, answers per frame, bytes per message.
//
// # What it leaves out
//
// Calls that nobody has written yet answer Unimplemented; inside a BatchCommands frame, where a status can't be sent,
// they get an answer of the right type whose error says so. There is no encryption and no authentication.
package server
