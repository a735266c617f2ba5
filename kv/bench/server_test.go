// The server under load: a process of its own.

package bench

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// binary and schedulerBinary are the server's programs, built once for all benchmarks.
var binary, schedulerBinary string

func TestMain(m *testing.M) {
	beMember()
	dir, err := os.MkdirTemp("", "tinykv-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary, schedulerBinary = filepath.Join(dir, "kv"), filepath.Join(dir, "scheduler")
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "./kv", "./scheduler")
	build.Dir = filepath.Join("..", "..") // the module of the server
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is a running server.
type process struct {
	scheduler, status string // addresses
}

// startServer runs a server in a directory of its own until the benchmark ends.
func startServer(b *testing.B, engine string) process {
	b.Helper()
	dir := b.TempDir()
	cmd := exec.Command(binary, "serve", "--data-dir", filepath.Join(dir, "data"), "--engine", engine, "--log-level", "error",
		"--addr", "127.0.0.1:0", "--scheduler-addr", "127.0.0.1:0", "--status-addr", "127.0.0.1:0")
	line := start(b, cmd).ready(b)
	p := process{scheduler: fields(line)["scheduler"], status: fields(line)["status"]}
	if p.scheduler == "" || p.status == "" {
		b.Fatalf("the server does not say where it listens: %q", line)
	}
	return p
}

// used is what the server has used since its start.
type used struct {
	cpu   time.Duration
	syncs float64
}

// used reads the server's own counters.
func (p process) used(b *testing.B) used {
	b.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + p.status + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	seconds, found := values["process_cpu_seconds_total"]
	syncs, also := values["tinykv_engine_syncs_total"]
	if !found || !also {
		b.Fatal("the server does not count its processor time or its syncs")
	}
	return used{cpu: time.Duration(seconds * float64(time.Second)), syncs: syncs}
}
