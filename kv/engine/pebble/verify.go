// Looking before opening: pebble changes files on its way to finding out that others are damaged, takes a flipped
// bit in its manifest for a torn end, and starts afresh when the marker of its manifest is gone. So everything is
// checked before it is called, and nothing is changed.

package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/sums"
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
	case errors.Is(err, syscall.EAGAIN), strings.Contains(err.Error(), "lock held by current process"):
		return nil, fmt.Errorf("open %s: %w: stop the process that has it open", dir, engine.ErrInUse)
	}
	return nil, fmt.Errorf("open %s: can't write there: %w", dir, err)
}

// verify checks the directory. Of a store that was closed, every file must be as Close left it. After a crash the
// manifest, the log and the tables are checked as far as their own checksums go.
func verify(opts Options, dir string, lock *pebble.Lock) error {
	d := vfsDir{opts.FS, dir}
	s, err := sums.Read(d)
	if err != nil {
		return err
	}
	if err := s.Check(d, opts.VerifyBytes); err != nil {
		return err
	}
	if s.Clean {
		return nil
	}
	desc, err := pebble.Peek(dir, opts.FS)
	if err != nil {
		return err
	}
	if !desc.Exists {
		return verifyFresh(opts.FS, dir)
	}
	if err := verifyManifest(d, opts.FS.PathBase(desc.ManifestFilename)); err != nil {
		return err
	}
	if err := verifyLogs(d); err != nil {
		return err
	}
	f := &fuse{}
	o := pebbleOptions(opts.FS, opts.Logger, f)
	o.ReadOnly, o.Lock = true, lock
	db, err := pebble.Open(dir, o)
	if err != nil {
		return err
	}
	err = verifyTables(db, o, d, opts.VerifyBytes)
	return errors.Join(err, db.Close(), f.err())
}

// verifyFresh checks that a directory without a manifest is none that lost it.
func verifyFresh(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if isTable(name) {
			return fmt.Errorf("%w: there are tables, but no manifest", engine.ErrCorrupt)
		}
	}
	return nil
}

// verifyTables reads tables to check their blocks, up to a budget of bytes; pebble checks every block when it reads
// it, anyway.
func verifyTables(db *pebble.DB, o *pebble.Options, d vfsDir, budget int64) error {
	levels, err := db.SSTables()
	if err != nil {
		return err
	}
	for _, t := range slices.Concat(levels...) {
		if budget -= int64(t.Size); budget < 0 || t.Virtual {
			continue
		}
		name := fmt.Sprintf("%06d.sst", uint64(t.FileNum))
		if err := verifyTable(o, d, name); err != nil {
			return fmt.Errorf("%w: %s: %v", engine.ErrCorrupt, d.Path(name), err)
		}
	}
	return nil
}

func verifyTable(o *pebble.Options, d vfsDir, name string) error {
	content, err := d.read(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(vfs.NewMemFile(content))
	if err != nil {
		return err
	}
	r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		return err
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// writeSums notes all files of a store that was just closed.
func writeSums(fsys vfs.FS, dir string) error {
	d := vfsDir{fsys, dir}
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	all := sums.Sums{Clean: true}
	for _, name := range names {
		if name == sums.Name || name == "LOCK" {
			continue
		}
		if err := all.Add(d, name, sums.Sums{}); err != nil {
			return err
		}
	}
	return all.Write(d)
}

// damageWords are how pebble speaks of damage where it does not mark its error as a corruption.
var damageWords = regexp.MustCompile("size mismatch|file does not exist|no such file|unknown to the objstorage|" +
	"manifest|corrupt|invalid|checksum")

// replaying is how pebble names, in the details of an error only, the log that it could not read.
var replaying = regexp.MustCompile(`replaying wal (\d+)`)

// openError says in one line why dir can't be opened.
func openError(dir string, err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if log := replaying.FindStringSubmatch(fmt.Sprintf("%+v", err)); log != nil {
		text = log[1] + ".log: " + text
	}
	switch {
	case errors.Is(err, engine.ErrCorrupt):
		return fmt.Errorf("open %s: %w", dir, err)
	case pebble.IsCorruptionError(err), damageWords.MatchString(text) && !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: %w: %s", dir, engine.ErrCorrupt, text)
	}
	return fmt.Errorf("open %s: %w", dir, err)
}

// vfsDir is a directory for package sums.
type vfsDir struct {
	fs   vfs.FS
	path string
}

func (d vfsDir) Path(name string) string { return d.fs.PathJoin(d.path, name) }

func (d vfsDir) Open(name string) (io.ReadCloser, error) { return d.fs.Open(d.Path(name)) }

func (d vfsDir) Size(name string) (int64, error) {
	info, err := d.fs.Stat(d.Path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d vfsDir) Replace(name string, content []byte) error {
	f, err := d.fs.Create(d.Path(name+".new"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Clone(content))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(d.Path(name+".new"), d.Path(name)); err != nil {
		return err
	}
	dir, err := d.fs.OpenDir(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d vfsDir) read(name string) ([]byte, error) {
	r, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}
