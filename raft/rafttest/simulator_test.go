package rafttest_test

import (
	"testing"

	"tinykv/raft/rafttest"
)

// BenchmarkSimulator measures how much virtual life fits into a second of one core. Half a million events are the least
// with which a soak of ten thousand seeds is a matter of minutes.
//
//	go test ./raft/rafttest -run '^$' -bench Simulator -cpu 1
func BenchmarkSimulator(b *testing.B) {
	for _, w := range []struct {
		name string
		opts rafttest.Options
	}{{"three", rafttest.Options{}}, {"five", rafttest.Options{Nodes: 5}}, {"changing", rafttest.Options{Spares: 3}}} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			events := 0
			for i := 0; i < b.N; i++ {
				res := rafttest.Run(uint64(i+1), w.opts)
				if res.Err != nil {
					b.Fatal(res.Err)
				}
				events += res.Events
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
