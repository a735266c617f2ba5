// Looking before opening: pebble changes files on its way to finding out that others are damaged, so a read-only pass comes first.

package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine"
)

// lockDir makes dir if it is missing and locks it against other processes and other Opens of this one.
func lockDir(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open %s: can't make the directory: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, fsys)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES) && !errors.Is(err, fs.ErrPermission),
		strings.Contains(err.Error(), "lock held by current process"):
		return nil, fmt.Errorf("open %s: %w: stop the process that has it open", dir, engine.ErrInUse)
	}
	return nil, fmt.Errorf("open %s: can't write there: %w", dir, err)
}

// verify opens the store read-only and checks what it finds, so that a damaged store is left as it is.
func verify(opts Options, dir string, lock *pebble.Lock) error {
	desc, err := pebble.Peek(dir, opts.FS)
	if err != nil {
		return openError(dir, err)
	}
	if !desc.Exists {
		return nil
	}
	f := &fuse{}
	o := pebbleOptions(opts.FS, opts.Logger, f)
	o.ReadOnly = true
	o.Lock = lock
	db, err := pebble.Open(dir, o)
	if err != nil {
		return openError(dir, err)
	}
	return errors.Join(f.err(), db.Close())
}

// openError says in one line why dir can't be opened.
func openError(dir string, err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("open %s: %w: %s", dir, engine.ErrCorrupt, text)
	}
	return fmt.Errorf("open %s: %w", dir, err)
}
