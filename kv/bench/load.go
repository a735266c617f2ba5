// The load generator: a number of clients that each wait for their answer before they ask again.

package bench

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// operation does one thing for client c; n counts the operations of all clients from 0.
type operation func(c, n int) error

// pace is how fast operations went, and what they cost.
type pace struct {
	rate            float64 // operations per second, of all clients together
	p50, p99        time.Duration
	servers, client time.Duration // processor time per operation, where it was measured
}

// run spreads b.N operations over clients that each have one operation outstanding, and reports and returns the rate and
// the percentiles of the time that an operation took. The first error ends the benchmark.
func run(b *testing.B, clients int, do operation) pace {
	b.Helper()
	var next atomic.Int64
	times := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var done sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for c := range clients {
		done.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				begin := time.Now()
				if errs[c] = do(c, n); errs[c] != nil {
					return
				}
				times[c] = append(times[c], time.Since(begin))
			}
		})
	}
	done.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	for c, err := range errs {
		if err != nil {
			b.Fatalf("client %d: %v", c, err)
		}
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	p := pace{rate: float64(len(all)) / elapsed.Seconds(), p50: percentile(all, 50), p99: percentile(all, 99)}
	b.ReportMetric(p.rate, "ops/s")
	b.ReportMetric(micros(p.p50), "p50-µs")
	b.ReportMetric(micros(p.p99), "p99-µs")
	b.ReportMetric(0, "ns/op") // the inverse of ops/s: one column less to read
	return p
}

// percentile returns the p-th percentile of sorted times.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*p/100]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(fmt.Sprintf("getrusage of this process can't fail: %v", err))
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
