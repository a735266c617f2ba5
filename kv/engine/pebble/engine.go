// The engine: open, write, estimate, close.

package pebble

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/gate"
)

// Engine implements engine.Engine on a pebble store.
type Engine struct {
	dir  string
	fs   vfs.FS
	lock *pebble.Lock // closing it gives the directory free, once pebble is closed too
	db   *pebble.DB
	fuse *fuse
	gate gate.Gate

	unlogged bool // Options.Unlogged
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the store in dir, which it makes if it is missing. Before anything is changed on disk it looks whether
// all is well. Errors: engine.ErrInUse, engine.ErrCorrupt, or what the file system says; all name dir or the file
// at fault.
func Open(dir string, opts Options) (*Engine, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.VerifyBytes == 0 {
		opts.VerifyBytes = defaultVerifyBytes
	}
	before, missing := opts.FS.List(dir)
	lock, err := lockDir(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	e, fresh, err := open(dir, opts, lock)
	if err != nil {
		lock.Close()
		if fresh {
			removeNew(opts.FS, dir, before, missing)
		}
		return nil, openError(dir, opts.Advice, err)
	}
	return e, nil
}

// open is Open with the lock held. fresh tells that there was no store.
func open(dir string, opts Options, lock *pebble.Lock) (e *Engine, fresh bool, err error) {
	known, fresh, err := verify(opts, dir, lock)
	if err != nil {
		return nil, false, err
	}
	// From here on the directory is not what Close left.
	n, err := newNote(vfsDir{opts.FS, dir}, known)
	if err != nil {
		return nil, fresh, err
	}
	e = &Engine{dir: dir, fs: opts.FS, lock: lock, unlogged: opts.Unlogged}
	if fresh {
		// The first log of a new store is of an old form, of which damage can't be told from a torn end. So make the
		// store, and go on with its second log.
		if err := e.start(opts, n); err != nil {
			return nil, fresh, err
		}
		e.fuse.release()
		if err := e.db.Close(); err != nil {
			return nil, fresh, err
		}
	}
	if err := e.start(opts, n); err != nil {
		return nil, fresh, err
	}
	if err := n.addOptions(); err != nil {
		e.fuse.release()
		return nil, fresh, errors.Join(err, e.db.Close())
	}
	return e, fresh, nil
}

// start lets pebble open the store behind a new fuse.
func (e *Engine) start(opts Options, n *note) (err error) {
	e.fuse = &fuse{note: n}
	o := pebbleOptions(e.fuse.wrap(opts.FS), opts, e.fuse)
	o.Lock = e.lock
	if e.db, err = pebble.Open(e.dir, o); err != nil {
		return err
	}
	if err := e.fuse.err(); err != nil {
		e.fuse.release()
		return errors.Join(err, e.db.Close())
	}
	return nil
}

// Write implements engine.Engine. Concurrent writes share a sync.
func (e *Engine) Write(b *engine.Batch, d engine.Durability) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	if err := e.fuse.err(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrFailed, err)
	}
	if err := b.Check(); err != nil {
		return err
	}
	if err := e.apply(b, d); err != nil {
		e.fuse.blow(err)
	}
	// Pebble was not told of a failure, because it would end the process (see fuse.go). So this, and not the answer
	// of pebble, decides whether the batch is acknowledged.
	if err := e.fuse.err(); err != nil {
		return fmt.Errorf("write a batch to %s: %w", e.dir, err)
	}
	return nil
}

// apply hands a batch to pebble, and makes it durable if d asks for that.
func (e *Engine) apply(b *engine.Batch, d engine.Durability) error {
	if d == engine.Synced && e.unlogged {
		return errors.Join(e.commit(b, pebble.NoSync), e.sync())
	}
	if d == engine.Synced && b.Len() == 0 {
		return e.sync()
	}
	return e.commit(b, &pebble.WriteOptions{Sync: d == engine.Synced})
}

// sync makes durable what was written before.
func (e *Engine) sync() error {
	if e.unlogged {
		return e.db.Flush() // there is no log: the tables themselves must be on the disk
	}
	return e.db.LogData(nil, pebble.Sync) // an empty record: what counts is the sync behind it
}

func (e *Engine) commit(b *engine.Batch, wo *pebble.WriteOptions) error {
	if b.Len() == 0 {
		return nil
	}
	pb := e.db.NewBatchWithSize(b.Size())
	for op := range b.Ops() {
		if err := stage(pb, op); err != nil {
			return errors.Join(err, pb.Close())
		}
	}
	if err := e.db.Apply(pb, wo); err != nil {
		return err
	}
	return pb.Close()
}

// stage adds op to a batch of pebble's. Keys and values are copied straight to where they stay.
func stage(pb *pebble.Batch, op engine.Op) error {
	switch op.Kind {
	case engine.OpPut:
		d := pb.SetDeferred(1+len(op.Key), len(op.Value))
		d.Key[0] = cfPrefix[op.CF]
		copy(d.Key[1:], op.Key)
		copy(d.Value, op.Value)
		return d.Finish()
	case engine.OpDelete:
		d := pb.DeleteDeferred(1 + len(op.Key))
		d.Key[0] = cfPrefix[op.CF]
		copy(d.Key[1:], op.Key)
		return d.Finish()
	case engine.OpDeleteRange:
		if lower, upper, ok := encodeRange(op.CF, op.Key, op.Value); ok {
			return pb.DeleteRange(lower, upper, nil)
		}
	}
	return nil
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	if err := e.gate.Shut(); err != nil {
		return err
	}
	var syncErr error
	if e.fuse.err() == nil {
		syncErr = e.sync()
	}
	failedBefore := e.fuse.err() != nil
	e.fuse.release()
	defer e.lock.Close()
	err := e.db.Close()
	if failedBefore {
		return nil // every writer was told; nothing more can be made durable
	}
	if err = errors.Join(syncErr, err, e.fuse.err()); err == nil {
		err = writeSums(e.fs, e.dir)
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", e.dir, err)
	}
	return nil
}
