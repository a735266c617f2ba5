// Package server is the scheduler as a service: pdpb.PD, as TiKV's clients and stores speak it, over the state
// machines of tso and cluster and over a Storage that keeps what must survive.
//
//	   clients, stores                                          disk
//	        │ gRPC                                               ▲
//	┌───────▼────────────────────────────────────────────────────┴──────┐
//	│ calls: members  timestamps  stores  regions  safe point   Storage │   this package: goroutines, clock, locks
//	└───────┬────────────────────────────────────────────────────▲──────┘
//	        │ what happened, and when                            │ what must be durable first
//	┌───────▼────────────────────────────────────────────────────┴──────┐
//	│ tso.Oracle            cluster.Cluster             cluster.IDs      │   pure
//	└───────────────────────────────────────────────────────────────────┘
//
// Example: a scheduler on a directory, on any free port.
//
//	storage, err := server.OpenDir(dir)
//	lis, err := net.Listen("tcp", "127.0.0.1:0")
//	s, err := server.New(server.Options{Storage: storage, AdvertiseURLs: []string{"http://" + lis.Addr().String()}})
//	go s.Serve(lis)
//	...
//	s.Close(ctx)
//	storage.Close()
//
// What always holds:
//
//  1. What is acknowledged is durable: bootstrap, stores, ids, the bound of timestamps, the safe point. Regions are
//     not: they are a cache of what the stores know, written within a second.
//     A record that is missing although it must have been there is damage, and never a new cluster.
//  2. Every answer carries the cluster's id, which is never 0, and a request with another one is refused. So a client
//     or store that was configured with the address of the wrong cluster does no harm.
//  3. Every address that is advertised can be dialled: an address without host or port is refused at the start.
//  4. Close ends every stream, and every call that comes later is refused with a text by which clients know to look
//     for the leader.
//
// What a client gets to hear: mistakes about the cluster come in the header of the response, as PD has it (a text and
// a type); a wrong cluster id, a stopped server or a failed disk as gRPC status. Calls that nobody has written yet
// answer Unimplemented.
//
// Left out for now: several schedulers with a leader among them (the one here always leads), operators and balancing,
// and the etcd that TiDB expects at this address.
package server
