// Servers for the tests: built once, one process per test, gone at its end.

package interop_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pingcap/log"
	"github.com/tikv/client-go/v2/rawkv"
	"go.uber.org/zap"

	"tinykv/kv/interop/process"
)

// engines are the engines that a server can be started with.
var engines = []string{"pebble", "badger"}

// programs are what is tested.
var programs process.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// The client logs each connection that it makes; with -v they can be read.
	if !testing.Verbose() {
		log.ReplaceGlobals(zap.NewNop(), &log.ZapProperties{})
	}
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs, err = process.Build(context.Background(), dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start runs a server in a directory of its own until the test ends.
func start(t *testing.T, engine string) *process.Server {
	t.Helper()
	return startWith(t, process.Options{Dir: t.TempDir(), Engine: engine})
}

// startWith runs a server as the options say until the test ends. If they name addresses, these may be taken for a
// moment, by an outgoing connection of anybody's that got the free port as its own; then it tries again.
func startWith(t *testing.T, o process.Options) *process.Server {
	t.Helper()
	// Not the test's context: that one ends before the cleanup in which the server is stopped.
	server, err := process.Start(context.Background(), programs, o)
	for tries := 0; err != nil && strings.Contains(err.Error(), "in use") && tries < 20; tries++ {
		time.Sleep(250 * time.Millisecond)
		server, err = process.Start(context.Background(), programs, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Kill()
		if t.Failed() {
			t.Logf("the server's last words:\n%s", server.Log())
		}
	})
	return server
}

// startCluster runs three stores and their scheduler until the test ends.
func startCluster(t *testing.T, engine string) *process.Cluster {
	t.Helper()
	cluster, err := process.StartCluster(context.Background(), programs, process.ClusterOptions{Dir: t.TempDir(), Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cluster.Close()
		if t.Failed() {
			t.Logf("last words:\n%s", cluster.Log())
		}
	})
	return cluster
}

// connect makes a raw client that is closed when the test ends.
func connect(t *testing.T, scheduler string) *rawkv.Client {
	t.Helper()
	client, err := rawkv.NewClientWithOpts(t.Context(), []string{scheduler})
	if err != nil {
		t.Fatalf("connect a client to %s: %v", scheduler, err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
