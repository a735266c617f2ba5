//go:build cgo

// The engine: open, write, estimate, close.

package badger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/gate"
	"tinykv/kv/engine/internal/sums"
)

// Built tells whether this program has the engine: it does, because it was built with a C compiler.
const Built = true

// Engine implements engine.Engine on a badger store.
type Engine struct {
	dir           string
	lock          *os.File // closing it gives the directory free
	db            *badger.DB
	log           *slog.Logger
	commitTimeout time.Duration
	tables        sums.Sums  // of the tables, as far as they are noted on disk
	notes         tableNotes // used by the one goroutine that commits
	gate          gate.Gate
	group         group
	cause         atomic.Pointer[error] // why the engine is failed, if it is

	sequence uint64 // of the last transaction; used by the one goroutine that commits
}

var _ engine.Engine = (*Engine)(nil)

// Write implements engine.Engine. Concurrent writes share a transaction and its sync. Badger syncs all of its
// writes or none, and a write that is not synced can be torn by a crash even though it was one transaction; so
// every write is synced, Buffered ones too.
func (e *Engine) Write(b *engine.Batch, _ engine.Durability) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	if err := e.failed(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrFailed, err)
	}
	if err := b.Check(); err != nil {
		return err
	}
	if b.Len() == 0 {
		return nil // what came before is synced already
	}
	if err := e.group.do(b, e.commit); err != nil {
		return fmt.Errorf("write a batch to %s: %w", e.dir, err)
	}
	return nil
}

// failed is why the engine takes no more writes, or nil.
func (e *Engine) failed() error {
	if p := e.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// fail stops all further writes and returns err.
func (e *Engine) fail(err error) error {
	if e.cause.CompareAndSwap(nil, &err) {
		e.log.Error("badger: a write failed, no more are taken", "dir", e.dir, "error", err)
	}
	return err
}

// Close implements engine.Engine. After a failed write badger may not be able to close; then its files stay open,
// and the directory locked, until the process ends.
func (e *Engine) Close() error {
	if err := e.gate.Shut(); err != nil {
		return err
	}
	err := watch(e.commitTimeout, e.db.Close)
	if errors.Is(err, errHanging) {
		return fmt.Errorf("close %s: %w", e.dir, err) // badger still has the files: keep the lock
	}
	defer e.lock.Close()
	if e.failed() != nil {
		return nil // every writer was told
	}
	if err == nil {
		err = writeSums(e.dir, e.tables)
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", e.dir, err)
	}
	return nil
}
