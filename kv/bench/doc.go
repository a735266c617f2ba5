// Package bench measures what the layers of a store cost, one on top of the other, so that the share of each is seen.
//
//	Engine   kv/engine/pebble or badger alone: one synced write, or one get, per operation
//	Unary    kv/client ── one gRPC call per operation ──► kv serve
//	Stream   kv/client ── frames of BatchCommands ──────► kv serve
//
// Each is run with 1, 16 and 100 clients that wait for their answer before they ask again. Keys have 16 bytes, values 256. The
// server is a process of its own, on pebble or badger, with its disk synced before every acknowledgement. Clients share four
// connections, as TiKV's client has by default.
//
//	cd kv/bench && go test -bench .
//	cd kv/bench && go test -bench 'Put/pebble/.*/100' -benchtime 5s
//
// BenchmarkCluster has three replicas beside three members of etcd (go.etcd.io/etcd/server/v3, each a process of its own), in
// one run, one after the other, round by round: a put, and a get that may not be stale. Both sync every disk before they
// acknowledge a put. It ends with a table of the medians.
//
//	cd kv/bench && go test -bench Cluster -rounds 5
//	cd kv/bench && go test -bench 'Cluster/./(etcd|lease)/.*/put/100' -rounds 5
//
// # What the columns say
//
//	ops/s           operations per second, of all clients together
//	p50-µs, p99-µs  half of the operations, and all but one in a hundred, took no longer
//	servers-cpu-µs  processor time of all servers of a system per operation, the scheduler among them
//	server-cpu-µs   processor time of the server per operation
//	client-cpu-µs   processor time of this process per operation: the load generator, the client, and for Engine the engine
//	syncs           writes to the engine with a sync, per operation: below 1 means that several puts shared one
//
// Times differ from machine to machine, and clients and server share its processors here. Compare columns of one run, not runs
// of different days. Peers are measured in this module too, in the same run as ours; it has its own go.mod, so that nobody who
// uses TinyKV carries them.
package bench
