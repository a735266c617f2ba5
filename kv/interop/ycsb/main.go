// Command ycsb runs the Yahoo! Cloud Serving Benchmark with the unmodified go-ycsb and the unmodified TiKV client
// against our server, and checks every single result.
//
//	go run ./ycsb                                 (in kv/interop: its own server in a temporary directory)
//	go run ./ycsb -stores 3                       (a cluster)
//	go run ./ycsb -engine badger -records 100000 -operations 100000
//	go run ./ycsb -scheduler 127.0.0.1:2379       (a server that is running already; table usertable is emptied first)
//
// The exit status is 0 only if no operation failed and no answer was wrong. See checked.go for what is checked.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/pingcap/log"
	"go.uber.org/zap"

	"tinykv/kv/interop/process"
)

// settings are what the flags say.
type settings struct {
	scheduler  string // address of a running placement driver; empty starts a server
	engine     string // of the server that is started
	stores     int    // that are started; 1 is a server by itself
	programs   string // directory of the programs that are started; empty builds them
	records    int    // rows that are loaded
	operations int    // of each workload
	threads    int    // goroutines that work at the same time
	workloads  string // letters
}

func main() {
	var s settings
	flag.StringVar(&s.scheduler, "scheduler", "", "address of a running placement driver; empty starts one, with stores")
	flag.StringVar(&s.engine, "engine", "pebble", "engine of the stores that are started")
	flag.IntVar(&s.stores, "stores", 1, "stores that are started; with more than one, each row is on all of them")
	flag.StringVar(&s.programs, "programs", "", "directory with the programs kv and scheduler; empty builds them")
	flag.IntVar(&s.records, "records", 100_000, "rows of 1 KB that are loaded")
	flag.IntVar(&s.operations, "operations", 100_000, "operations of each workload; a tenth of it for E, which scans")
	flag.IntVar(&s.threads, "threads", 64, "operations that are under way at the same time")
	flag.StringVar(&s.workloads, "workloads", "abcdef", "which workloads, in which order")
	flag.Parse()

	log.ReplaceGlobals(zap.NewNop(), &log.ZapProperties{}) // the client's own log
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ycsb:", err)
		os.Exit(1)
	}
}

// run does everything, with a server of its own unless the settings name one.
func run(ctx context.Context, s settings, out io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.scheduler != "" {
		return bench(ctx, s, out)
	}
	dir, err := os.MkdirTemp("", "ycsb-")
	if err != nil {
		return fmt.Errorf("make room for a server: %w", err)
	}
	defer os.RemoveAll(dir)
	programs := process.In(s.programs)
	if s.programs == "" {
		if programs, err = process.Build(ctx, dir); err != nil {
			return err
		}
	}
	servers, scheduler, err := s.start(ctx, programs, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer servers.Close()
	s.scheduler = scheduler
	if err := bench(ctx, s, out); err != nil {
		return fmt.Errorf("%w\nlast words of what ran:\n%s", err, servers.Log())
	}
	if err := servers.Stop(); err != nil {
		return err
	}
	cpu, memory := servers.Usage()
	fmt.Fprintf(out, "servers: %.1f s of CPU, at most %d MiB of memory each\n", cpu.Seconds(), memory>>10)
	return nil
}

// servers are processes that were started.
type servers interface {
	Stop() error
	Close() // kills those that still run
	Usage() (cpu time.Duration, maxMemoryKiB int64)
	Log() string
}

// start runs what the benchmark runs against, and returns what clients are given.
func (s settings) start(ctx context.Context, p process.Programs, dir string) (servers, string, error) {
	if s.stores > 1 {
		cluster, err := process.StartCluster(ctx, p, process.ClusterOptions{Dir: dir, Engine: s.engine, Stores: s.stores})
		if err != nil {
			return nil, "", err
		}
		return cluster, cluster.Scheduler, nil
	}
	server, err := process.Start(ctx, p, process.Options{Dir: dir, Engine: s.engine})
	if err != nil {
		return nil, "", err
	}
	return server, server.Scheduler, nil
}

func (s settings) check() error {
	if s.threads < 1 || s.records < s.threads || s.operations < 10*s.threads {
		return fmt.Errorf("need at least as many records as threads and ten times as many operations; got %d, %d, %d",
			s.records, s.threads, s.operations)
	}
	if s.stores < 1 {
		return fmt.Errorf("need at least one store; got %d", s.stores)
	}
	for _, letter := range s.workloads {
		if _, known := workloads[letter]; !known {
			return fmt.Errorf("there is no workload %q, only a to f", letter)
		}
	}
	return nil
}
