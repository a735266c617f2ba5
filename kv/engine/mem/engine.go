// The engine on the disk: recovery, writing, closing.

package mem

import (
	"fmt"
	"iter"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/gate"
)

// Engine implements engine.Engine on a Disk.
type Engine struct {
	disk *Disk
	gate gate.Gate

	// What follows is guarded by disk.mu.
	dead      bool // crashed or closed
	failed    error
	versions  *versions
	seq       uint64   // of the last batch applied
	snapshots []uint64 // sequence numbers of the open snapshots, ascending
}

var _ engine.Engine = (*Engine)(nil)

// Open recovers what is on the disk. A torn write at the end is dropped. Errors: engine.ErrInUse while another
// engine is open on the disk; engine.ErrCorrupt if a record that was durable is damaged, and then the disk is left
// as it is.
func Open(disk *Disk) (*Engine, error) {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	e := &Engine{disk: disk, versions: newVersions()}
	torn := slices.IndexFunc(disk.records, func(rec []byte) bool { return !intact(rec) })
	if torn >= 0 && torn < disk.durable {
		return nil, fmt.Errorf("open the simulated disk: %w: record %d of %d fails its checksum",
			engine.ErrCorrupt, torn, len(disk.records))
	}
	if err := disk.own(e); err != nil {
		return nil, err
	}
	if torn >= 0 {
		disk.truncate(torn)
	}
	for _, rec := range disk.records {
		e.apply(rec)
	}
	return e, nil
}

// Write implements engine.Engine. Once a write or a sync failed, every Write answers engine.ErrFailed.
func (e *Engine) Write(b *engine.Batch, d engine.Durability) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.dead {
		return engine.ErrClosed
	}
	if e.failed != nil {
		return fmt.Errorf("%w: %w", engine.ErrFailed, e.failed)
	}
	if err := b.Check(); err != nil {
		return err
	}
	if err := e.write(b, d); err != nil {
		e.failed = err
		return err
	}
	return nil
}

// write puts the record on the disk, makes it durable if asked to, and only then shows it to readers.
func (e *Engine) write(b *engine.Batch, d engine.Durability) error {
	var rec []byte
	if b.Len() > 0 {
		rec = encodeRecord(b.Ops())
		if err := e.disk.append(rec); err != nil {
			return err
		}
	}
	if d == engine.Synced {
		if err := e.disk.sync(); err != nil {
			return err
		}
	}
	if rec != nil {
		e.apply(rec)
		e.checkpoint()
	}
	return nil
}

// apply makes the operations of a record visible as one batch. Needs disk.mu.
func (e *Engine) apply(rec []byte) {
	e.seq++
	for op := range recordOps(rec) {
		e.versions.apply(op, e.seq)
	}
	e.versions.collect(e.oldest())
}

// oldest is the lowest sequence number that anybody may still read at.
func (e *Engine) oldest() uint64 {
	if len(e.snapshots) > 0 {
		return e.snapshots[0]
	}
	return e.seq
}

// checkpointBytes is the size below which the log of records is never rewritten: 1 MiB keeps small tests free of it.
const checkpointBytes = 1 << 20

// checkpoint rewrites the log as one record of the live pairs once most of it is garbage, so that a long run has a
// bounded disk.
func (e *Engine) checkpoint() {
	if e.disk.stats.BytesUsed < max(checkpointBytes, 4*e.versions.live) {
		return
	}
	for v := range e.pairs() {
		if !v.intact() {
			return // do not put a fresh checksum on damaged data: a read or the next Open shall find it
		}
	}
	e.disk.replace(encodeRecord(func(yield func(engine.Op) bool) {
		for v := range e.pairs() {
			if !yield(engine.Op{Kind: engine.OpPut, CF: v.cf, Key: v.key, Value: v.value}) {
				return
			}
		}
	}))
	ops, stop := iter.Pull(recordOps(e.disk.records[0]))
	defer stop()
	for v := range e.pairs() {
		op, _ := ops()
		v.value = op.Value // it lies in the new record now
	}
}

// pairs yields the newest version of every key that has a value.
func (e *Engine) pairs() iter.Seq[*version] {
	return func(yield func(*version) bool) {
		for _, cf := range engine.CFs {
			at := func(key []byte) *version { return e.versions.atOrAfter(cf, key, e.seq) }
			for v := at(nil); v != nil; v = at(successor(v.key)) {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// ApproximateSize implements engine.Engine. Here it is exact: keys, values and what a record adds to them.
func (e *Engine) ApproximateSize(cf engine.CF, start, end []byte) (uint64, error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	if !cf.Valid() {
		return 0, fmt.Errorf("%w: %v", engine.ErrUnknownCF, cf)
	}
	e.disk.mu.RLock()
	defer e.disk.mu.RUnlock()
	if e.dead {
		return 0, engine.ErrClosed
	}
	var size uint64
	for v := e.versions.atOrAfter(cf, start, e.seq); v != nil; v = e.versions.atOrAfter(cf, successor(v.key), e.seq) {
		if len(end) > 0 && string(v.key) >= string(end) {
			break
		}
		size += uint64(v.size())
	}
	return size, nil
}

// Close implements engine.Engine. After a crash of the disk it has nothing to wait for and answers engine.ErrClosed.
func (e *Engine) Close() error {
	e.disk.mu.RLock()
	dead := e.dead
	e.disk.mu.RUnlock()
	if dead {
		return engine.ErrClosed
	}
	if err := e.gate.Shut(); err != nil {
		return err
	}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.dead {
		return engine.ErrClosed
	}
	e.disk.disown()
	if e.failed != nil {
		return nil // everybody who had to know was told
	}
	return e.disk.sync()
}
