package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/engine"
	"tinykv/kv/engine/open"
)

const (
	valueSize = 256     // bytes
	keys      = 100_000 // that are read and written, at random
	loadBatch = 500     // pairs in a write while the keys are loaded
)

var clientCounts = []int{1, 16, 100}

// key is the i-th key: 16 bytes. Neighbours in i are not neighbours in the key space.
func key(i int) []byte { return fmt.Appendf(nil, "%016x", uint64(i%keys)*0x9E3779B97F4A7C15) }

func value() []byte {
	v := make([]byte, valueSize)
	for i := range v {
		v[i] = byte('a' + i*7%26)
	}
	return v
}

// store is what is measured: the same two operations at every layer.
type store struct {
	put  func(key, value []byte) error
	get  func(key []byte) error
	used func() used // by the server; zero if there is none
}

func BenchmarkPut(b *testing.B) {
	everyLayer(b, func(s store, _, n int) error { return s.put(key(n), value()) })
}

func BenchmarkGet(b *testing.B) {
	everyLayer(b, func(s store, c, n int) error { return s.get(key(n*31 + c)) })
}

func everyLayer(b *testing.B, do func(s store, c, n int) error) {
	for _, name := range open.Names {
		b.Run(name, func(b *testing.B) {
			b.Run("Engine", func(b *testing.B) { everyCount(b, openEngine(b, name), do) })
			p := startServer(b, name)
			b.Run("Unary", func(b *testing.B) { everyCount(b, connect(b, p, false), do) })
			b.Run("Stream", func(b *testing.B) { everyCount(b, connect(b, p, true), do) })
		})
	}
}

func everyCount(b *testing.B, s store, do func(s store, c, n int) error) {
	for _, clients := range clientCounts {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			before, own := s.used(), ownCPU()
			run(b, clients, func(c, n int) error { return do(s, c, n) })
			after, n := s.used(), float64(b.N)
			b.ReportMetric(micros(ownCPU()-own)/n, "client-cpu-µs")
			if after != (used{}) {
				b.ReportMetric(micros(after.cpu-before.cpu)/n, "server-cpu-µs")
				b.ReportMetric((after.syncs-before.syncs)/n, "syncs")
			}
		})
	}
}

// openEngine opens an engine in this process and loads the keys.
func openEngine(b *testing.B, name string) store {
	db, err := open.Open(name, b.TempDir(), open.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := 0; i < keys; i += loadBatch {
		var batch engine.Batch
		for j := i; j < i+loadBatch; j++ {
			batch.Put(engine.Default, key(j), value())
		}
		if err := db.Write(&batch, engine.Buffered); err != nil {
			b.Fatal(err)
		}
	}
	return store{
		put: func(key, value []byte) error {
			var batch engine.Batch
			batch.Put(engine.Default, key, value)
			return db.Write(&batch, engine.Synced)
		},
		get: func(key []byte) error {
			snap, err := db.Snapshot()
			if err != nil {
				return err
			}
			defer snap.Close()
			_, err = snap.Get(engine.Default, key)
			return err
		},
		used: func() used { return used{} },
	}
}

// connect connects to a server and loads the keys.
func connect(b *testing.B, p process, frames bool) store {
	c, err := client.New(client.Options{Scheduler: []string{p.scheduler}, Batch: frames})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	b.Cleanup(cancel)
	raw := c.Raw()
	pairs := make([]client.Pair, keys)
	for i := range pairs {
		pairs[i] = client.Pair{Key: key(i), Value: value()}
	}
	if err := raw.BatchPut(ctx, pairs); err != nil {
		b.Fatal(err)
	}
	return store{
		put: func(key, value []byte) error { return raw.Put(ctx, key, value) },
		get: func(key []byte) error {
			_, found, err := raw.Get(ctx, key)
			if err == nil && !found {
				err = fmt.Errorf("key %s was loaded and is not found", key)
			}
			return err
		},
		used: func() used { return p.used(b) },
	}
}
