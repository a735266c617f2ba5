// Benchmarks of an engine alone.

package enginetest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tinykv/kv/engine"
)

const (
	benchValueBytes = 256
	benchKeys       = 100_000
)

// Benchmark measures writes by CLIENTSxBATCH (goroutines that write at once, pairs in a batch), gets and scans.
// Beside ns/op it reports pairs/s and cpu-µs/op: processor time of the whole process, user and system, per pair.
// Keys are 16 bytes, values 256.
//
//	go test ./kv/engine/pebble -run '^$' -bench . -benchtime 2s
func Benchmark(b *testing.B, fresh Factory) {
	for _, c := range []struct {
		name           string
		d              engine.Durability
		clients, batch int
	}{
		{"sync/1x1", engine.Synced, 1, 1},
		{"sync/16x1", engine.Synced, 16, 1},
		{"sync/100x1", engine.Synced, 100, 1},
		{"sync/1x128", engine.Synced, 1, 128},
		{"nosync/1x1", engine.Buffered, 1, 1},
		{"nosync/1x128", engine.Buffered, 1, 128},
	} {
		b.Run(c.name, func(b *testing.B) { benchWrite(b, fresh, c.d, c.clients, c.batch) })
	}
	b.Run("get", func(b *testing.B) { benchGet(b, fresh) })
	b.Run("scan", func(b *testing.B) { benchScan(b, fresh) })
}

func benchWrite(b *testing.B, fresh Factory, d engine.Durability, clients, batch int) {
	e := benchOpen(b, fresh, 0)
	value := make([]byte, benchValueBytes)
	var next atomic.Int64
	meter := startMeter(b)
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			var batchOfPairs engine.Batch
			for {
				first := next.Add(int64(batch)) - int64(batch)
				if first >= int64(b.N) {
					return
				}
				batchOfPairs.Reset()
				for i := range int64(batch) {
					batchOfPairs.Put(engine.Default, benchKey(uint64(first+i)), value)
				}
				if err := e.Write(&batchOfPairs, d); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	meter.stop()
}

func benchGet(b *testing.B, fresh Factory) {
	e := benchOpen(b, fresh, benchKeys)
	s, err := e.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	meter := startMeter(b)
	for i := range b.N {
		if _, err := s.Get(engine.Default, benchKey(uint64(i*7919)%benchKeys)); err != nil {
			b.Fatal(err)
		}
	}
	meter.stop()
}

// benchScan counts one operation for each pair.
func benchScan(b *testing.B, fresh Factory) {
	e := benchOpen(b, fresh, benchKeys)
	s, err := e.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer it.Close()
	meter := startMeter(b)
	for range b.N {
		if !it.Next() && !it.First() {
			b.Fatal("no pairs")
		}
	}
	meter.stop()
}

func benchOpen(b *testing.B, fresh Factory, keys uint64) engine.Engine {
	e, err := fresh(b)()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	value := make([]byte, benchValueBytes)
	for i := uint64(0); i < keys; {
		var batch engine.Batch
		for range 1000 {
			batch.Put(engine.Default, benchKey(i), value)
			i++
		}
		if err := e.Write(&batch, engine.Buffered); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

// benchKey spreads consecutive numbers over the key space, as users' keys are.
func benchKey(i uint64) []byte { return fmt.Appendf(nil, "%016x", i*0x9E3779B97F4A7C15) }

// meter measures processor time beside the clock of b.
type meter struct {
	b     *testing.B
	cpu   time.Duration
	start time.Time
}

func startMeter(b *testing.B) meter {
	runtime.GC()
	b.ResetTimer()
	return meter{b, cpuTime(), time.Now()}
}

func (m meter) stop() {
	m.b.StopTimer()
	n := float64(m.b.N)
	m.b.ReportMetric(float64((cpuTime()-m.cpu).Nanoseconds())/1e3/n, "cpu-µs/op")
	m.b.ReportMetric(n/time.Since(m.start).Seconds(), "pairs/s")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
