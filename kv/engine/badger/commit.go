//go:build cgo

// The commit, which does not believe badger.
//
// Badger's Commit returns nil also when the write or the sync of its log failed: the error is dropped on the way.
// But then the entries are not readable. So each transaction writes the next number under one more key, the last in
// order, and reads it back: only if it is there is the transaction acknowledged. And after a failed write badger's
// writer is gone, so that the next Commit would wait for ever: a watchdog ends the wait. After either the engine is
// failed for good.

package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine"
)

// sequenceKey is behind all column families, so badger stores it after everything else of its transaction.
var sequenceKey = []byte{0xff}

// errSwallowed: badger said that a commit succeeded, but what was committed can't be read.
var errSwallowed = errors.New(
	"the commit was lost: badger could not write or sync its log (is the disk full or failing?)")

// errHanging: a commit did not end in time.
var errHanging = errors.New("the commit does not end: badger's writer has stopped, or the disk takes too long")

// commit writes batches as one transaction, with the next sequence number, and returns nil only when it is durable.
// It is called by one goroutine at a time. Error: engine.ErrTooLarge, after which the engine is as before; any
// other means that it is failed.
func (e *Engine) commit(batches []*engine.Batch) error {
	if err := e.failed(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrFailed, err)
	}
	txn := e.db.NewTransaction(true)
	if err := e.stage(txn, batches); err != nil {
		txn.Discard()
		if errors.Is(err, engine.ErrTooLarge) {
			return err
		}
		return e.fail(err)
	}
	if err := watch(e.commitTimeout, txn.Commit); err != nil { // Commit discards txn, and if it hangs it still uses it
		return e.fail(err)
	}
	if got, err := readSequence(e.db); err != nil || got != e.sequence+1 {
		return e.fail(errors.Join(errSwallowed, err))
	}
	e.sequence++
	e.noteTables()
	return nil
}

// stage puts batches and the sequence number into txn.
func (e *Engine) stage(txn *badger.Txn, batches []*engine.Batch) error {
	for _, b := range batches {
		if err := stageBatch(txn, b); err != nil {
			return err
		}
	}
	return txn.Set(bytes.Clone(sequenceKey), binary.BigEndian.AppendUint64(nil, e.sequence+1))
}

// watch runs f and waits at most so long for it. The goroutine of one that hangs is lost.
func watch(timeout time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w (waited %v)", errHanging, timeout)
	}
}

// readSequence returns the number of the last transaction in the store, 0 in an empty one.
func readSequence(db *badger.DB) (uint64, error) {
	txn := db.NewTransaction(false)
	defer txn.Discard()
	item, err := txn.Get(sequenceKey) // of the newest state, so a point get is right (see snapshot.Get)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	value, err := item.Value()
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: the sequence key holds %d bytes", engine.ErrCorrupt, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}
