// What is counted about requests.

package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tinykv/proto/errorpb"
)

// Metrics counts requests, however they came in. Register it with a prometheus.Registerer to have it shown.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	running  prometheus.Gauge
	frame    prometheus.Histogram
}

// NewMetrics returns metrics that start from zero.
func NewMetrics() *Metrics {
	return &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tinykv_requests_total",
			Help: "Requests answered, by method and outcome: ok, region_error, error, status (a gRPC status).",
		}, []string{"method", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tinykv_request_duration_seconds",
			Help:    "Time from taking a request to having its answer, by method.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18), // 50 microseconds to 6.5 seconds
		}, []string{"method"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tinykv_requests_running",
			Help: "Requests in progress.",
		}),
		frame: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tinykv_batch_commands_answers",
			Help:    "Answers in each frame of a BatchCommands stream.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8), // 1 to 128
		}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	m.requests.Describe(c)
	m.duration.Describe(c)
	m.running.Describe(c)
	m.frame.Describe(c)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.requests.Collect(c)
	m.duration.Collect(c)
	m.running.Collect(c)
	m.frame.Collect(c)
}

func (m *Metrics) answered(method string, took time.Duration, resp any, err error) {
	m.requests.WithLabelValues(method, outcome(resp, err)).Inc()
	m.duration.WithLabelValues(method).Observe(took.Seconds())
}

// outcome tells from an answer what became of the request.
func outcome(resp any, err error) string {
	if err != nil {
		return "status"
	}
	if r, ok := resp.(interface{ GetRegionError() *errorpb.Error }); ok {
		switch e := r.GetRegionError(); {
		case e.GetRaftEntryTooLarge() != nil:
			return "error" // see pairsFailure
		case e != nil:
			return "region_error"
		}
	}
	if r, ok := resp.(interface{ GetError() string }); ok && r.GetError() != "" {
		return "error"
	}
	return "ok"
}
