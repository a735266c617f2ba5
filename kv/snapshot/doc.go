// Package snapshot moves the whole state of a region from one store to another, when a replica is too far behind for the
// log, or new: it cuts a state of the engine into chunks, keeps what arrives, and installs it.
//
//	engine.Snapshot ─► Source ─► chunks ═══ network ═══► Receiver ─► Spool ─► Installer ─► batches ─► engine
//	   of the leader     checksums, numbers, totals        checks all        checks again    the last one has the
//	                                                                                         applied position in it
//
// Nothing here waits, asks for the time, or knows the network: a driver moves the chunks and writes the batches. Only a
// Spool touches a disk. There are two: Directory, and Memory for simulations.
//
// Invariants:
//
//	S1  of a region, all pairs in its range of the families default, lock and write are sent, in one state; nothing else:
//	    no key of another region, and no record of the store (engine.Meta)
//	S2  what is damaged, cut off, repeated, missing or in disorder is refused, by the Receiver and again by the Installer
//	S3  a spool has a name only once it is complete and durable; before that a crash leaves nothing, or a leftover that the
//	    next start removes
//	S4  the applied position is written by the last batch of an installation. So a crash before it leaves a state from
//	    which the installation is begun anew, as often as it takes, and always ends in the same state
//	S5  memory is bounded by a chunk when sending and receiving, and by a batch when installing, however large the region
//
// Sending:
//
//	source := snapshot.NewSource(snap, head, 0)
//	for {
//		chunk, err := source.Next()
//		if err == io.EOF {
//			break
//		}
//		send(chunk)
//	}
//
// Receiving:
//
//	r := snapshot.NewReceiver(spool, snapshot.Wanted{ClusterID: cluster, StoreID: store})
//	defer r.Close() // removes what is incomplete
//	for complete := false; !complete; {
//		complete, err = r.Accept(<-chunks)
//	}
//	use(r.Head(), r.Name())
//
// Installing, which is begun anew if it did not come to its end:
//
//	in := snapshot.NewInstaller(file, head, data, records)
//	for {
//		batch, err := in.Next()
//		if err == io.EOF {
//			break
//		}
//		e.Write(batch, engine.Buffered)
//	}
//	e.Write(&engine.Batch{}, engine.Synced)
//
// What it leaves out: compression; snapshots as files of the engine that are ingested without being read; going on with a
// stream that broke off; and the keys of a region that was larger here than in the snapshot (whoever lets regions split
// must remove what is outside of the new range, and not yet another region's).
package snapshot
