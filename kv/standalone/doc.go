// Package standalone is a store without replicas: one engine, and one region that holds all keys.
//
//	kv/server ──► Snapshot ──► is this the region you mean? ──► engine.Snapshot
//	          ──► Write ─────► is this the region you mean? ──► queue ──► one engine.Write, one sync, for all who wait
//
// It implements the Storage of kv/server, as the replicated store will; what a client sees of the two is the same.
//
// # What always holds
//
//  1. A request is served only if its picture of the cluster is right: cluster, store, region, epoch, peer, keys.
//  2. Write returns nil only after a sync that contains the whole batch.
//  3. Every caller of Write gets exactly one answer. If it is the error of its context, nothing was or will be written.
//  4. Writes that wait at the same time share one batch of the engine and one sync. Their order is that of arrival.
//  5. What waits is bounded; beyond the bound the answer is region.BusyError, at once.
//
// # Example
//
//	store := standalone.New(db, standalone.Options{ClusterID: 7, Region: everything})
//	defer store.Close()
//	err := store.Write(ctx, request.Context, batch)
//
// It leaves out everything for which there are replicated stores: this one dies with its disk.
package standalone
