// Memory: the spool of a simulated store, which survives the crash of the store and fails when it is told to.

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

var (
	// ErrFull is Memory's own error for a write beyond its capacity.
	ErrFull = errors.New("snapshot: no space left in the simulated spool")
	// ErrCrashed answers whoever uses a draft or a reader from before a Crash.
	ErrCrashed = errors.New("snapshot: the simulated spool has crashed")
)

// Memory is a Spool without a disk.
type Memory struct {
	mu       sync.Mutex // guards all below, and all drafts
	rng      *rand.Rand
	life     int // grows with each crash
	complete map[string][]byte
	removed  map[string][]byte // may come back by a crash, until the next sync of the directory
	drafts   map[string]*memoryDraft
	capacity int64 // bytes; 0 is endless
	failure  error // what the next operation that changes something answers, once
}

// NewMemory makes an empty spool. All chance comes from rng, which the spool owns from now on.
func NewMemory(rng *rand.Rand) *Memory {
	return &Memory{rng: rng, complete: map[string][]byte{}, removed: map[string][]byte{}, drafts: map[string]*memoryDraft{}}
}

// Crash is the end of the process. Drafts are lost; removed spools may come back, since nobody has waited for the removal to
// be durable. Drafts and readers that were open answer ErrCrashed.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	clear(m.drafts)
	for _, name := range slices.Sorted(maps.Keys(m.removed)) {
		if m.rng.IntN(2) == 0 {
			m.complete[name] = m.removed[name]
		}
	}
	clear(m.removed)
}

// Fail lets the next Create, Write or Commit fail with err, once.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}

// SetCapacity bounds the bytes of all spools and drafts; 0 is endless. What is there stays.
func (m *Memory) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Used is the number of bytes that spools and drafts take.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used()
}

// FlipBit flips one random bit of the complete spools and tells whether there was any.
func (m *Memory) FlipBit() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var total int64
	for _, data := range m.complete {
		total += int64(len(data))
	}
	if total == 0 {
		return false
	}
	at, bit := m.rng.Int64N(total), byte(1)<<m.rng.IntN(8)
	for _, name := range slices.Sorted(maps.Keys(m.complete)) {
		data := m.complete[name]
		if at < int64(len(data)) {
			data = bytes.Clone(data)
			data[at] ^= bit
			m.complete[name] = data
			return true
		}
		at -= int64(len(data))
	}
	return false
}

// Create implements Spool.
func (m *Memory) Create(name string) (Draft, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail(); err != nil {
		return nil, err
	}
	if _, complete := m.complete[name]; complete || m.drafts[name] != nil {
		return nil, fmt.Errorf("spool %s: %w", name, fs.ErrExist)
	}
	d := &memoryDraft{spool: m, life: m.life, name: name}
	m.drafts[name] = d
	return d, nil
}

// Open implements Spool.
func (m *Memory) Open(name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.complete[name]
	if !ok {
		return nil, fmt.Errorf("spool %s: %w", name, fs.ErrNotExist)
	}
	return &memoryReader{spool: m, life: m.life, rest: data}, nil
}

// Remove implements Spool.
func (m *Memory) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.complete[name]; ok {
		m.removed[name] = data
		delete(m.complete, name)
	}
	return nil
}

// List implements Spool.
func (m *Memory) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.complete)), nil
}

// fail answers what Fail has ordered. Needs mu.
func (m *Memory) fail() error {
	err := m.failure
	m.failure = nil
	return err
}

// used sums up what is there. Needs mu.
func (m *Memory) used() (n int64) {
	for _, data := range m.complete {
		n += int64(len(data))
	}
	for _, d := range m.drafts {
		n += int64(len(d.data))
	}
	return n
}

// memoryDraft is a Draft in memory.
type memoryDraft struct {
	spool *Memory
	life  int
	name  string
	data  []byte
}

// Write implements Draft.
func (d *memoryDraft) Write(p []byte) (int, error) {
	m := d.spool
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.life != m.life {
		return 0, ErrCrashed
	}
	if err := m.fail(); err != nil {
		return 0, err
	}
	if m.capacity > 0 && m.used()+int64(len(p)) > m.capacity {
		return 0, fmt.Errorf("write %d bytes: %w (capacity %d)", len(p), ErrFull, m.capacity)
	}
	d.data = append(d.data, p...)
	return len(p), nil
}

// Commit implements Draft.
func (d *memoryDraft) Commit() error {
	m := d.spool
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.life != m.life {
		return ErrCrashed
	}
	delete(m.drafts, d.name)
	if err := m.fail(); err != nil {
		return err
	}
	m.complete[d.name] = d.data
	clear(m.removed) // the sync of the directory made removals durable, too
	return nil
}

// Discard implements Draft.
func (d *memoryDraft) Discard() error {
	m := d.spool
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.life != m.life {
		return ErrCrashed
	}
	delete(m.drafts, d.name)
	return nil
}

// memoryReader reads a spool. One that was removed in the meantime can be read to its end.
type memoryReader struct {
	spool *Memory
	life  int
	rest  []byte
}

// Read implements io.Reader.
func (r *memoryReader) Read(p []byte) (int, error) {
	r.spool.mu.Lock()
	defer r.spool.mu.Unlock()
	if r.life != r.spool.life {
		return 0, ErrCrashed
	}
	if len(r.rest) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *memoryReader) Close() error { return nil }
