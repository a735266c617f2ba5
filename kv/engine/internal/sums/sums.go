// Package sums keeps size and checksum of the files of a closed store, so that the next Open can tell whether
// anything was changed since, before it lets a database loose that repairs, deletes or panics on what it takes for
// the result of a crash.
//
// The file SUMS lies among the files of the store:
//
//	tinykv checksums 1 clean
//	8c24b1f0 17 MANIFEST
//	0b8f6a52 16777216 000000.vlog
//	41d3a07e 20481 000003.sst
//	77aa01c3 4096+ 000004.log
//	sum 5a0c9d13
//
// "clean" is written when the store was closed: every file is listed and none may differ. "open" is written before
// the store is opened, and now and then while it is: it lists files that never change once they are written, and,
// with a "+", what files that grow began with when it was written. A database that is there has the file.
package sums

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"tinykv/kv/engine"
)

// Name is the file.
const Name = "SUMS"

// Advice is what every error about a damaged store ends in: what its owner knows to do about it, or what helps any store.
func Advice(dir, own string) string {
	if own != "" {
		return own
	}
	return fmt.Sprintf("restore %s from a backup, or start anew elsewhere", dir)
}

const header = "tinykv checksums 1 "

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Dir is the directory of a store, as far as it is needed here. Names are base names.
type Dir interface {
	Path(name string) string // for messages
	Open(name string) (io.ReadCloser, error)
	Size(name string) (int64, error)
	Replace(name string, content []byte) error // durably, and as a whole
}

// Sums is the content of the file.
type Sums struct {
	Clean bool
	Found bool // set by Read: there was a file
	files map[string]file
}

type file struct {
	sum   uint32
	size  int64
	grows bool // there may be more behind these bytes
}

// Read reads the file of dir. If there is none, the answer is one of an open store that lists nothing. Error:
// engine.ErrCorrupt.
func Read(dir Dir) (Sums, error) {
	var s Sums
	r, err := dir.Open(Name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return s, err
	}
	if s, err = parse(string(text)); err != nil {
		return s, fmt.Errorf("%w: %s is damaged", engine.ErrCorrupt, dir.Path(Name))
	}
	return s, nil
}

var errForm = errors.New("not of the form of SUMS")

func parse(text string) (s Sums, err error) {
	at := strings.LastIndex(text, "sum ")
	if at < 0 || !strings.HasPrefix(text, header) || text[at:] != sumLine(text[:at]) {
		return s, errForm
	}
	s.Found = true
	lines := strings.Split(strings.TrimSuffix(text[len(header):at], "\n"), "\n")
	s.Clean = lines[0] == "clean"
	for _, line := range lines[1:] {
		var f file
		var size, name string
		if _, err := fmt.Sscanf(line, "%x %s %s", &f.sum, &size, &name); err != nil {
			return s, errForm
		}
		size, f.grows = strings.CutSuffix(size, "+")
		if f.size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return s, errForm
		}
		s.put(name, f)
	}
	return s, nil
}

// Write replaces the file of dir.
func (s Sums) Write(dir Dir) error {
	state := "open"
	if s.Clean {
		state = "clean"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", header, state)
	for _, name := range s.Names() {
		f, plus := s.files[name], ""
		if f.grows {
			plus = "+"
		}
		fmt.Fprintf(&b, "%08x %d%s %s\n", f.sum, f.size, plus, name)
	}
	return dir.Replace(Name, []byte(b.String()+sumLine(b.String())))
}

func sumLine(body string) string {
	return fmt.Sprintf("sum %08x\n", crc32.Checksum([]byte(body), castagnoli))
}

// Check compares the listed files with those of dir. Sizes are always compared, contents up to a budget of bytes.
// Error: engine.ErrCorrupt with the path of the file.
func (s Sums) Check(dir Dir, budget int64) error {
	for _, name := range s.Names() {
		want := s.files[name]
		size, err := dir.Size(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is missing", engine.ErrCorrupt, dir.Path(name))
		}
		if err != nil {
			return err
		}
		if size < want.size || size > want.size && !want.grows {
			return fmt.Errorf("%w: %s has %d bytes and should have %d",
				engine.ErrCorrupt, dir.Path(name), size, want.size)
		}
		if budget -= want.size; budget < 0 {
			continue
		}
		if got, err := sum(dir, name, want.size); err != nil {
			return err
		} else if got.sum != want.sum {
			return fmt.Errorf("%w: %s fails its checksum", engine.ErrCorrupt, dir.Path(name))
		}
	}
	return nil
}

// Only returns s without the files that keep says no to.
func (s Sums) Only(keep func(name string) bool) Sums {
	kept := Sums{Clean: s.Clean, Found: s.Found}
	for name, f := range s.files {
		if keep(name) {
			kept.put(name, f)
		}
	}
	return kept
}

// Add puts a file of dir into s: with the sum that known has of it, if any, or else by reading it.
func (s *Sums) Add(dir Dir, name string, known Sums) error {
	f, ok := known.files[name]
	if !ok {
		var err error
		if f, err = sum(dir, name, math.MaxInt64); err != nil {
			return err
		}
	}
	s.put(name, f)
	return nil
}

// Begin notes that a file that may grow begins with so many bytes of this sum (CRC-32C).
func (s *Sums) Begin(name string, sum uint32, size int64) { s.put(name, file{sum, size, true}) }

// Has tells whether a file is listed.
func (s Sums) Has(name string) bool {
	_, ok := s.files[name]
	return ok
}

// Drop takes a file off the list.
func (s Sums) Drop(name string) { delete(s.files, name) }

func (s *Sums) put(name string, f file) {
	if s.files == nil {
		s.files = map[string]file{}
	}
	s.files[name] = f
}

// Names lists the files.
func (s Sums) Names() []string { return slices.Sorted(maps.Keys(s.files)) }

// sum reads the first bytes of a file, at most limit.
func sum(dir Dir, name string, limit int64) (file, error) {
	r, err := dir.Open(name)
	if err != nil {
		return file{}, err
	}
	hash := crc32.New(castagnoli)
	size, err := io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{io.LimitReader(r, limit)},
		make([]byte, 256<<10))
	return file{sum: hash.Sum32(), size: size}, errors.Join(err, r.Close())
}
