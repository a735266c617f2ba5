// Package replicated runs a replicated store for real: with goroutines, a clock, disks and a network. What to do is decided
// by kv/store, which has none of these; what is done here is done when and in the order in which it says so.
//
//	kv/server ──► Snapshot, Write ──┐                                        ┌──► transport: Send, by store
//	kv/transport ──► Receive ───────┼──► inbox ──► the loop, one goroutine ──┼──► raft log: one write, one sync
//	background ──► reports ─────────┘    bounded   Handle* Turn effects Done ├──► data: written, not synced
//	                                                                         ├──► callers: their one answer
//	             Snapshot ──► view, published by the loop ◄──────────────────┴──► views
//	                          (a lease: the loop is not asked)                    background: snapshots, syncs
//
// A turn of the loop takes all that waits, lets kv/store decide, and carries out what comes of it, the raft log's one sync
// among it. Meanwhile the next events gather: the slower the disk, the more of them share a sync.
//
// # What always holds
//
//  1. The effects of a turn are carried out in their order, and all of them before the next turn begins. What was promised
//     to another store is durable before it is sent.
//  2. Every caller gets exactly one answer, also when the store fails or stops.
//  3. When a write to a disk fails, nothing is acknowledged from then on: all callers are answered, health and metrics say
//     so, and the process serves nothing until it is started again.
//  4. Everything that waits is bounded: requests, messages, snapshots being sent and received. Beyond the bound clients
//     hear that the store is busy, and messages are lost.
//  5. A read by lease is served only while no other store can lead: by a clock that nobody sets and that goes on while the
//     machine sleeps.
//
// # Example
//
//	s, err := replicated.Open(replicated.Options{ClusterID: 7, StoreID: 1, Log: log, Data: data, Spools: spools,
//		Connect: func(s *replicated.Store) replicated.Transport { return transport.New(options, s) }})
//	defer s.Close()
//	service := server.New(s, server.Options{})
//
// It leaves out how the store becomes known to the scheduler, which is the main program's.
package replicated
