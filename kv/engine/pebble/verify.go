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
// files must begin with what the note says, and beyond that the manifest, the log and the tables are checked as far
// as their own checksums go. known are the sums that were right; fresh tells that there is no store yet.
func verify(opts Options, dir string, lock *pebble.Lock) (known sums.Sums, fresh bool, err error) {
	d := vfsDir{opts.FS, dir}
	s, err := sums.Read(d)
	if err != nil {
		return s, false, err
	}
	if s.Clean {
		return s, false, s.Check(d, opts.VerifyBytes)
	}
	desc, err := pebble.Peek(dir, opts.FS)
	if err != nil {
		return s, false, err
	}
	if !desc.Exists {
		return sums.Sums{}, true, verifyFresh(d)
	}
	if !s.Found {
		return s, false, fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, d.Path(sums.Name))
	}
	if err := s.Check(d, opts.VerifyBytes); err != nil {
		return s, false, err
	}
	if err := verifyManifest(d, opts.FS.PathBase(desc.ManifestFilename)); err != nil {
		return s, false, err
	}
	if err := verifyLogs(d); err != nil {
		return s, false, err
	}
	return s, false, verifyOpened(opts, d, lock)
}

// verifyOpened lets pebble open the store, which changes nothing, and reads its tables.
func verifyOpened(opts Options, d vfsDir, lock *pebble.Lock) error {
	f := &fuse{}
	o := pebbleOptions(opts.FS, opts, f)
	o.ReadOnly, o.Lock = true, lock
	db, err := pebble.Open(d.path, o)
	if err != nil {
		return err
	}
	err = verifyTables(db, o, d, opts.VerifyBytes)
	return errors.Join(err, db.Close(), f.err())
}

// verifyFresh checks that a directory in which no manifest is marked as the current one has none that lost its mark.
// A first open that was cut short may have left a manifest, but no tables, and no log with a record.
func verifyFresh(d vfsDir) error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		size, err := d.Size(name)
		if err != nil {
			return err
		}
		if isTable(name) || strings.HasSuffix(name, ".log") && size > 0 {
			return fmt.Errorf("%w: there is %s, but no %s", engine.ErrCorrupt, d.Path(name),
				d.Path("marker.manifest.*"))
		}
	}
	return nil
}

// removeNew removes what a first open made that failed: on a full disk, nothing should be left that fills it more.
func removeNew(fsys vfs.FS, dir string, before []string, missing error) {
	names, err := fsys.List(dir)
	if err != nil {
		return
	}
	for _, name := range names {
		if !slices.Contains(before, name) {
			_ = fsys.Remove(fsys.PathJoin(dir, name)) // the error of the open says more
		}
	}
	if missing != nil {
		_ = fsys.Remove(dir)
	}
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
		if name == sums.Name || name == sums.Name+".new" || name == "LOCK" {
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
	"manifest|corrupt|invalid|checksum|not pristine")

// How pebble names files in errors without saying their path: a log only in the details, a table by its number.
var (
	replaying = regexp.MustCompile(`replaying wal (\d+)`)
	ofTable   = regexp.MustCompile(`file (\d+) \(type sstable\)`)
)

// openError says in one line why dir can't be opened, and what to do if it is damaged.
func openError(dir, advice string, err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	switch {
	case errors.Is(err, engine.ErrCorrupt):
		return fmt.Errorf("open %s: %w; %s", dir, err, sums.Advice(dir, advice))
	case !pebble.IsCorruptionError(err) && !damageWords.MatchString(text) || errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: %w", dir, err)
	}
	if log := replaying.FindStringSubmatch(fmt.Sprintf("%+v", err)); log != nil {
		text = dir + "/" + log[1] + ".log: " + text
	} else if table := ofTable.FindStringSubmatch(text); table != nil {
		text = dir + "/" + table[1] + ".sst: " + text
	} else if strings.Contains(text, "not pristine") {
		text = dir + "/marker.format-version.* is missing: " + text
	} else if strings.Contains(text, "key=value") {
		text = dir + "/OPTIONS-*: " + text
	}
	return fmt.Errorf("open %s: %w: %s; %s", dir, engine.ErrCorrupt, text, sums.Advice(dir, advice))
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
