//go:build cgo

// Looking before opening: badger repairs, truncates and deletes on its way to finding out that something is
// damaged, and ends the process on a damaged table. So everything is checked before it is called, and nothing is
// changed.

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
	"github.com/Connor1996/badger/protos"
	"github.com/Connor1996/badger/table"
	"golang.org/x/sys/unix"

	"tinykv/kv/engine"
	"tinykv/kv/engine/internal/sums"
)

// verify checks the directory and returns the sums of the tables that are in use: what is true while the store is
// open; fresh tells that there is no store yet. Of tables that were written after the sums were noted last, at
// least the form is checked.
func verify(dir string, budget int64) (tables sums.Sums, fresh bool, err error) {
	d := sums.OSDir(dir)
	s, err := sums.Read(d)
	if err != nil {
		return tables, false, err
	}
	if s.Clean { // before anything is believed that the manifest says
		if err := s.Check(d, budget); err != nil {
			return tables, false, err
		}
	}
	if err := verifyBlobLog(d); err != nil {
		return tables, false, err
	}
	m, err := verifyManifest(dir)
	if err != nil {
		return tables, false, err
	}
	if m == nil {
		return tables, true, verifyFresh(d)
	}
	if !s.Found {
		return tables, false, fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, d.Path(sums.Name))
	}
	inUse := tablesOf(m)
	if !s.Clean {
		// Badger empties a table before it removes it. So one that is damaged, but not in use, is the trace of a crash.
		// But the manifest must know of it: else its end was cut off.
		mentioned, err := tablesMentioned(dir)
		if err != nil {
			return tables, false, err
		}
		for _, name := range s.Names() {
			if size, err := d.Size(name); err == nil && size > 0 && !isLog(name) && !mentioned[name] {
				return tables, false, fmt.Errorf("%w: %s does not know of table %s: it was cut off",
					engine.ErrCorrupt, d.Path(badger.ManifestFilename), name)
			}
		}
		s = s.Only(func(name string) bool { return inUse[name] || needsLog(m, name) })
		if err := s.Check(d, budget); err != nil {
			return tables, false, err
		}
	}
	for name := range inUse {
		if size, err := d.Size(name); err != nil || size == 0 {
			return tables, false, fmt.Errorf("%w: table %s is missing or empty", engine.ErrCorrupt, d.Path(name))
		}
		if !s.Has(name) {
			if err := verifyTable(d.Path(name)); err != nil {
				return tables, false, fmt.Errorf("%w: table %s: %v", engine.ErrCorrupt, d.Path(name), err)
			}
		}
		if err := tables.Add(d, name, s); err != nil {
			return tables, false, err
		}
	}
	if s.Clean {
		return tables, false, nil
	}
	for _, name := range s.Names() {
		if isLog(name) {
			if err := tables.Add(d, name, s); err != nil {
				return tables, false, err
			}
		}
	}
	if m.Head != nil {
		return tables, false, verifyLogs(dir, m.Head.LogID, m.Head.LogOffset)
	}
	if logs, _ := filepath.Glob(d.Path("*.vlog")); len(logs) == 0 && len(inUse) == 0 {
		return tables, false, nil // the crash came while the store was being made
	}
	return tables, false, verifyLogs(dir, 0, 0)
}

// verifyFresh checks that a directory without a manifest is none that lost it.
func verifyFresh(d sums.OSDir) error {
	for _, pattern := range []string{"*.sst", "*.vlog"} {
		if files, _ := filepath.Glob(d.Path(pattern)); len(files) > 0 {
			return fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, d.Path(badger.ManifestFilename))
		}
	}
	return nil
}

// tablesOf names the tables that a manifest says are in use.
func tablesOf(m *badger.Manifest) map[string]bool {
	names := map[string]bool{}
	for id := range m.Tables {
		names[table.IDToFilename(id)] = true
	}
	return names
}

// tablesMentioned names the tables that a manifest says were made, or removed.
func tablesMentioned(dir string) (map[string]bool, error) {
	content, err := os.ReadFile(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for at := manifestHeader; at+manifestHeader <= len(content); {
		end, ok := manifestRecord(content, at)
		if !ok {
			break
		}
		var record protos.ManifestChangeSet
		if err := record.Unmarshal(content[at+manifestHeader : end]); err != nil {
			break
		}
		for _, change := range record.Changes {
			names[table.IDToFilename(change.Id)] = true
		}
		at = end
	}
	return names, nil
}

// writeSums notes all files of a store that was just closed; tables whose sums are known are not read again. Tables
// that are not in use any more, which badger leaves behind at Close, are removed.
func writeSums(dir string, known sums.Sums) error {
	d, all := sums.OSDir(dir), sums.Sums{Clean: true}
	m, err := verifyManifest(dir)
	if err != nil {
		return err
	}
	inUse := tablesOf(m)
	files, err := filepath.Glob(d.Path("*.sst"))
	if err != nil {
		return err
	}
	for _, path := range files {
		name := filepath.Base(path)
		if !inUse[name] {
			_ = os.Remove(path) // one too many does no harm
		} else if err := all.Add(d, name, known); err != nil {
			return err
		}
	}
	logs, err := filepath.Glob(d.Path("*.vlog"))
	if err != nil {
		return err
	}
	for _, path := range append(logs, d.Path(badger.ManifestFilename)) {
		if err := all.Add(d, filepath.Base(path), sums.Sums{}); err != nil {
			return err
		}
	}
	return all.Write(d)
}

const manifestHeader = 8 // of the file: magic; of a record: length u32, crc32c u32, big-endian

// verifyManifest reads the MANIFEST as badger does. Badger takes a bad record for the torn end, cuts off what
// follows, and then deletes the tables that are not named any more; so a good record behind a bad one is
// engine.ErrCorrupt here. Without a MANIFEST the answer is nil: there is no store yet.
func verifyManifest(dir string) (*badger.Manifest, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
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
	for at := manifestHeader; at+manifestHeader <= len(content); {
		if end, ok := manifestRecord(content, at); ok {
			at = end
			continue
		}
		for later := at + 1; later+manifestHeader < len(content); later++ {
			if end, ok := manifestRecord(content, later); ok && end > later+manifestHeader {
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

// lockDir locks dir until the file that it returns is closed. Badger has a lock of its own, but gives it back
// before Close has noted the sums.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "OWNER"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s: can't write there: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w: stop the process that has it open", dir, engine.ErrInUse)
	}
	return f, nil
}
