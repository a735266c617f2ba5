// The status page: metrics, profiles, and what the server is.
//
//	/metrics       for Prometheus
//	/debug/pprof   profiles of the Go runtime
//	/healthz       200, or 503 and why
//	/status        JSON: version, engine, ids, addresses
//	/config        JSON: what TiKV's tools ask a store for

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (r *running) statusPage(o serveOptions, m *membership) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(r.metrics.collectors()...)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := r.metrics.failed(); err != nil {
			http.Error(w, "the store can't write: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/status", serveJSON(map[string]any{
		"version": version(), "engine": o.engine, "data_dir": o.dir,
		"cluster_id": m.ids.ClusterID, "store_id": m.ids.StoreID, "region_id": m.ids.RegionID,
		"store": r.storeAddr, "scheduler": r.schedulerAddr, "status": r.statusAddr,
	}))
	mux.HandleFunc("/config", serveJSON(map[string]any{
		"storage": map[string]any{"api-version": 1, "enable-ttl": true, "engine": o.engine},
	}))
	return mux
}

func serveJSON(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // an error means that the reader has left
	}
}
