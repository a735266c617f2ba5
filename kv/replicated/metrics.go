// What is counted.

package replicated

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
)

// maxRegionsShown bounds the regions that have gauges of their own: beyond, a monitor would drown in them.
const maxRegionsShown = 100

// Metrics counts what a store does. Register it with a prometheus.Registerer to have it shown.
type Metrics struct {
	store atomic.Pointer[Store] // whose views are shown
	core  atomic.Pointer[store.Stats]

	turns, logSyncs, dataWrites, dataBytes, dataSyncs prometheus.Counter
	sent, received                                    prometheus.Counter
	taken, logDuration, dataDuration                  prometheus.Histogram
	reads, answers, snapshots                         *prometheus.CounterVec
	byLease, byIndex, answeredOK                      prometheus.Counter // of reads and answers, to be had at once
	broken                                            prometheus.Gauge
}

// NewMetrics returns metrics that start from zero.
func NewMetrics() *Metrics {
	duration := prometheus.ExponentialBuckets(20e-6, 2, 18) // 20 microseconds to 2.6 seconds
	m := &Metrics{
		turns:        counter("turns_total", "Turns of the store's loop in which there was something to do."),
		logSyncs:     counter("log_syncs_total", "Syncs of the raft log: one for all regions of a turn."),
		dataWrites:   counter("data_writes_total", "Batches written to the data store, none of them with a sync."),
		dataBytes:    counter("data_written_bytes_total", "Bytes written to the data store, as batches count them."),
		dataSyncs:    counter("data_syncs_total", "Syncs of the data store, which allow the raft log to be compacted."),
		sent:         counter("messages_sent_total", "Messages handed to the network."),
		received:     counter("messages_received_total", "Messages of other stores."),
		taken:        histogram("events_per_turn", "Events that the loop took at once.", prometheus.ExponentialBuckets(1, 2, 14)),
		logDuration:  histogram("log_write_duration_seconds", "Time that a write of the raft log took, with its sync.", duration),
		dataDuration: histogram("data_write_duration_seconds", "Time that a write of the data store took.", duration),
		reads: vector("reads_total", "Reads, by how it was made sure that this store leads: lease, or index (a round).",
			"way"),
		answers: vector("answers_total",
			"Requests that the loop answered, by outcome: ok, not_leader, stale, undetermined, busy, other.", "outcome"),
		snapshots: vector("snapshots_total", "Snapshots: sent, send_failed, received, installed.", "what"),
		broken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "broken",
			Help: "1 once a disk has failed: the store serves nothing until the process is started again.",
		}),
	}
	m.byLease, m.byIndex = m.reads.WithLabelValues("lease"), m.reads.WithLabelValues("index")
	m.answeredOK = m.answers.WithLabelValues("ok")
	return m
}

const prefix = "tinykv_store_"

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
}

func vector(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
}

var (
	regionsDesc = prometheus.NewDesc(prefix+"regions", "Peers of regions on this store, by role.", []string{"role"}, nil)
	termDesc    = prometheus.NewDesc(prefix+"region_term", "Raft term of a region's peer.", []string{"region"}, nil)
	appliedDesc = prometheus.NewDesc(prefix+"region_applied_index",
		"Last entry of the raft log that a region's peer has applied.", []string{"region"}, nil)
	lastDesc = prometheus.NewDesc(prefix+"region_last_index", "Last entry of the raft log of a region's peer.",
		[]string{"region"}, nil)
	leadsDesc = prometheus.NewDesc(prefix+"region_leader", "1 if this store leads the region, else 0.",
		[]string{"region"}, nil)
	refusedDesc = prometheus.NewDesc(prefix+"refused_total", "Messages and snapshots of other stores that were refused.",
		[]string{"reason"}, nil)
	coreDesc = prometheus.NewDesc(prefix+"core_total",
		"What the store's loop decided on, by kind: events, proposals, reads, snapshots_begun, snapshots_taken.",
		[]string{"what"}, nil)
)

func (m *Metrics) attach(s *Store) { m.store.Store(s) }

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.turns, m.logSyncs, m.dataWrites, m.dataBytes, m.dataSyncs, m.sent, m.received,
		m.taken, m.logDuration, m.dataDuration, m.reads, m.answers, m.snapshots, m.broken}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, each := range m.collectors() {
		each.Describe(c)
	}
	for _, d := range []*prometheus.Desc{regionsDesc, termDesc, appliedDesc, lastDesc, leadsDesc, refusedDesc, coreDesc} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	for _, each := range m.collectors() {
		each.Collect(c)
	}
	if s := m.store.Load(); s != nil {
		collectViews(c, s.Views())
	}
	if stats := m.core.Load(); stats != nil {
		collectStats(c, stats)
	}
}

func collectStats(c chan<- prometheus.Metric, stats *store.Stats) {
	for reason, n := range stats.Refused {
		c <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(n), replica.Reason(reason).String())
	}
	for what, n := range map[string]uint64{
		"events": stats.Events, "proposals": stats.Proposals, "reads": stats.Reads,
		"snapshots_begun": stats.SnapshotsSent, "snapshots_taken": stats.SnapshotsTaken,
	} {
		c <- prometheus.MustNewConstMetric(coreDesc, prometheus.CounterValue, float64(n), what)
	}
}

func collectViews(c chan<- prometheus.Metric, views []replica.View) {
	roles := map[string]float64{"leader": 0, "follower": 0}
	for i, v := range views {
		role, leads := "follower", 0.0
		if v.Leads() {
			role, leads = "leader", 1
		}
		roles[role]++
		if i >= maxRegionsShown {
			continue
		}
		id := strconv.FormatUint(v.Region.ID, 10)
		c <- gauge(termDesc, float64(v.Term), id)
		c <- gauge(appliedDesc, float64(v.Applied.Index), id)
		c <- gauge(lastDesc, float64(v.Last), id)
		c <- gauge(leadsDesc, leads, id)
	}
	for role, n := range roles {
		c <- gauge(regionsDesc, n, role)
	}
}

func gauge(d *prometheus.Desc, value float64, label string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
}

func (m *Metrics) wroteLog(d engine.Durability, took time.Duration) {
	if d == engine.Synced {
		m.logSyncs.Inc()
		m.logDuration.Observe(took.Seconds())
	}
}

func (m *Metrics) wroteData(bytes int, took time.Duration) {
	m.dataWrites.Inc()
	m.dataBytes.Add(float64(bytes))
	m.dataDuration.Observe(took.Seconds())
}

func (m *Metrics) answered(err error) {
	if err == nil {
		m.answeredOK.Inc()
		return
	}
	m.answers.WithLabelValues(outcome(err)).Inc()
}

// outcome is the kind of an error.
func outcome(err error) string {
	var (
		notLeader    *region.NotLeaderError
		stale        *region.StaleCommandError
		undetermined *region.UndeterminedError
		busy         *region.BusyError
	)
	switch {
	case errors.As(err, &notLeader):
		return "not_leader"
	case errors.As(err, &stale):
		return "stale"
	case errors.As(err, &undetermined):
		return "undetermined"
	case errors.As(err, &busy):
		return "busy"
	}
	return "other"
}
