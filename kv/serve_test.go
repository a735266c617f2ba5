package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"tinykv/kv/client"
	"tinykv/proto/tikvpb"
)

// start runs a server in this process.
func start(t *testing.T) *running {
	t.Helper()
	r, err := startServer(within(t, verifyLimit), serveOptions{
		dir: filepath.Join(t.TempDir(), "data"), engine: "pebble",
		addr: anyPort, schedulerAddr: anyPort, statusAddr: anyPort, sweepInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(within(t, stopLimit)); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return r
}

// page gets a page of the status port.
func (r *running) page(t *testing.T, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, verifyLimit), http.MethodGet, "http://"+r.statusAddr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestStatusPageTellsWhatIsServedAndHowMuch(t *testing.T) {
	r := start(t)
	c, err := client.New(client.Options{Scheduler: []string{r.schedulerAddr}, Batch: true, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := c.Raw().Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Raw().Get(within(t, verifyLimit), []byte("k")); err != nil {
		t.Fatal(err)
	}
	_, metrics := r.page(t, "/metrics")
	for _, want := range []string{
		`tinykv_requests_total{method="RawPut",outcome="ok"} 3`,
		`tinykv_requests_total{method="RawGet",outcome="ok"} 1`,
		"tinykv_engine_syncs_total 3",
		"tinykv_engine_broken 0",
		`tinykv_request_duration_seconds_count{method="RawPut"} 3`,
		"tinykv_batch_commands_answers_count 4",
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	var config struct {
		Storage struct {
			Version int `json:"api-version"`
		}
	}
	if _, body := r.page(t, "/config"); json.Unmarshal([]byte(body), &config) != nil || config.Storage.Version != 1 {
		t.Errorf("/config is %s", body)
	}
	var status struct {
		Store     string `json:"store"`
		ClusterID uint64 `json:"cluster_id"`
	}
	_, body := r.page(t, "/status")
	if json.Unmarshal([]byte(body), &status) != nil || status.Store != r.storeAddr || status.ClusterID != r.clusterID {
		t.Errorf("/status is %s", body)
	}
	if code, _ := r.page(t, "/debug/pprof/"); code != http.StatusOK {
		t.Errorf("/debug/pprof/ answers %d", code)
	}
}

func TestHealthFollowsTheDisk(t *testing.T) {
	r := start(t)
	conn, err := grpc.NewClient(r.storeAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check := func(want grpc_health_v1.HealthCheckResponse_ServingStatus, code int) {
		t.Helper()
		resp, err := grpc_health_v1.NewHealthClient(conn).Check(within(t, verifyLimit), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("health is %v, %v; want %v", resp, err, want)
		}
		if got, body := r.page(t, "/healthz"); got != code {
			t.Errorf("/healthz is %d %s, want %d", got, body, code)
		}
	}
	check(grpc_health_v1.HealthCheckResponse_SERVING, http.StatusOK)
	r.broken(errors.New("the disk is full"))
	check(grpc_health_v1.HealthCheckResponse_NOT_SERVING, http.StatusServiceUnavailable)
}

func TestFailedStartLeavesNothingRunning(t *testing.T) {
	r := start(t)
	o := serveOptions{dir: filepath.Join(t.TempDir(), "data"), engine: "pebble",
		addr: anyPort, schedulerAddr: r.schedulerAddr, statusAddr: anyPort}
	if _, err := startServer(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--scheduler-addr") {
		t.Errorf("a start on a taken port: %v", err)
	}
	o.schedulerAddr = anyPort
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startServer(ctx, o); err == nil {
		t.Error("a start whose context has ended came to an end")
	}
	second, err := startServer(within(t, verifyLimit), o) // in the directory of the start that was broken off
	if err != nil {
		t.Fatal(err)
	}
	if err := second.close(within(t, stopLimit)); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskAtTheStartSaysWhatToDo(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "data/raft/x", Err: syscall.ENOSPC}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("open data/raft: %w", full), "open data/raft: write data/raft/x: no space left on device: see to the disk, " +
			"make room on it, and start again"},
		{fmt.Errorf("%w; see to the disk", full), "write data/raft/x: no space left on device; see to the disk"},
		{errors.New("a port is taken"), "a port is taken"},
	} {
		if got := withRoom(c.err).Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// asIs sends bytes as they are, and takes no answer.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (asIs) Unmarshal(_ []byte, _ any) error { return nil }
func (asIs) Name() string                    { return "proto" }

// Each two bytes are a pair, which takes a hundred times as much in memory.
func TestRequestsOfTooManyPartsAreRefused(t *testing.T) {
	r := start(t)
	conn, err := grpc.NewClient(r.storeAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Invoke(within(t, verifyLimit), tikvpb.Tikv_RawBatchPut_FullMethodName, bytes.Repeat([]byte{2<<3 | 2, 0}, 4<<20),
		nil, grpc.ForceCodec(asIs{}))
	if err == nil || !strings.Contains(err.Error(), "send less at once") {
		t.Errorf("got %v", err)
	}
}
