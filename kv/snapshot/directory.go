// Directory: the spool of a real store.
//
//	name.tmp   a draft: written, synced, then renamed
//	name       a complete spool
//
// What is durable when:
//
//	write name.tmp ─► fsync name.tmp ─► rename to name ─► fsync the directory ─► Commit returns
//
// A crash before the rename leaves name.tmp, which the next OpenDirectory removes. A crash between the rename and the last
// sync leaves either, and a whole file in both cases.

package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// draftSuffix is on the names of files that are not complete.
const draftSuffix = ".tmp"

// flushBytes is how much of a draft may wait in the machine's memory. If all of a large snapshot had to be written by the
// sync at its end, the raft log's syncs would wait behind it.
const flushBytes = 8 << 20

// Directory is a Spool whose files are in a directory of their own.
type Directory struct {
	path  string
	files files

	mu     sync.Mutex // guards drafts
	drafts map[string]bool
}

// OpenDirectory opens the spool in a directory, which nobody else may use. It makes the directory if it is missing (its
// parent must exist), and removes drafts that a crash left there. Error: that of the file system.
func OpenDirectory(path string) (*Directory, error) { return openDirectory(path, system{}) }

func openDirectory(path string, fs files) (*Directory, error) {
	d := &Directory{path: path, files: fs, drafts: map[string]bool{}}
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("open the directory of received snapshots: %w", err)
	}
	return d, nil
}

// prepare makes the directory, durably, and removes leftovers.
func (d *Directory) prepare() error {
	if err := d.files.makeDir(d.path); err != nil {
		return err
	}
	if err := d.files.syncDir(filepath.Dir(d.path)); err != nil {
		return err
	}
	names, err := d.files.list(d.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, draftSuffix) {
			continue
		}
		if err := d.files.remove(filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	return nil
}

// Create implements Spool.
func (d *Directory) Create(name string) (Draft, error) {
	draft, err := d.create(name)
	if err != nil {
		return nil, fmt.Errorf("begin to keep a snapshot: %w", err)
	}
	return draft, nil
}

func (d *Directory) create(name string) (*fileDraft, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	exists, err := d.files.exists(d.file(name))
	if err != nil {
		return nil, err
	}
	if exists || d.drafts[name] {
		return nil, fmt.Errorf("%s: %w", d.file(name), fs.ErrExist)
	}
	f, err := d.files.create(d.file(name) + draftSuffix)
	if err != nil {
		return nil, err
	}
	d.drafts[name] = true
	return &fileDraft{dir: d, name: name, file: f}, nil
}

// Open implements Spool.
func (d *Directory) Open(name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return d.files.open(d.file(name))
}

// Remove implements Spool. It does not sync the directory: a file that comes back is only garbage.
func (d *Directory) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := d.files.remove(d.file(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Spool. Files whose names can't be those of spools are not ours, and are left alone.
func (d *Directory) List() ([]string, error) {
	names, err := d.files.list(d.path)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return checkName(name) != nil })
	slices.Sort(names)
	return names, nil
}

func (d *Directory) file(name string) string { return filepath.Join(d.path, name) }

// forget frees the name of a draft.
func (d *Directory) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.drafts, name)
}

// fileDraft is a Draft in a file.
type fileDraft struct {
	dir     *Directory
	name    string
	file    file
	unsaved int // bytes since the last sync
}

// Write implements Draft.
func (f *fileDraft) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.unsaved += n
	if err == nil && f.unsaved >= flushBytes {
		f.unsaved = 0
		err = f.file.Sync()
	}
	return n, err
}

// Commit implements Draft.
func (f *fileDraft) Commit() error {
	defer f.dir.forget(f.name)
	final := f.dir.file(f.name)
	err := f.file.Sync()
	err = errors.Join(err, f.file.Close())
	if err != nil {
		return f.failed(err, final+draftSuffix)
	}
	if err := f.dir.files.rename(final+draftSuffix, final); err != nil {
		return f.failed(err, final+draftSuffix)
	}
	if err := f.dir.files.syncDir(f.dir.path); err != nil {
		return f.failed(err, final)
	}
	return nil
}

// failed removes what can't be completed.
func (f *fileDraft) failed(err error, path string) error {
	return fmt.Errorf("keep a snapshot: %w", errors.Join(err, f.dir.files.remove(path)))
}

// Discard implements Draft.
func (f *fileDraft) Discard() error {
	defer f.dir.forget(f.name)
	return errors.Join(f.file.Close(), f.dir.files.remove(f.dir.file(f.name)+draftSuffix))
}
