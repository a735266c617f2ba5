package tso_test

import (
	"testing"

	"tinykv/scheduler/tso"
)

// The cost of a decision, with a disk that answers at once and a clock that ticks every 1000 requests.
func BenchmarkOracle(b *testing.B) {
	o := tso.New(0, tso.Options{})
	now := int64(1_700_000_000_000)
	b.ReportAllocs()
	for i := range uint64(b.N) {
		if i%1000 == 0 {
			now++
		}
		for _, e := range o.Request(now, i, 10) {
			if _, ok := e.(tso.Persist); ok {
				o.Persisted(now)
			}
		}
	}
}
