// The status port: metrics, profiles, and what this server is, by HTTP.
//
//	/metrics       Prometheus
//	/debug/pprof/  profiles of the Go runtime
//	/healthz       200 if the store serves, 503 if it does not
//	/status        who this store is, as JSON
//	/config        what TiKV's tools ask a store for, as JSON

package main

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"tinykv/kv/server"
)

// metrics are what the process counts.
type metrics struct {
	registry *prometheus.Registry
	requests *server.Metrics
	writes   prometheus.Counter
	groups   prometheus.Counter
	bytes    prometheus.Counter
	duration prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: server.NewMetrics(),
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tinykv_writes_total", Help: "Batches of requests that were written.",
		}),
		groups: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tinykv_write_groups_total", Help: "Groups of batches that were written as one, with one sync for all.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tinykv_written_bytes_total", Help: "Size of the written batches in bytes: keys, values, overhead.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tinykv_write_group_duration_seconds", Help: "Time to write one group, sync included.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18), // 50 microseconds to 6.5 seconds
		}),
	}
	m.registry.MustRegister(m.requests, m.writes, m.groups, m.bytes, m.duration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// wrote counts one group of batches.
func (m *metrics) wrote(batches, bytes int, took time.Duration) {
	m.groups.Inc()
	m.writes.Add(float64(batches))
	m.bytes.Add(float64(bytes))
	m.duration.Observe(took.Seconds())
}

func statusHandler(m *metrics, me member, o serveOptions, healthy *health.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, req *http.Request) {
		answer, err := healthy.Check(req.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			http.Error(w, "this store does not serve: its log says why", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n")) // an error means that the reader has left; so below
	})
	mux.HandleFunc("GET /status", serveJSON(map[string]any{
		"version": version(), "engine": o.engine, "data_dir": o.dir, "address": me.store.Address,
		"cluster_id": me.clusterID, "store_id": me.store.ID, "regions": []uint64{me.region.ID},
	}))
	mux.HandleFunc("GET /config", serveJSON(map[string]any{
		"storage": map[string]any{"api-version": 1, "enable-ttl": true, "engine": o.engine},
	}))
	return mux
}

func serveJSON(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}
