// Package raw decides what the raw commands do: plain keys and values, without transactions and without versions.
//
// Every command is a function of what it is given. A reader takes a snapshot and answers with a result; a writer
// answers with a batch and touches nothing; compare-and-swap does both. No command knows of gRPC, regions, latches,
// disks or clocks: the time comes in as now.
//
//	request ──► server ──► Snapshot ──► raw.Get, raw.Scan, raw.Checksum … ──► result ──► answer
//	               │
//	               └──────────────────► raw.Put, raw.DeleteRange …        ──► *engine.Batch ──► Write, then answer
//
// # What always holds
//
//  1. One request, one snapshot: everything that a reader reports was true at one moment.
//  2. One request, one batch: a writer's pairs become visible and durable together or not at all.
//  3. An empty value is a value. Only a key without a pair is "not found".
//  4. A pair with a time to live is seen while now < the moment it expires at, and by nobody afterwards, whether or
//     not its bytes are still on disk.
//  5. Whatever a function returns belongs to the caller. Nothing points into an iterator or a snapshot.
//  6. Bad input is one of the errors below and changes nothing. No input panics.
//  7. A result is whole. Where it would be too large the answer is an error and never a silent part of it, because a
//     client takes a short answer for the end of the data.
//
// # Time
//
// now and the times to live are seconds; now counts from 1970 in UTC. The server reads its clock once per request.
//
// # Example
//
//	batch, err := raw.Put(engine.Default, []byte("greeting"), []byte("hello"), raw.NoTTL, now)
//	if err != nil { … tell the client … }
//	err = db.Write(batch, engine.Synced)
//
//	value, found, err := raw.Get(snapshot, engine.Default, []byte("greeting"), now)
//
// # What it leaves out
//
// Raw pairs and transactional ones share column families and must not be mixed in one cluster: the transaction layer
// encodes keys differently. Writers here do not exclude each other: who needs a read and a write to be one step
// (CompareAndSwap, DeleteExpired) must keep other writers of these keys away between the snapshot and the end of the
// write.
package raw
