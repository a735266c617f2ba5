// Three replicas: our stores beside etcd's, every disk synced before every acknowledgement.

package bench

import (
	"context"
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

// BenchmarkCluster measures a put, and a get that may not be stale, with three replicas:
//
//	etcd           a three-member etcd; its linearizable gets ask a quorum
//	etcd-stale     a get of whatever the asked member has
//	unary, frames  our stores, leases on, one call each or many in a frame
//	index          our stores, leases off: a get asks a quorum, as etcd's does
//	log            a get through the log: an entry of its own, as a put has
func BenchmarkCluster(b *testing.B) {
	etcd := startEtcd(b)
	unary, frames := startStores(b, "lease")
	index, _ := startStores(b, "index")
	type row struct {
		name string
		sys  *system
		do   operation
	}
	put := func(s *system) operation {
		return func(c, n int) error { return s.put(c, key(n%clusterKeys), value()) }
	}
	get := func(s *system) operation {
		return func(c, n int) error { return s.get(c, key((n*31+c)%clusterKeys)) }
	}
	operations := []struct {
		name string
		rows []row
	}{
		{"put", []row{{"etcd", etcd, put(etcd)}, {"unary", unary, put(unary)}, {"frames", frames, put(frames)}}},
		{"get", []row{
			{"etcd", etcd, get(etcd)},
			{"etcd-stale", etcd, func(c, n int) error { return etcd.getStale(c, key((n*31+c)%clusterKeys)) }},
			{"unary", unary, get(unary)}, {"frames", frames, get(frames)}, {"index", index, get(index)},
			{"log", unary, func(c, n int) error {
				k := key((n*31 + c) % clusterKeys)
				if err := unary.put(c, []byte("read "+string(k)), nil); err != nil {
					return err
				}
				return unary.get(c, k)
			}},
		}},
	}
	for _, op := range operations {
		for _, clients := range []int{1, 100} {
			for _, r := range op.rows {
				b.Run(fmt.Sprintf("%s/%d/%s", op.name, clients, r.name), func(b *testing.B) {
					before, own := cpuOf(b, r.sys.pids), ownCPU()
					run(b, clients, r.do)
					n := float64(b.N)
					b.ReportMetric(micros(ownCPU()-own)/n, "client-cpu-µs")
					b.ReportMetric(micros(cpuOf(b, r.sys.pids)-before)/n, "servers-cpu-µs")
				})
			}
		}
	}
}
