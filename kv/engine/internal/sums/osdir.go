// The directory on the real file system.

package sums

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// OSDir is a directory of the operating system, by its path.
type OSDir string

// Path implements Dir.
func (d OSDir) Path(name string) string { return filepath.Join(string(d), name) }

// Open implements Dir.
func (d OSDir) Open(name string) (io.ReadCloser, error) { return os.Open(d.Path(name)) }

// Size implements Dir.
func (d OSDir) Size(name string) (int64, error) {
	info, err := os.Stat(d.Path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Replace implements Dir: a synced file of another name is renamed, and the directory is synced.
func (d OSDir) Replace(name string, content []byte) error {
	f, err := os.Create(d.Path(name + ".new"))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(d.Path(name+".new"), d.Path(name)); err != nil {
		return err
	}
	dir, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
