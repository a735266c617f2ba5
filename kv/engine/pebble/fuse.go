// The fuse between pebble and the file system: after the first failed write it lets nothing through to the disk any
// more.
//
//	Engine ──► pebble ──► fuse ──► file system
//	   ▲                   │
//	   └────── err() ──────┘
//
// Why: pebble ends the process when its write-ahead log or its manifest can't be written, partly by panicking with
// locks held, which nobody can recover from. So the fuse does not tell it. It keeps the error for Engine.Write,
// which asks before it acknowledges anything, and from then on plays a disk that works: what would be written goes
// nowhere or, if it must be read again, to memory. So pebble's memory stays consistent, reads go on, Close works,
// and the disk stays as the failure left it: no log is deleted for a table that was not written.

package pebble

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fuse remembers the first failure. The zero value is whole.
type fuse struct {
	cause atomic.Pointer[error]

	note *note // may be nil

	closing sync.Once
	closed  chan struct{} // closed by release; made by wrap
}

// err is the first failure, or nil.
func (f *fuse) err() error {
	if p := f.cause.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *fuse) blow(err error) { f.cause.CompareAndSwap(nil, &err) }

// release lets compactions go that wait behind a blown fuse; call it before pebble is closed.
func (f *fuse) release() { f.closing.Do(func() { close(f.closed) }) }

// wrap puts the fuse before fs.
func (f *fuse) wrap(fs vfs.FS) vfs.FS {
	f.closed = make(chan struct{})
	return &fusedFS{FS: fs, fuse: f, shadow: vfs.NewMem()}
}

// hide notes the error of a change to name and keeps it from pebble, except for tables: there pebble copes with
// errors by itself and must know that the table is not complete.
func (f *fuse) hide(name string, err error) error {
	if err == nil {
		return nil
	}
	f.blow(fmt.Errorf("%s: %w", name, err))
	if isTable(name) {
		return err
	}
	return nil
}

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// fusedFS is the file system that pebble sees. Reads pass through.
type fusedFS struct {
	vfs.FS
	fuse   *fuse
	shadow *vfs.MemFS // holds, flat, what was created behind the blown fuse
}

func (fs *fusedFS) blown() bool { return fs.fuse.err() != nil }

func (fs *fusedFS) Unwrap() vfs.FS { return fs.FS }

func (fs *fusedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !fs.blown() {
		file, err := fs.FS.Create(name, category)
		if err == nil {
			return fs.file(file, name), nil
		}
		if err = fs.fuse.hide(name, err); err != nil {
			return nil, err
		}
	}
	if isTable(name) && category != flushCategory {
		<-fs.fuse.closed // a compaction is of no use now: let it wait for Close, not fail and retry in a loop
		return nil, fs.fuse.err()
	}
	return fs.shadow.Create(fs.shadowName(name), category)
}

// flushCategory is what pebble calls the writing of a memory table. It must succeed even behind the blown fuse, or
// else writers that wait for room in memory would wait for ever.
const flushCategory = vfs.DiskWriteCategory("pebble-memtable-flush")

func (fs *fusedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if fs.shadowed(name) {
		return fs.shadow.Open(fs.shadowName(name), opts...)
	}
	return fs.FS.Open(name, opts...)
}

func (fs *fusedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if fs.blown() {
		return fs.shadow.OpenReadWrite(fs.shadowName(name), c, opts...)
	}
	file, err := fs.FS.OpenReadWrite(name, c, opts...)
	if err != nil {
		return nil, err
	}
	return &fusedFile{file, name, fs.fuse}, nil
}

func (fs *fusedFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.forget(oldName)
	if !fs.blown() {
		file, err := fs.FS.ReuseForWrite(oldName, newName, category)
		if err == nil {
			return fs.file(file, newName), nil
		}
		fs.fuse.blow(fmt.Errorf("%s: %w", newName, err))
	}
	return fs.shadow.Create(fs.shadowName(newName), category)
}

// file is a file that was just made.
func (fs *fusedFS) file(file vfs.File, name string) vfs.File {
	fused := &fusedFile{file, name, fs.fuse}
	if base := fs.FS.PathBase(name); fs.fuse.note != nil && isNoted(base) {
		return &notedFile{File: fused, name: base, fuse: fs.fuse}
	}
	return fused
}

// forget takes a file off the note before it is changed. If that fails the fuse blows, and the file stays.
func (fs *fusedFS) forget(name string) {
	if fs.fuse.note == nil || fs.blown() {
		return
	}
	if err := fs.fuse.note.drop(fs.FS.PathBase(name)); err != nil {
		fs.fuse.blow(fmt.Errorf("%s: %w", name, err))
	}
}

func (fs *fusedFS) OpenDir(name string) (vfs.File, error) {
	dir, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fusedFile{dir, name, fs.fuse}, nil
}

// Remove reports its error: a file too many does no harm.
func (fs *fusedFS) Remove(name string) error {
	fs.forget(name)
	if fs.blown() {
		return nil
	}
	return fs.FS.Remove(name)
}

func (fs *fusedFS) RemoveAll(name string) error {
	if fs.blown() {
		return nil
	}
	return fs.FS.RemoveAll(name)
}

func (fs *fusedFS) Rename(oldName, newName string) error {
	if fs.blown() {
		return nil
	}
	return fs.fuse.hide(newName, fs.FS.Rename(oldName, newName))
}

func (fs *fusedFS) Link(oldName, newName string) error {
	if fs.blown() {
		return nil
	}
	return fs.fuse.hide(newName, fs.FS.Link(oldName, newName))
}

func (fs *fusedFS) MkdirAll(dir string, perm os.FileMode) error {
	if fs.blown() {
		return nil
	}
	return fs.FS.MkdirAll(dir, perm)
}

func (fs *fusedFS) Stat(name string) (vfs.FileInfo, error) {
	if fs.shadowed(name) {
		return fs.shadow.Stat(fs.shadowName(name))
	}
	return fs.FS.Stat(name)
}

func (fs *fusedFS) Lock(name string) (io.Closer, error) { return fs.FS.Lock(name) }

func (fs *fusedFS) shadowed(name string) bool {
	if !fs.blown() {
		return false
	}
	_, err := fs.shadow.Stat(fs.shadowName(name))
	return err == nil
}

func (fs *fusedFS) shadowName(name string) string { return fs.FS.PathBase(name) }

// fusedFile is a file that was opened for writing, or a directory, before the fuse blew.
type fusedFile struct {
	vfs.File
	name string
	fuse *fuse
}

func (f *fusedFile) Write(p []byte) (int, error) {
	if f.fuse.err() != nil && !isTable(f.name) {
		return len(p), nil
	}
	n, err := f.File.Write(p)
	if err != nil {
		if err = f.fuse.hide(f.name, err); err == nil {
			n = len(p)
		}
	}
	return n, err
}

func (f *fusedFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fuse.err() != nil && !isTable(f.name) {
		return len(p), nil
	}
	n, err := f.File.WriteAt(p, off)
	if err != nil {
		if err = f.fuse.hide(f.name, err); err == nil {
			n = len(p)
		}
	}
	return n, err
}

func (f *fusedFile) Sync() error { return f.guard(f.File.Sync) }

func (f *fusedFile) SyncData() error { return f.guard(f.File.SyncData) }

func (f *fusedFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.guard(func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, err
}

func (f *fusedFile) Close() error { return f.fuse.hide(f.name, f.File.Close()) }

func (f *fusedFile) guard(change func() error) error {
	if f.fuse.err() != nil && !isTable(f.name) {
		return nil
	}
	return f.fuse.hide(f.name, change())
}
