// Package interop is what our servers have to prove to strangers: programs that were written for TiKV, unmodified,
// against our servers as processes. What a learner builds in the exercises ends up behind the same protocol, so these
// tests are also the answer to "is this the real thing?".
//
//	rawkv of client-go ─┐                       ┌──────────── kv serve ────────────┐      or: scheduler, kv serve --peers,
//	go-ycsb ────────────┼── gRPC, TiKV's own ──▶│ scheduler (pdpb.PD)              │          kv serve --peers,
//	PD's own client ────┘   messages            │ store (tikvpb.Tikv) ── an engine │          kv serve --peers
//	                                            └──────────────────────────────────┘
//	guard: our .proto files ── compared, number by number ── the descriptors of TiKV's
//
// It is a module of its own, for two reasons: users of the servers should not carry a client's dependencies, and one
// process cannot hold two sets of messages with the same names. So it links TiKV's messages, never ours, and starts
// our server as a process (package process).
//
//	cd kv/interop
//	go test -count=1 ./...           everything: some minutes
//	go test -count=1 -short ./...    the same with a small benchmark
//	go test -count=1 -v -run Raw .   with the names of the operations, and the client's log
//	go run ./ycsb                    the benchmark at full length, with its figures (see its -help)
//
// # Invariants
//
//  1. The clients are used as they are published; no copy, no patch, no option that makes it easier for the server.
//  2. Each test has servers of its own on free ports, in a temporary directory, and leaves nothing.
//  3. Every wait has a limit, and a failure shows the server's last words.
//  4. An answer is compared exactly; that no error came is never enough.
//
// # What it leaves out
//
// Transactions, as long as the store has none: then the tests only demand that the client is told so at once. The
// client's own constructor for them also wants an etcd beside the placement driver.
package interop
