// Storage: the few records that must survive, behind an interface small enough for a directory, etcd, or memory.

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"tinykv/kv/region"
	"tinykv/scheduler/cluster"
)

// Storage keeps named records. Each is replaced as a whole: after a crash Load returns the old one or the new one,
// never a mixture. Methods may be called from any goroutine.
type Storage interface {
	// Load returns the record, or ErrNoRecord if none of this name was saved. Another error means that it cannot be
	// trusted: give up.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save returns nil once value is durable under name. After an error either value may be found later.
	Save(ctx context.Context, name string, value []byte) error
	// Close releases the storage; everything saved is durable already.
	Close() error
}

// ErrNoRecord: nothing was saved under this name, as in a new directory.
var ErrNoRecord = errors.New("no such record")

// The records. All hold JSON, so that people can read them too.
const (
	recordCluster   = "cluster"   // cluster.Meta
	recordRegions   = "regions"   // []region.Region, as of the last second or so
	recordTimestamp = "timestamp" // boundRecord: no timestamp at or above it was handed out
	recordIDs       = "ids"       // boundRecord: no id at or above it was handed out
	recordSafePoint = "safepoint" // boundRecord: versions below it may be collected
)

// recordNames lists every record a directory of ours may hold.
var recordNames = []string{recordCluster, recordRegions, recordTimestamp, recordIDs, recordSafePoint}

type boundRecord struct {
	Bound uint64
}

// load reads a record into value and leaves value alone if there is none.
func load(ctx context.Context, s Storage, name string, value any) error {
	data, err := s.Load(ctx, name)
	if errors.Is(err, ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("record %q of the scheduler is not understood (%v): another program or version wrote it",
			name, err)
	}
	return nil
}

func save(ctx context.Context, s Storage, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.Save(ctx, name, append(data, '\n'))
}

// saved is all that a scheduler finds at its start.
type saved struct {
	meta      cluster.Meta
	regions   []region.Region
	timestamp boundRecord
	ids       boundRecord
	safePoint boundRecord
}

func loadAll(ctx context.Context, s Storage) (saved, error) {
	var found saved
	for name, value := range map[string]any{
		recordCluster: &found.meta, recordRegions: &found.regions, recordTimestamp: &found.timestamp,
		recordIDs: &found.ids, recordSafePoint: &found.safePoint,
	} {
		if err := load(ctx, s, name, value); err != nil {
			return saved{}, err
		}
	}
	return found, nil
}

// MemStorage forgets everything with the process. For tests and trials.
type MemStorage struct {
	mu      sync.Mutex
	records map[string][]byte
}

// NewMemStorage returns an empty one.
func NewMemStorage() *MemStorage { return &MemStorage{records: map[string][]byte{}} }

// Load implements Storage.
func (m *MemStorage) Load(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.records[name]
	if !ok {
		return nil, ErrNoRecord
	}
	return value, nil
}

// Save implements Storage.
func (m *MemStorage) Save(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[name] = append([]byte(nil), value...)
	return nil
}

// Close implements Storage. The records stay, as those of a disk would: the same MemStorage can be handed to the next
// Server.
func (m *MemStorage) Close() error { return nil }
