//go:build !race

// What a replica writes to its disks for each byte that its users write: everything that the two engines hand to the file
// system, counted there.
//
//	the raft log     its own log, which is synced; tables, if entries live until their memory is full
//	the data         tables, when memory is full; and again, when they are merged
//	both             manifests, notes
//
// Not under the race detector, which has nothing to find here and takes very long.

package replicated

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine"
	"tinykv/kv/engine/pebble"
	"tinykv/kv/raftlog"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
	"tinykv/kv/transport"
	"tinykv/raft"
)

// meter is a file system that counts the bytes that are written, by kind of file.
type meter struct {
	vfs.FS
	log, tables, other atomic.Int64
}

func (m *meter) of(name string) *atomic.Int64 {
	switch path.Ext(name) {
	case ".log":
		return &m.log
	case ".sst", ".blob":
		return &m.tables
	}
	return &m.other
}

func (m *meter) total() int64 { return m.log.Load() + m.tables.Load() + m.other.Load() }

func (m *meter) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.Create(name, c)
	return &metered{f, m.of(name)}, err
}

func (m *meter) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.ReuseForWrite(old, name, c)
	return &metered{f, m.of(name)}, err
}

func (m *meter) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := m.FS.OpenReadWrite(name, c, opts...)
	return &metered{f, m.of(name)}, err
}

type metered struct {
	vfs.File
	bytes *atomic.Int64
}

func (f *metered) Write(p []byte) (int, error) {
	f.bytes.Add(int64(len(p)))
	return f.File.Write(p)
}

func (f *metered) WriteAt(p []byte, at int64) (int, error) {
	f.bytes.Add(int64(len(p)))
	return f.File.WriteAt(p, at)
}

// alone is a store whose region has no other peer: it writes what each of several would.
func alone(t *testing.T, logFS, dataFS vfs.FS) *node {
	t.Helper()
	w := &world{T: t}
	n := &node{w: w, id: 1, spools: snapshot.NewMemory(rand.New(rand.NewPCG(1, 1)))}
	logEngine, err := pebble.Open("raft", pebble.Options{FS: logFS, ShortLived: true})
	if err != nil {
		t.Fatal(err)
	}
	data, err := pebble.Open("engine", pebble.Options{FS: dataFS, Unlogged: true})
	if err != nil {
		t.Fatal(err)
	}
	log, err := raftlog.Open(logEngine, raftlog.Options{})
	if err == nil {
		err = store.Bootstrap(log, data, firstRegion(1), n.id)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.store, err = Open(Options{
		ClusterID: clusterID, StoreID: n.id, Log: log, Data: data, Spools: n.spools, TickInterval: tick / 10,
		Raft: raft.Config{ReadMode: raft.ReadLease},
		Connect: func(s *Store) Transport {
			n.transport = transport.New(transport.Options{ClusterID: clusterID, StoreID: n.id, Network: &w.net, Resolver: &w.net}, s)
			return n.transport
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(calm); ; time.Sleep(time.Millisecond) {
		if v := n.view(); v.Leads() && v.Applied.Term == v.Term {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not lead itself")
		}
	}
	t.Cleanup(func() {
		n.store.Close()
		n.transport.Close()
		for _, e := range []engine.Engine{logEngine, data} {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

// users write random keys with values that do not compress, a number of them at the same time, and return how many bytes of
// keys and values that was.
func (n *node) users(clients, value, keys int, bytes int64) int64 {
	var wait sync.WaitGroup
	var written atomic.Int64
	for client := range clients {
		rng := rand.New(rand.NewPCG(uint64(client), 3))
		wait.Go(func() {
			for written.Load() < bytes {
				content := make([]byte, value)
				for i := 0; i+8 <= value; i += 8 {
					binary.LittleEndian.PutUint64(content[i:], rng.Uint64())
				}
				b := &engine.Batch{}
				b.Put(engine.Default, fmt.Appendf(nil, "%016x", rng.Uint64N(uint64(keys))*0x9e3779b97f4a7c15), content)
				if err := n.store.Write(n.w.Context(), n.rc(), b); err != nil {
					n.w.Error(err)
					return
				}
				written.Add(int64(16 + value))
			}
		})
	}
	wait.Wait()
	return written.Load()
}

// Random keys that are never written twice are the worst case: nothing can be left out, and each table overlaps all others.
// That figure grows with the data, slowly, as merges do; what it is for keys that are written again and again does not.
func TestBytesWrittenForAByteOfUsers(t *testing.T) {
	for _, c := range []struct {
		name                       string
		clients, value, keys, size int
	}{
		{"one client, 10,000 keys", 1, 256, 10_000, 48 << 20},
		{"100 clients, 10,000 keys", 100, 256, 10_000, 80 << 20},
		{"100 clients, new keys", 100, 256, 1 << 40, 96 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			logs, data := &meter{FS: vfs.NewMem()}, &meter{FS: vfs.NewMem()}
			n := alone(t, logs, data)
			users := float64(n.users(c.clients, c.value, c.keys, int64(c.size)))
			per := func(bytes int64) float64 { return float64(bytes) / users }
			all := per(logs.total() + data.total())
			t.Logf("%.2f bytes written for a byte of users: %.2f log of the raft log, %.2f its tables, %.2f tables of the data",
				all, per(logs.log.Load()), per(logs.tables.Load()), per(data.tables.Load()))
			if all > 4 {
				t.Errorf("%.2f bytes written for a byte of users, at most 4", all)
			}
			if all < 1 || data.log.Load() > 1<<10 {
				t.Errorf("%.2f bytes for a byte, and %d in a log that the data should not have: something is not counted", all,
					data.log.Load())
			}
		})
	}
}
