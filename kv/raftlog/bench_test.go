package raftlog_test

import (
	"fmt"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/open"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// BenchmarkWrite is a turn in which each of so many regions appends one entry of 256 bytes: one sync for all.
func BenchmarkWrite(b *testing.B) {
	for _, regions := range []uint64{1, 16, 100} {
		b.Run(fmt.Sprintf("regions=%d", regions), func(b *testing.B) {
			e, err := open.Open("pebble", b.TempDir(), open.Options{})
			if err != nil {
				b.Fatal(err)
			}
			l, err := raftlog.Open(e, raftlog.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			data := make([]byte, 256)
			var batch raftlog.Batch
			index := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				index++
				batch.Reset()
				for id := range regions {
					batch.Append(id+1, []raft.Entry{{Index: index, Term: 1, Data: data}})
				}
				if err := l.Write(&batch, engine.Synced); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(regions), "ns/entry")
		})
	}
}
