//go:build unix

package sim_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"tinykv/kv/sim"
	"tinykv/raft"
)

// BenchmarkSimulator measures how much virtual time fits into a second of one core, checks, histories and all: 50 seconds
// are the least with which a soak of thousands of seeds is a matter of minutes. The core's own time counts, so that
// whatever else the machine does matters little.
//
//	go test ./kv/sim -run '^$' -bench Simulator
func BenchmarkSimulator(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, w := range []struct {
		name string
		opts sim.Options
	}{
		{"three", sim.Options{}},
		{"calm", sim.Options{Calm: true}},
		{"lease", sim.Options{Raft: raft.Config{ReadMode: raft.ReadLease}}},
		{"snapshots", sim.Options{Favour: sim.FavourSnapshots}},
		{"five", sim.Options{Stores: 5}},
		{"busy", sim.Options{Calm: true, Clients: 8, Keys: 32}},
	} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			var events, calls, virtual float64
			before := processorTime(b)
			for i := 0; i < b.N; i++ {
				res := sim.Run(uint64(i+1), w.opts)
				if res.Err != nil {
					b.Fatal(res.Err)
				}
				events += float64(res.Events)
				calls += float64(res.Counts.Writes + res.Counts.Reads)
				virtual += res.Now.Seconds()
			}
			took := (processorTime(b) - before).Seconds()
			b.ReportMetric(events/took, "events/s")
			b.ReportMetric(calls/took, "calls/s")
			b.ReportMetric(virtual/took, "virtual-s/s")
		})
	}
}

// processorTime is what this process has used, garbage collection included.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
