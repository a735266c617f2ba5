//go:build cgo

// The file SUMS: size and checksum of badger's files, because badger does not check its tables and ends the process on a bad one.
//
//	tinykv badger checksums 1 clean
//	8c24b1f0 17 MANIFEST
//	0b8f6a52 16777216 000000.vlog
//	41d3a07e 20481 000003.sst
//	sum 5a0c9d13
//
// "clean" is written by Close: nothing may differ. While the store is open, and after a crash, the file says "open" and lists tables
// only, which never change once they are written. Tables that were written since and not closed with are not covered.

package badger

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tinykv/kv/engine"
)

const (
	sumsName   = "SUMS"
	sumsHeader = "tinykv badger checksums 1 "
)

// fileSum is what is known of a file.
type fileSum struct {
	sum  uint32
	size int64
}

// sums is the content of the file.
type sums struct {
	clean bool
	files map[string]fileSum
}

// readSums reads SUMS of dir; none is as good as an open one that lists nothing. Error: engine.ErrCorrupt.
func readSums(dir string) (sums, error) {
	s := sums{files: map[string]fileSum{}}
	path := filepath.Join(dir, sumsName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	damaged := fmt.Errorf("%w: %s is damaged: restore the directory from a replica or a backup", engine.ErrCorrupt, path)
	body, last, ok := strings.Cut(string(text), "sum ")
	if !ok || last != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) || !strings.HasPrefix(body, sumsHeader) {
		return s, damaged
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(body, sumsHeader), "\n"), "\n")
	s.clean = lines[0] == "clean"
	for _, line := range lines[1:] {
		var f fileSum
		var name string
		if _, err := fmt.Sscanf(line, "%x %d %s", &f.sum, &f.size, &name); err != nil {
			return s, damaged
		}
		s.files[name] = f
	}
	return s, nil
}

// write replaces SUMS of dir, durably and as a whole.
func (s sums) write(dir string) error {
	state := "open"
	if s.clean {
		state = "clean"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", sumsHeader, state)
	for _, name := range sortedNames(s.files) {
		fmt.Fprintf(&b, "%08x %d %s\n", s.files[name].sum, s.files[name].size, name)
	}
	fmt.Fprintf(&b, "sum %08x\n", crc32.Checksum([]byte(b.String()), castagnoli))

	path := filepath.Join(dir, sumsName)
	if err := writeSynced(path+".new", b.String()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeSynced(path, text string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// sumFile reads a whole file.
func sumFile(path string) (fileSum, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileSum{}, err
	}
	defer f.Close()
	hash := crc32.New(castagnoli)
	size, err := io.Copy(hash, f)
	return fileSum{hash.Sum32(), size}, err
}

// check compares the listed files with those in dir. Contents are read up to a budget of bytes, sizes are always compared. Of an
// open store a table may be gone: it was compacted away. Error: engine.ErrCorrupt with the name of the file.
func (s sums) check(dir string, budget int64) error {
	for _, name := range sortedNames(s.files) {
		want, path := s.files[name], filepath.Join(dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && !s.clean {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, path)
		}
		if info.Size() != want.size {
			return fmt.Errorf("%w: %s has %d bytes and should have %d", engine.ErrCorrupt, path, info.Size(), want.size)
		}
		if budget -= want.size; budget < 0 {
			continue
		}
		if got, err := sumFile(path); err != nil {
			return err
		} else if got != want {
			return fmt.Errorf("%w: %s fails its checksum", engine.ErrCorrupt, path)
		}
	}
	return nil
}

// closed is what is true of a store that was just closed; tables that s lists are not read again.
func (s sums) closed(dir string) (sums, error) {
	all := sums{clean: true, files: map[string]fileSum{}}
	return all, errors.Join(all.add(dir, s, "*.sst"), all.add(dir, sums{}, "*.vlog"), all.add(dir, sums{}, "MANIFEST"))
}

// add puts the files of dir that match a pattern into s, with the sums that known has of them.
func (s sums) add(dir string, known sums, pattern string) error {
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return err
	}
	for _, path := range paths {
		name := filepath.Base(path)
		f, ok := known.files[name]
		if !ok {
			if f, err = sumFile(path); err != nil {
				return err
			}
		}
		s.files[name] = f
	}
	return nil
}
