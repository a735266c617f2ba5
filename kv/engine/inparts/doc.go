// Package inparts lets an engine without cheap range deletes delete ranges of any length. Badger has to delete each key
// by itself, all in one transaction, and refuses more than one can hold (engine.ErrTooLarge). A replicated store can't
// live with that: a delete of a range is in the log, each replica must apply it, and one that can't will never get past
// it.
//
//	         ┌─► what is deleted: ranges, merged ──► their keys, found by a walk ──► part ─► part ─► last part
//	batch ───┤                                                                                       ▲
//	         └─► the rest: operations that no later range of the batch undoes ───────────────────────┘
//
// Most often the first part is also the last one: then all is written at once, as ever.
//
// Invariants:
//
//  1. After Write, the state is what the operations of the batch make of it in their order.
//  2. A snapshot shows a batch whole or not at all. As long as parts are being written, snapshots show the state before
//     the first one.
//  3. A batch whose deletes and rest are together no larger than engine.MaxBatchSize is one write. So it is all or
//     nothing over crashes too.
//  4. A larger one is not. After a crash, some of the keys that it deletes may be gone, and nothing else of it has
//     happened. This is for data whose writer then writes the same batch again: that of a replicated store, which notes
//     in the batch how far its log is applied, and after a crash applies again what comes behind that.
//  5. No batch that passes engine.Batch's Check is engine.ErrTooLarge.
//
// Use:
//
//	e, err := badger.Open(dir, badger.Options{})
//	data := inparts.New(e)
//
// What it leaves out: reading without values where only keys are needed. A delete reads the pairs that it deletes.
package inparts
