//go:build cgo

// Looking before opening: badger repairs, truncates and deletes on its way to finding out that something is damaged, and ends the
// process on a damaged table. So everything is checked before it is called, and nothing is changed.

package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/Connor1996/badger"
	"github.com/Connor1996/badger/table"
	"golang.org/x/sys/unix"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/sums"
)

// verify checks the directory and returns the sums of the tables that are in use: what is true while the store is open. Tables that
// were written since it was opened last, and not closed with, are taken as they are.
func verify(dir string, budget int64) (tables sums.Sums, err error) {
	s, err := sums.Read(sums.OSDir(dir))
	if err != nil {
		return tables, err
	}
	if err := s.Check(sums.OSDir(dir), budget); err != nil {
		return tables, err
	}
	m, err := verifyManifest(dir)
	if err != nil || m == nil {
		return tables, err
	}
	for id := range m.Tables {
		name := table.IDToFilename(id)
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			return tables, fmt.Errorf("%w: table %s is missing or empty", engine.ErrCorrupt, path)
		}
		if err := tables.Add(sums.OSDir(dir), name, s); err != nil {
			return tables, err
		}
	}
	if s.Clean {
		return tables, nil
	}
	var fid, offset uint32
	if m.Head != nil {
		fid, offset = m.Head.LogID, m.Head.LogOffset
	}
	return tables, verifyLogs(dir, fid, offset)
}

// writeSums notes all files of a store that was just closed; tables whose sums are known are not read again.
func writeSums(dir string, known sums.Sums) error {
	all := sums.Sums{Clean: true}
	for _, pattern := range []string{"*.sst", "*.vlog", badger.ManifestFilename} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := all.Add(sums.OSDir(dir), filepath.Base(path), known); err != nil {
				return err
			}
		}
	}
	return all.Write(sums.OSDir(dir))
}

// verifyManifest reads the MANIFEST as badger does. Badger takes a bad record for the torn end, cuts off what follows, and then
// deletes the tables that are not named any more; so a good record behind a bad one is engine.ErrCorrupt here. Without a MANIFEST
// the answer is nil: there is no store yet.
func verifyManifest(dir string) (*badger.Manifest, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if tables, _ := filepath.Glob(filepath.Join(dir, "*.sst")); len(tables) > 0 {
			return nil, fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, path)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const recordHeader = 8 // length u32, crc32c u32, big-endian
	for at := recordHeader; at+recordHeader <= len(content); {
		if end, ok := manifestRecord(content, at); ok {
			at = end
			continue
		}
		for later := at + 1; later+recordHeader < len(content); later++ {
			if end, ok := manifestRecord(content, later); ok && end > later+recordHeader {
				return nil, fmt.Errorf("%w: %s has a bad record at byte %d", engine.ErrCorrupt, path, at)
			}
		}
		break
	}
	m, _, err := badger.ReplayManifestFile(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", engine.ErrCorrupt, path, err)
	}
	return &m, nil
}

// manifestRecord tells whether a whole record begins at a byte of the MANIFEST, and where it ends.
func manifestRecord(content []byte, at int) (end int, ok bool) {
	size := int64(binary.BigEndian.Uint32(content[at:]))
	if int64(at)+8+size > int64(len(content)) {
		return 0, false
	}
	end = at + 8 + int(size)
	return end, crc32.Checksum(content[at+8:end], castagnoli) == binary.BigEndian.Uint32(content[at+4:])
}

// lockDir locks dir until the file that it returns is closed. Badger has a lock of its own, but gives it back before Close has
// noted the sums.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "OWNER"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s: can't write there: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w: stop the process that has it open", dir, engine.ErrInUse), f.Close())
	}
	return f, nil
}
