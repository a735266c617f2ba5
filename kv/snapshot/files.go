// What a Directory needs of a file system: the real one, or in tests one that fails and crashes.

package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// files are the operations on a file system. Paths are whole. Errors are those of package os.
type files interface {
	makeDir(path string) error // no error if it is there
	syncDir(path string) error
	list(path string) ([]string, error)
	exists(path string) (bool, error)
	create(path string) (file, error) // fs.ErrExist if it is there
	open(path string) (io.ReadCloser, error)
	rename(from, to string) error
	remove(path string) error
}

// file is one that is being written.
type file interface {
	io.WriteCloser
	Sync() error
}

// system is the file system of the machine.
type system struct{}

func (system) makeDir(path string) error {
	if err := os.Mkdir(path, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (system) syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (system) list(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (system) exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (system) create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

func (system) open(path string) (io.ReadCloser, error) { return os.Open(path) }
func (system) rename(from, to string) error            { return os.Rename(from, to) }
func (system) remove(path string) error                { return os.Remove(path) }
