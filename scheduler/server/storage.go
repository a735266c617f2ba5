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

// load reads a record into value. If there is none, it says so and leaves value alone.
func load(ctx context.Context, s Storage, name string, value any) (present bool, err error) {
	data, err := s.Load(ctx, name)
	if errors.Is(err, ErrNoRecord) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return false, fmt.Errorf("record %q of the scheduler is not understood (%v): another program or version wrote it",
			name, err)
	}
	return true, nil
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

	present map[string]bool // by name of the record
}

// loadAll reads all records. Error: one of them can't be trusted, or one is missing that must have been there.
func loadAll(ctx context.Context, s Storage) (saved, error) {
	found := saved{present: map[string]bool{}}
	for _, r := range []struct {
		name  string
		value any
	}{
		{recordCluster, &found.meta}, {recordRegions, &found.regions}, {recordTimestamp, &found.timestamp},
		{recordIDs, &found.ids}, {recordSafePoint, &found.safePoint},
	} {
		var err error
		if found.present[r.name], err = load(ctx, s, r.name, r.value); err != nil {
			return saved{}, err
		}
	}
	if name := found.missing(); name != "" {
		return saved{}, fmt.Errorf("record %q of the scheduler is missing, and without it numbers would be handed out "+
			"twice: restore its directory from a backup, or begin a new cluster in an empty one", name)
	}
	return found, nil
}

// missing returns the name of a record that must have been there, or "". Begin writes that of the cluster last, so
// whoever has it has the others too; and whoever has handed anything out has it.
func (s saved) missing() string {
	if !s.present[recordCluster] {
		if s.ids.Bound > 0 || s.timestamp.Bound > 0 || s.present[recordRegions] || s.present[recordSafePoint] {
			return recordCluster
		}
		return ""
	}
	for _, name := range []string{recordTimestamp, recordIDs} {
		if !s.present[name] {
			return name
		}
	}
	return ""
}

// begin makes the records of a new cluster. After a crash in between it is called again.
func begin(ctx context.Context, s Storage, clusterID uint64) (cluster.Meta, error) {
	meta := cluster.Meta{ClusterID: clusterID}
	for _, name := range []string{recordTimestamp, recordIDs} {
		if err := save(ctx, s, name, boundRecord{}); err != nil {
			return meta, err
		}
	}
	return meta, save(ctx, s, recordCluster, meta)
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
