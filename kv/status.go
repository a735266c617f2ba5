// The status page: metrics, profiles, and what the server is.
//
//	/metrics       for Prometheus
//	/debug/pprof   profiles of the Go runtime
//	/healthz       200, or 503 and why
//	/status        JSON: version, engine, ids, addresses; of a replicated store, what it knows of its regions
//	/config        JSON: what TiKV's tools ask a store for
//
// A replicated store also takes orders there: see status_faults.go.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tinykv/kv/datadir"
	"tinykv/kv/replicated"
	"tinykv/kv/transport"
)

// standaloneStatus is the page of a standalone store.
func (r *running) standaloneStatus(o serveOptions, m *membership) http.Handler {
	return r.statusPage(o, r.metrics.standalone(), func() serverStatus { return r.facts(o, m.ids) })
}

// replicatedStatus is the page of a store of a cluster of several.
func (r *running) replicatedStatus(
	o serveOptions, e *enlistment, s *replicated.Store, t *transport.Transport,
) http.Handler {
	mux := r.statusPage(o, r.metrics.ofReplicated(), func() serverStatus {
		facts := r.facts(o, e.ids)
		for _, v := range s.Views() {
			facts.Regions = append(facts.Regions, regionStatus{
				ID: v.Region.ID, Peer: v.Peer.ID, LeaderStore: v.Leader.StoreID, Term: v.Term, Applied: v.Applied.Index,
				Last: v.Last, Installing: v.Installing,
			})
		}
		return facts
	})
	ordersOn(mux, s, t, o.faults)
	(&memberOrders{store: s, scheduler: e.scheduler}).on(mux)
	return mux
}

// serverStatus is what /status tells.
type serverStatus struct {
	Version   string         `json:"version"`
	Engine    string         `json:"engine"`
	DataDir   string         `json:"data_dir"`
	ClusterID uint64         `json:"cluster_id"`
	StoreID   uint64         `json:"store_id"`
	RegionID  uint64         `json:"region_id"` // the one that the cluster began with
	Store     string         `json:"store"`
	Scheduler string         `json:"scheduler"`
	Status    string         `json:"status"`
	Failure   string         `json:"failure,omitempty"`
	Regions   []regionStatus `json:"regions,omitempty"` // of a replicated store
}

// regionStatus is what a store knows of its peer of a region.
type regionStatus struct {
	ID          uint64 `json:"id"`
	Peer        uint64 `json:"peer"`
	LeaderStore uint64 `json:"leader_store"` // 0: it does not know
	Term        uint64 `json:"term"`
	Applied     uint64 `json:"applied"`
	Last        uint64 `json:"last"`
	Installing  bool   `json:"installing,omitempty"`
}

func (r *running) facts(o serveOptions, ids datadir.IDs) serverStatus {
	facts := serverStatus{
		Version: version(), Engine: o.engine, DataDir: o.dir,
		ClusterID: ids.ClusterID, StoreID: ids.StoreID, RegionID: ids.RegionID,
		Store: r.storeAddr, Scheduler: r.schedulerAddr, Status: r.statusAddr,
	}
	if err := r.metrics.failed(); err != nil {
		facts.Failure = err.Error()
	}
	return facts
}

func (r *running) statusPage(
	o serveOptions, metrics []prometheus.Collector, status func() serverStatus,
) *http.ServeMux {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(metrics...)

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
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, status()) })
	mux.HandleFunc("/config", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, configOf(o)) })
	return mux
}

// serverConfig is what TiKV's tools ask a store for.
type serverConfig struct {
	Storage struct {
		APIVersion int    `json:"api-version"`
		EnableTTL  bool   `json:"enable-ttl"`
		Engine     string `json:"engine"`
	} `json:"storage"`
}

func configOf(o serveOptions) (c serverConfig) {
	c.Storage.APIVersion, c.Storage.EnableTTL, c.Storage.Engine = 1, true, o.engine
	return c
}

func writeJSON[T any](w http.ResponseWriter, value T) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // an error means that the reader has left
}
