// What /metrics shows beside the numbers of the Go runtime.

package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tinykv/kv/replicated"
	"tinykv/kv/server"
	"tinykv/kv/transport"
)

type metrics struct {
	requests   *server.Metrics
	replicated *replicated.Metrics
	transport  atomic.Pointer[transport.Transport] // whose counters are shown

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
		requests:   server.NewMetrics(),
		replicated: replicated.NewMetrics(),
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

// standalone lists the metrics of a standalone store for a registry.
func (m *metrics) standalone() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.syncs, m.sharing, m.bytes, m.duration, m.broken}
}

// ofReplicated lists the metrics of a store of a cluster of several for a registry.
func (m *metrics) ofReplicated() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.replicated, transportMetrics{&m.transport}}
}

// transportMetrics shows the counters of a transport.
type transportMetrics struct {
	transport *atomic.Pointer[transport.Transport]
}

var (
	trafficDesc = prometheus.NewDesc("tinykv_transport_messages_total",
		"Raft messages to and from other stores, by what became of them.", []string{"what"}, nil)
	trafficBytesDesc = prometheus.NewDesc("tinykv_transport_bytes_total",
		"Bytes of raft messages and snapshots to and from other stores.", []string{"what"}, nil)
	streamsDesc = prometheus.NewDesc("tinykv_transport_streams_total",
		"Streams to other stores that were opened, lost, or refused by them; and those of others that this store refused, "+
			"by reason, or ended because the same store opened another (superseded).", []string{"what"}, nil)
	transfersDesc = prometheus.NewDesc("tinykv_transport_snapshots_total",
		"Snapshots to and from other stores, by direction and outcome: done, failed (broken off or refused), busy "+
			"(too many were under way).", []string{"direction", "outcome"}, nil)
	openDesc    = prometheus.NewDesc("tinykv_transport_open_streams", "Streams from other stores, now.", nil, nil)
	waitingDesc = prometheus.NewDesc("tinykv_transport_waiting_messages", "Messages that wait to be sent.", nil, nil)
)

// Describe implements prometheus.Collector.
func (transportMetrics) Describe(c chan<- *prometheus.Desc) {
	c <- trafficDesc
	c <- trafficBytesDesc
	c <- streamsDesc
	c <- transfersDesc
	c <- openDesc
	c <- waitingDesc
}

// Collect implements prometheus.Collector.
func (m transportMetrics) Collect(c chan<- prometheus.Metric) {
	t := m.transport.Load()
	if t == nil {
		return
	}
	s := t.Stats()
	counts := func(d *prometheus.Desc, values map[string]uint64) {
		for what, n := range values {
			c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), what)
		}
	}
	counts(trafficDesc, map[string]uint64{
		"sent": s.Sent.Messages, "received": s.Received.Messages, "dropped_full": s.Dropped.Full,
		"dropped_unreachable": s.Dropped.Unreachable, "dropped_cut": s.Dropped.Cut + s.Cut,
		"dropped_too_large": s.Dropped.TooLarge, "dropped_invalid": s.Dropped.Invalid + s.Dropped.TooMany,
	})
	counts(trafficBytesDesc, map[string]uint64{
		"sent": s.Sent.Bytes, "received": s.Received.Bytes, "snapshots_sent": s.SnapshotsSent.Bytes,
		"snapshots_received": s.SnapshotsReceived.Bytes,
	})
	counts(streamsDesc, map[string]uint64{
		"opened": s.Connected, "lost": s.Lost, "refused_by_peers": s.RefusedByPeers,
		"refused_cluster": s.Refused.Cluster, "refused_store": s.Refused.Store, "refused_version": s.Refused.Version,
		"refused_malformed": s.Refused.Malformed, "refused_silent": s.Refused.Silent, "refused_too_many": s.Refused.TooMany,
		"superseded": s.Refused.Superseded,
	})
	for direction, n := range map[string]transport.Transfers{"sent": s.SnapshotsSent, "received": s.SnapshotsReceived} {
		for outcome, count := range map[string]uint64{"done": n.Done, "failed": n.Failed, "busy": n.Busy} {
			c <- prometheus.MustNewConstMetric(transfersDesc, prometheus.CounterValue, float64(count), direction, outcome)
		}
	}
	c <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(s.OpenStreams))
	c <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(s.WaitingMessages))
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
