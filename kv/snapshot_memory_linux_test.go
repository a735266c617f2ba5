//go:build !race

// What a large snapshot costs in memory, on the store that sends it and on the new one that takes it, while clients write
// (and read: or else it would be the snapshot that fills the engine's cache for the first time).
//
//	fill ─► restart all, so that the fill's memory is not counted
//	     ─► clients work; a new store is given a peer, until it has caught up     peak of either process
//	     ─► restart all ─► clients work for as long, and nothing else             peak of either process
//
// The difference is judged. It is that of a chunk, a batch, the engines' caches and memory tables, and what Go's collector
// leaves lying about, however large the snapshot is.
//
//	make snapshot MIB=256
//
// Not under the race detector, which takes many times the memory.

package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tinykv/kv/client"
)

var snapshotMiB = flag.Int("mib", 32, "size of the snapshot of TestALargeSnapshot, in MiB")

const (
	mostExtraMiB  = 64
	clientsBeside = 4
	clientPause   = 4 * time.Millisecond // after each write and read
	leastMeasured = 3 * time.Second
)

func noise(rng *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return b
}

// loaded is the i-th key of those that load writes.
func loaded(i int) []byte { return fmt.Appendf(nil, "%016x", uint64(i)*0x9e3779b97f4a7c15) }

// load writes so many MiB of pairs of 1 KiB that do not compress.
func (c *crew) load(mib int) {
	c.t.Helper()
	const loaders, batch = 4, 256
	var wait sync.WaitGroup
	for l := range loaders {
		kv, rng := c.connect().Raw(), rand.New(rand.NewPCG(uint64(l), 5))
		wait.Go(func() {
			for first := l * batch; first < mib<<10; first += loaders * batch {
				pairs := make([]client.Pair, batch)
				for i := range pairs {
					pairs[i] = client.Pair{Key: loaded(first + i), Value: noise(rng, 1<<10-16)}
				}
				if err := kv.BatchPut(within(c.t, verifyLimit), pairs); err != nil {
					c.t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// workBeside runs clients that write and read at a steady pace until end is called; written tells how many writes there were.
func (c *crew) workBeside() (written func() int64, end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	var wait sync.WaitGroup
	var count atomic.Int64
	for w := range clientsBeside {
		kv, rng := c.connect().Raw(), rand.New(rand.NewPCG(uint64(w), 6))
		wait.Go(func() {
			for ctx.Err() == nil {
				limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyLimit)
				if err := kv.Put(limit, fmt.Appendf(nil, "beside%d", rng.IntN(2000)), noise(rng, 1<<10)); err != nil {
					c.t.Error(err)
				}
				if _, found, err := kv.Get(limit, loaded(rng.IntN(*snapshotMiB<<10))); err != nil || !found {
					c.t.Errorf("a key that was loaded: %v, %v", found, err)
				}
				cancel()
				count.Add(1)
				time.Sleep(clientPause)
			}
		})
	}
	return count.Load, func() { cancel(); wait.Wait() }
}

// forgetPeak makes the kernel forget the most memory that a process had.
func (p *process) forgetPeak() {
	p.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		p.t.Fatal(err)
	}
}

// memory is the memory that a process has resident, and the most since forgetPeak, in MiB.
func (p *process) memory() (now, peak float64) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
			peak = kib / 1024
		}
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
			now = kib / 1024
		}
	}
	return now, peak
}

// lead makes a store the leader.
func (c *crew) lead(id uint64) {
	c.t.Helper()
	for deadline := time.Now().Add(readyLimit); ; time.Sleep(20 * time.Millisecond) {
		leader := c.leader()
		if leader == id {
			return
		}
		err := (&playStore{id: leader, status: c.status[leader]}).order(c.t.Context(), "/leader", id)
		if time.Now().After(deadline) {
			c.t.Fatalf("store %d does not lead: %v", id, err)
		}
	}
}

// restart stops stores and starts them again, the first of them to lead.
func (c *crew) restart(lead uint64, ids ...uint64) {
	c.t.Helper()
	for _, id := range ids {
		c.stores[id].stop()
	}
	for _, id := range ids {
		if c.later[id] != "" {
			c.stores[id] = run(c.t, c.joinArgs(id)...)
		} else {
			c.start(id)
		}
	}
	c.awaitReady(ids...)
	c.lead(lead)
}

// peaks are the most memory that the sender and the receiver had, in MiB.
type peaks [2]float64

// measure runs something, and says what the most memory of each process was meanwhile.
func (c *crew) measure(of [2]uint64, what func()) (most peaks) {
	c.t.Helper()
	time.Sleep(time.Second) // what the start took is past
	var first peaks
	for i, id := range of {
		c.stores[id].forgetPeak()
		first[i], _ = c.stores[id].memory()
	}
	what()
	for i, id := range of {
		_, most[i] = c.stores[id].memory()
	}
	c.t.Logf("sender and receiver: %.0f and %.0f MiB at first, %.0f and %.0f at most", first[0], first[1], most[0], most[1])
	return most
}

func TestALargeSnapshotTakesLittleMemory(t *testing.T) {
	t.Parallel() // it mostly waits
	const sender, receiver = 1, 4
	c := newCrew(t)
	c.more = []string{"--tick", "100ms"}
	c.begin()
	c.load(*snapshotMiB)
	c.restart(sender, 1, 2, 3)
	c.join(receiver)

	var took, whole time.Duration
	var beside int64
	written, end := c.workBeside()
	with := c.measure([2]uint64{sender, receiver}, func() {
		begun, before := time.Now(), written()
		c.members("add", receiver)
		c.awaitCaughtUp(receiver)
		took, beside = time.Since(begun), written()-before
		time.Sleep(max(0, leastMeasured-took))
		whole = time.Since(begun)
	})
	end()
	c.stores[receiver].awaitLog("snapshot installed")
	c.restart(sender, 1, 2, 3, receiver)
	_, end = c.workBeside()
	without := c.measure([2]uint64{sender, receiver}, func() { time.Sleep(whole) })
	end()

	t.Logf("%d MiB arrived and were installed within %v, and %d writes of clients meanwhile", *snapshotMiB,
		took.Round(time.Millisecond), beside)
	if beside < 20 {
		t.Errorf("only %d writes while the snapshot was under way", beside)
	}
	for i, who := range []string{"sender", "receiver"} {
		extra := with[i] - without[i]
		t.Logf("the %s: at most %.0f MiB with the snapshot, %.0f without it: %+.0f", who, with[i], without[i], extra)
		if extra >= mostExtraMiB {
			t.Errorf("the %s takes %.0f MiB more for a snapshot, the limit is %d", who, extra, mostExtraMiB)
		}
	}
}
