// Package proto holds the wire protocol: how clients, stores and the placement driver talk to each other.
//
// All of it but one file is a strict subset of the public protocol of TiKV and PD. Packages, services, messages, fields
// and numbers are theirs, so a client that was written for TiKV works here without a change, which is the proof that what
// is built here is the real thing. The words that explain them are ours.
//
//	   ┌───────────────────────── pdpb.PD ─────────────────────────┐
//	   │ where is this key? what time is it?                       │ I am here, I have these regions
//	   │                                                           │ then do this
//	client ──────────────── tikvpb.Tikv ───────────────────────▶ store ─── storepb.Store ──▶ store
//	         kvrpcpb: requests, answers, errors of keys
//	         errorpb: errors of regions ("I do not lead it")
//	         metapb:  stores, regions, peers, epochs
//
// The exception is storepb, by which stores send each other raft messages and snapshots: that protocol is internal and
// our own.
//
// Where to begin reading: metapb.proto (a page), then the head of kvrpcpb.proto and its raw commands, then
// errorpb.proto, then pdpb.proto; and storepb.proto, once you know raft. Each .proto file has beside it a directory of
// the same name with the generated Go package, which is never edited:
//
//	import "tinykv/proto/kvrpcpb"
//
//	request := &kvrpcpb.RawPutRequest{Context: where, Key: []byte("a"), Value: []byte("1")}
//	response, err := tikvpb.NewTikvClient(connection).RawPut(ctx, request)
//	switch {
//	case err != nil:                            // the network, or a store that does not know the method
//	case response.RegionError != nil:           // not executed: find the right place and send again
//	case response.Error != "":                  // refused: look at the request
//	}
//
// # Invariants
//
//  1. Every message, field, enum value and method, but for storepb's, is one of TiKV's, with the same name, number and
//     type. The module in kv/interop compares them one by one with the original's descriptors.
//  2. Every number that the original uses and we leave out is reserved, with its name in a comment, so nobody gives it
//     another meaning.
//  3. Everything is explained in its .proto file; a test sees to that.
//  4. The generated code matches its source; a test regenerates it in memory. After a change run `make proto`.
//  5. Only the edges import these packages: servers, clients, transports. Inside, a region is a region.Region.
//  6. A server embeds the generated Unimplemented server. A method that is not written yet then answers
//     codes.Unimplemented, by which clients know that asking again is no use.
//
// # What is left out
//
// The coprocessor and everything that SQL engines push down; bulk import, backup and change feeds; flashback; tenants
// (keyspaces, resource groups); execution details in responses; encryption at rest. What stores of TiKV tell each other
// is left out, too: ours talk to ours only.
package proto
