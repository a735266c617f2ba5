// Package engine is the contract between the store and what keeps its bytes: ordered pairs in column families,
// written in atomic batches, read from snapshots.
//
//	         *Batch ──► Write ─┐                            ┌─► Get
//	Put, Delete, DeleteRange   ▼                            │
//	                     ┌──────────┐   Snapshot     ┌──────┴───┐
//	                     │  Engine  │ ─────────────► │ a moment │ ─► Iterator
//	                     └──────────┘                └──────────┘
//	  pebble/   the default of servers        badger/  that of the first exercise        mem/  a simulated disk
//
// Invariants, which enginetest checks on all three:
//
//  1. A batch is all or nothing: to every snapshot, and over every crash.
//  2. A snapshot shows what was written before it was taken, and nothing else, for as long as it is open.
//  3. What Write acknowledged as Synced is there after any crash, and so is all that was written before it. What is
//     lost of the rest is lost from the end: if a batch is there, so is every earlier one.
//  4. After a write that failed no other is accepted, because nobody knows what the disk holds.
//  5. Damaged data is ErrCorrupt, when it is opened or when it is read, and never a wrong value; and Open changes
//     nothing before it knows.
//  6. Column families do not see each other.
//
// Use:
//
//	var b engine.Batch
//	b.Put(engine.Default, []byte("k"), []byte("v"))
//	err := e.Write(&b, engine.Synced)
//
//	s, err := e.Snapshot()
//	defer s.Close()
//	value, err := s.Get(engine.Default, []byte("k"))
//
//	it, err := s.Iterator(engine.Default, engine.IterOptions{Lower: []byte("a"), Upper: []byte("m")})
//	defer it.Close()
//	for ok := it.First(); ok; ok = it.Next() {
//		use(it.Key(), it.Value())
//	}
//	err = it.Err()
//
// What it leaves out: transactions with reads in them and conflicts (package txn builds them of snapshots, batches
// and latches), versions (package mvcc), merges, time to live, and backups.
package engine
