// Three replicas: our stores beside etcd's, every disk synced before every acknowledgement.

package bench

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tinykv/kv/client"
)

const (
	connections = 4      // between the clients and each server, for both systems
	clusterKeys = 10_000 // that are read and written, at random
	benchLimit  = 30 * time.Minute
)

// system is three replicas of some make.
type system struct {
	pids     []int // of all its processes
	put      func(c int, key, value []byte) error
	get      func(c int, key []byte) error // linearizable
	getStale func(c int, key []byte) error // of whatever the asked member has; nil: there is no such read
}

// load writes all keys.
func (s *system) load(b *testing.B) {
	b.Helper()
	var wait sync.WaitGroup
	const loaders = 64
	errs := make([]error, loaders)
	for c := range loaders {
		wait.Go(func() {
			for i := c; i < clusterKeys && errs[c] == nil; i += loaders {
				errs[c] = s.put(c, key(i), value())
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// startStores runs a scheduler and three stores until the benchmark ends, and loads the keys.
func startStores(b *testing.B, reads string) (unary, frames *system) {
	b.Helper()
	dir, addrs := b.TempDir(), freeAddrs(b, 4)
	scheduler, addrs := addrs[3], addrs[:3]
	driver := start(b, exec.Command(schedulerBinary, "--data-dir", filepath.Join(dir, "scheduler"), "--addr", scheduler))
	driver.ready(b)
	var peers []string
	for i, addr := range addrs {
		peers = append(peers, fmt.Sprintf("%d=%s", i+1, addr))
	}
	var children []child // none is ready before they have elected a leader
	for i := range addrs {
		cmd := exec.Command(binary, "serve", "--data-dir", filepath.Join(dir, fmt.Sprint("store", i+1)), "--log-level", "error",
			"--store-id", fmt.Sprint(i+1), "--peers", strings.Join(peers, ","), "--scheduler", scheduler,
			"--status-addr", "127.0.0.1:0", "--reads", reads)
		children = append(children, start(b, cmd))
	}
	pids := append(readyAll(b, children), driver.cmd.Process.Pid)
	unary, frames = stores(b, scheduler, pids, false), stores(b, scheduler, pids, true)
	unary.load(b)
	return unary, frames
}

// stores is a system of ours by unary calls, or by frames of BatchCommands.
func stores(b *testing.B, scheduler string, pids []int, frames bool) *system {
	b.Helper()
	c, err := client.New(client.Options{Scheduler: []string{scheduler}, Batch: frames})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	b.Cleanup(cancel)
	raw := c.Raw()
	return &system{
		pids: pids,
		put:  func(_ int, key, value []byte) error { return raw.Put(ctx, key, value) },
		get: func(_ int, key []byte) error {
			_, found, err := raw.Get(ctx, key)
			if err == nil && !found {
				err = fmt.Errorf("key %s was loaded and is not found", key)
			}
			return err
		},
	}
}

var rounds = flag.Int("rounds", 1, "how often BenchmarkCluster measures everything; its table has the medians")

// BenchmarkCluster measures a put, and a get that may not be stale, with three replicas. The systems run one after the other,
// so that none is disturbed by another that is idle, and all of them in every round:
//
//	etcd    a three-member etcd: put; get, which asks a quorum; stale, a get of whatever the asked member has
//	unary   our stores, leases on, one call each: put; get; log, a get through the log: an entry of its own, as a put has
//	frames  the same stores, many requests in a frame: put; get
//	index   our stores, leases off, one call each: get, which asks a quorum as etcd's does
//
// At the end it prints the medians of all rounds as the table that doc/measurements.md has.
func BenchmarkCluster(b *testing.B) {
	var t table
	for round := range *rounds {
		b.Run(fmt.Sprint(round+1), func(b *testing.B) {
			b.Run("etcd", func(b *testing.B) {
				etcd := startEtcd(b)
				t.measure(b, round, "etcd", "put", etcd, etcd.putSome)
				t.measure(b, round, "etcd", "get", etcd, etcd.getSome)
				t.measure(b, round, "etcd", "stale", etcd, func(c, n int) error { return etcd.getStale(c, some(c, n)) })
			})
			b.Run("lease", func(b *testing.B) {
				unary, frames := startStores(b, "lease")
				t.measure(b, round, "unary", "put", unary, unary.putSome)
				t.measure(b, round, "frames", "put", frames, frames.putSome)
				t.measure(b, round, "unary", "get", unary, unary.getSome)
				t.measure(b, round, "frames", "get", frames, frames.getSome)
				t.measure(b, round, "unary", "log", unary, unary.getThroughLog)
			})
			b.Run("index", func(b *testing.B) {
				index, _ := startStores(b, "index")
				t.measure(b, round, "index", "get", index, index.getSome)
			})
		})
	}
	fmt.Print(t.String())
}

// some is a key that was loaded; the keys of neighbours in n are far apart.
func some(c, n int) []byte { return key((n*31 + c) % clusterKeys) }

func (s *system) putSome(c, n int) error { return s.put(c, key(n%clusterKeys), value()) }

func (s *system) getSome(c, n int) error { return s.get(c, some(c, n)) }

// getThroughLog reads behind a write, which is as new as what was acknowledged before it.
func (s *system) getThroughLog(c, n int) error {
	k := some(c, n)
	if err := s.put(c, []byte("read "+string(k)), nil); err != nil {
		return err
	}
	return s.get(c, k)
}
