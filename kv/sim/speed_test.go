package sim_test

import (
	"testing"

	"tinykv/kv/sim"
	"tinykv/raft"
)

// BenchmarkSimulator measures how much virtual time fits into a second of one core, checks, histories and all: 50 seconds
// are the least with which a soak of thousands of seeds is a matter of minutes.
//
//	go test ./kv/sim -run '^$' -bench Simulator -cpu 1
func BenchmarkSimulator(b *testing.B) {
	for _, w := range []struct {
		name string
		opts sim.Options
	}{
		{"three", sim.Options{}},
		{"calm", sim.Options{Calm: true}},
		{"lease", sim.Options{Raft: raft.Config{ReadMode: raft.ReadLease}}},
		{"snapshots", sim.Options{Favour: sim.FavourSnapshots}},
		{"five", sim.Options{Stores: 5}},
		{"busy", sim.Options{Calm: true, Clients: 32}},
	} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			var events, calls, virtual float64
			for i := 0; i < b.N; i++ {
				res := sim.Run(uint64(i+1), w.opts)
				if res.Err != nil {
					b.Fatal(res.Err)
				}
				events += float64(res.Events)
				calls += float64(res.Counts.Writes + res.Counts.Reads)
				virtual += res.Now.Seconds()
			}
			took := b.Elapsed().Seconds()
			b.ReportMetric(events/took, "events/s")
			b.ReportMetric(calls/took, "calls/s")
			b.ReportMetric(virtual/took, "virtual-s/s")
		})
	}
}
