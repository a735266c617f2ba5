// Make and Remove a directory, and sweep up what processes left that were killed.

package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	prefix    = "labs-"
	ownerFile = "owner" // in each directory; its maker holds the lock on it
	// after it a directory without an owner's file is abandoned: its maker was killed before it wrote the file
	abandoned = 24 * time.Hour
)

// Dir is a directory for temporary files.
type Dir struct {
	Path  string
	owner *os.File // open for its lock
}

// made holds the directories of this process: a file that nobody refers to would be closed, and its lock gone.
var made sync.Map

// Make makes a directory that only this process uses, in the directory for temporary files. kind is in its name. The
// caller removes it. The error says what to do.
func Make(kind string) (*Dir, error) {
	sweep(os.TempDir())
	path, err := os.MkdirTemp("", prefix+kind+"-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for temporary files: %w: set TMPDIR to a directory with space", err)
	}
	owner, err := own(path)
	if err != nil {
		RemoveAll(path)
		return nil, fmt.Errorf("make a directory for temporary files: %w: set TMPDIR to a directory with space", err)
	}
	dir := &Dir{Path: path, owner: owner}
	made.Store(dir, true)
	return dir, nil
}

// own writes the owner's file. It gets its name when it is locked, so that nobody finds it unlocked before.
func own(dir string) (*os.File, error) {
	path := filepath.Join(dir, ownerFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, os.Getpid()) // for a person who looks; the lock is what counts
	if err == nil && !lock(f) {
		err = errors.New("a new file can't be locked")
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Remove removes the directory and all that is in it.
func (d *Dir) Remove() error {
	err := RemoveAll(d.Path)
	made.Delete(d)
	d.owner.Close() // the lock goes last: nobody else removes the directory at the same time
	return err
}

// RemoveAll removes a directory in which there may be directories that were made read-only.
func RemoveAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// sweep removes the directories in temp whose makers are gone.
func sweep(temp string) {
	entries, _ := os.ReadDir(temp)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.IsDir() { // a symbolic link is no directory
			continue
		}
		if info, err := e.Info(); err == nil && isOurs(info) {
			removeIfLeft(filepath.Join(temp, e.Name()), info.ModTime())
		}
	}
}

// removeIfLeft removes a directory unless its maker lives.
func removeIfLeft(dir string, touched time.Time) {
	owner, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && time.Since(touched) > abandoned {
			RemoveAll(dir)
		}
		return
	}
	defer owner.Close()
	if left(owner, touched) {
		RemoveAll(dir)
	}
}
