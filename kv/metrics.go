// What /metrics shows beside the numbers of the Go runtime.

package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tinykv/kv/server"
)

type metrics struct {
	requests *server.Metrics
	syncs    prometheus.Counter
	sharing  prometheus.Histogram
	bytes    prometheus.Counter
	duration prometheus.Histogram
	broken   prometheus.Gauge

	mu      sync.Mutex // guards failure
	failure error
}

func newMetrics() *metrics {
	return &metrics{
		requests: server.NewMetrics(),
		syncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tinykv_engine_syncs_total",
			Help: "Writes to the engine, each of which waits for one sync of the disk.",
		}),
		sharing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tinykv_engine_write_requests",
			Help:    "Requests that share a write to the engine and its sync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12), // 1 to 2048
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tinykv_engine_written_bytes_total",
			Help: "Bytes written to the engine, as batches count them.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tinykv_engine_write_duration_seconds",
			Help:    "Time that the engine took for a write and its sync.",
			Buckets: prometheus.ExponentialBuckets(20e-6, 2, 18), // 20 microseconds to 2.6 seconds
		}),
		broken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tinykv_engine_broken",
			Help: "1 once the engine has failed to write: it refuses all writes until the process is started again.",
		}),
	}
}

// collectors lists the metrics for a registry.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.syncs, m.sharing, m.bytes, m.duration, m.broken}
}

// wrote counts a write of so many requests' batches.
func (m *metrics) wrote(requests, bytes int, took time.Duration) {
	m.syncs.Inc()
	m.sharing.Observe(float64(requests))
	m.bytes.Add(float64(bytes))
	m.duration.Observe(took.Seconds())
}

// fail notes that the engine can't write any more, and why.
func (m *metrics) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
	m.broken.Set(1)
}

// failed is why the engine can't write any more, or nil if it can.
func (m *metrics) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}
