// DirStorage: a directory with one small file per record.
//
//	tinykv scheduler record, format 1, crc32c 9a3f00c1, 117 bytes
//	{"ClusterID":...}
//
// The first line says what the rest must be, so a file that is torn, flipped, foreign or newer is told from a good
// one, and a person sees what it is. A file is replaced by writing beside it, syncing, renaming over it, and syncing
// the directory: at each moment the name leads to the whole old record or the whole new one.

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	recordFormat = 1
	recordMagic  = "tinykv scheduler record, format "
	lockName     = "LOCK"
	tempSuffix   = ".tmp" // what a crash during a save leaves; the next save of the record writes over it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DirStorage is a Storage in a directory that no other process uses meanwhile.
type DirStorage struct {
	dir  string
	lock *os.File
	mu   sync.Mutex // one save at a time
}

// OpenDir opens the storage in dir, which is made if it does not exist. It refuses, with one line that names the file
// and says what to do, a directory that is not writable, in use by another scheduler, or of another program, and
// records that are damaged or of a newer version. Then nothing was changed.
func OpenDir(dir string) (*DirStorage, error) {
	if err := checkOurs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the scheduler's directory %s (%w): choose another one", dir, err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	return &DirStorage{dir: dir, lock: lock}, nil
}

// PeekClusterID returns the id of the cluster whose records are in dir, or 0 if there is none yet. It changes nothing, and
// needs no lock. Errors: those of OpenDir; a record that must be there is missing.
func PeekClusterID(dir string) (uint64, error) {
	if err := checkOurs(dir); err != nil {
		return 0, err
	}
	found, err := loadAll(context.Background(), &DirStorage{dir: dir})
	return found.meta.ClusterID, err
}

// checkOurs refuses a directory that holds anything a scheduler would not have put there, or a record that cannot be
// trusted.
func checkOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the scheduler's directory %s (%w): choose another one", dir, err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), tempSuffix)
		if name != lockName && !slices.Contains(recordNames, name) {
			return fmt.Errorf("%s is not a scheduler's directory, it holds %s: choose another one, or an empty one",
				dir, e.Name())
		}
	}
	for _, name := range recordNames {
		if _, err := readRecord(filepath.Join(dir, name)); err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
	}
	return nil
}

// Load implements Storage.
func (d *DirStorage) Load(_ context.Context, name string) ([]byte, error) {
	return readRecord(filepath.Join(d.dir, name))
}

func readRecord(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoRecord
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	head, value, _ := bytes.Cut(data, []byte("\n"))
	var format, length int
	var sum uint32
	if !bytes.HasPrefix(head, []byte(recordMagic)) {
		return nil, damaged(path, "its first line is not that of a scheduler's record")
	}
	if _, err := fmt.Sscanf(string(head[len(recordMagic):]), "%d,", &format); err != nil {
		return nil, damaged(path, "its first line is cut off")
	}
	if format > recordFormat {
		return nil, fmt.Errorf("%s was written by a newer version (format %d, this program knows %d): run that version",
			path, format, recordFormat)
	}
	_, err = fmt.Sscanf(string(head), recordMagic+"1, crc32c %x, %d bytes", &sum, &length)
	switch {
	case err != nil:
		return nil, damaged(path, "its first line is cut off")
	case len(value) != length:
		return nil, damaged(path, fmt.Sprintf("it has %d bytes after the first line instead of %d", len(value), length))
	case crc32.Checksum(value, castagnoli) != sum:
		return nil, damaged(path, "its checksum does not match")
	}
	return value, nil
}

// damaged says what is wrong and what to do: what to do depends on what can be found out again.
func damaged(path, what string) error {
	remedy := "restore it from a backup; without one, begin a new cluster in an empty directory"
	if filepath.Base(path) == recordRegions {
		remedy = "delete this file, the stores will report their regions again"
	}
	return fmt.Errorf("%s is damaged, %s: %s", path, what, remedy)
}

// Save implements Storage.
func (d *DirStorage) Save(_ context.Context, name string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return fmt.Errorf("save %s: %w", name, fs.ErrClosed)
	}
	path := filepath.Join(d.dir, name)
	head := fmt.Sprintf(recordMagic+"%d, crc32c %08x, %d bytes\n", recordFormat, crc32.Checksum(value, castagnoli),
		len(value))
	if err := writeSynced(path+tempSuffix, append([]byte(head), value...)); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	// From here on the name leads to the new record. It may be the old one again after a power cut, until the
	// directory is synced.
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return syncDir(d.dir)
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close implements Storage: it lets another process have the directory. A second Close does nothing.
func (d *DirStorage) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}
