// Stores of a cluster as processes: they start in any order, refuse what is not theirs, and keep what they acknowledged
// through kill -9 of one or of all.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tinykv/kv/client"
	scheduler "tinykv/scheduler/server"
)

// crew is a cluster of processes, and a scheduler in this one.
type crew struct {
	t         *testing.T
	dir       string
	scheduler string
	records   *scheduler.MemStorage
	server    *scheduler.Server // nil: the scheduler does not run
	peers     peers
	status    map[uint64]string
	stores    map[uint64]*process
	later     map[uint64]string // addresses of those that --join
	more      []string          // flags that all stores get beside args
}

// newCrew chooses the addresses of a cluster. Nothing runs yet.
func newCrew(t *testing.T) *crew {
	t.Helper()
	c := &crew{t: t, dir: t.TempDir(), records: scheduler.NewMemStorage(), peers: peers{}, later: map[uint64]string{},
		status: map[uint64]string{}, stores: map[uint64]*process{}}
	c.scheduler = freePort(t)
	for id := uint64(1); id <= 3; id++ {
		c.peers[id], c.status[id] = freePort(t), freePort(t)
	}
	return c
}

// Ports are chosen below those that systems give away by themselves (Linux from 32768 on, others from 49152), so that no
// outgoing connection takes one while its store is down, and away from those of a server that somebody runs by hand.
const firstPort, lastPort = 22000, 31999

// freePort chooses an address that is this test's until its end, whether or not anybody listens there: a UDP socket of the
// same number says to others who choose in this way that it is taken.
func freePort(t *testing.T) string {
	t.Helper()
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))
		hold, err := net.ListenPacket("udp", addr)
		if last = err; err != nil {
			continue
		}
		lis, err := net.Listen("tcp", addr)
		if last = err; err == nil {
			lis.Close()
			t.Cleanup(func() { hold.Close() })
			return addr
		}
		hold.Close()
	}
	t.Fatal(last)
	return ""
}

// startScheduler runs the scheduler until the test ends, or stopScheduler.
func (c *crew) startScheduler() {
	c.t.Helper()
	lis, err := net.Listen("tcp", c.scheduler)
	if err != nil {
		c.t.Fatal(err)
	}
	s, err := scheduler.New(scheduler.Options{Storage: c.records, AdvertiseURLs: []string{"http://" + c.scheduler}})
	if err != nil {
		c.t.Fatal(err)
	}
	go func() { _ = s.Serve(lis) }()
	c.server = s
	c.t.Cleanup(func() { c.stopScheduler() })
}

func (c *crew) stopScheduler() {
	if c.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.server.Close(ctx)
	c.server = nil
}

func (c *crew) data(id uint64) string { return filepath.Join(c.dir, fmt.Sprint("store", id)) }

// args are those of a store. What is added counts more.
func (c *crew) args(id uint64, more ...string) []string {
	return append([]string{"serve", "--data-dir", c.data(id), "--store-id", fmt.Sprint(id), "--peers", c.peers.String(),
		"--scheduler", c.scheduler, "--status-addr", c.status[id], "--tick", "20ms"}, append(more, c.more...)...)
}

// start starts stores and does not wait.
func (c *crew) start(ids ...uint64) {
	c.t.Helper()
	for _, id := range ids {
		c.stores[id] = run(c.t, c.args(id)...)
	}
}

func (c *crew) awaitReady(ids ...uint64) {
	c.t.Helper()
	for _, id := range ids {
		c.stores[id].awaitReady()
	}
}

// begin runs the whole cluster.
func (c *crew) begin() {
	c.t.Helper()
	c.startScheduler()
	c.start(1, 2, 3)
	c.awaitReady(1, 2, 3)
}

func (c *crew) connect() *client.Client {
	c.t.Helper()
	k, err := client.New(client.Options{Scheduler: []string{c.scheduler}, Connections: 1})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { k.Close() })
	return k
}

// leader waits until a store says that it leads.
func (c *crew) leader() uint64 {
	c.t.Helper()
	for deadline := time.Now().Add(readyLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for id, p := range c.stores {
			s := &playStore{id: id, status: c.status[id]}
			select {
			case <-p.exited:
				continue
			default:
			}
			facts, err := s.ask(c.t.Context())
			if err == nil && len(facts.Regions) > 0 && facts.Regions[0].LeaderStore == id {
				return id
			}
		}
	}
	c.t.Fatalf("nobody leads after %v", readyLimit)
	return 0
}

// awaitLog waits until a process has logged a text.
func (p *process) awaitLog(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(readyLimit); !strings.Contains(p.stderr(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("it did not log %q:\n%s", text, p.stderr())
		}
	}
}

func TestStoresStartInAnyOrderAndWaitForWhoIsMissing(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.start(3)
	c.stores[3].awaitLog("waiting for the scheduler")
	c.startScheduler()
	c.awaitReady(3)
	c.stores[3].awaitLog("waiting for the other stores")
	c.start(1)
	c.awaitReady(1)
	kv := c.connect().Raw()
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil { // two of three are enough
		t.Fatal(err)
	}
	c.start(2)
	c.awaitReady(2)
	for _, p := range c.stores {
		p.stop()
	}
	c.stopScheduler()
	c.start(1, 2, 3) // they know each other, and need no scheduler any more
	c.awaitReady(1, 2, 3)
	c.leader()
	c.startScheduler()
	if v, found, err := c.connect().Raw().Get(within(t, verifyLimit), []byte("k")); string(v) != "v" || !found || err != nil {
		t.Errorf("%q, %v, %v", v, found, err)
	}
}

func TestALeaderThatIsStoppedHandsOver(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.begin()
	kv := c.connect().Raw()
	if err := kv.Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	old := c.leader()
	c.stores[old].stop() // with clients and other stores connected
	if next := c.leader(); next == old {
		t.Errorf("store %d leads although it has stopped", old)
	}
	if v, _, err := kv.Get(within(t, verifyLimit), []byte("k")); string(v) != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestAStoreRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCrew(t)
	c.begin()
	c.leader()
	for _, id := range []uint64{2, 3} {
		c.stores[id].stop()
	}
	dir := c.data(2)
	t.Run("another store's directory", func(t *testing.T) {
		refused(t, dir, "--store-id 2", c.args(3, "--data-dir", dir)...)
	})
	t.Run("as a standalone store", func(t *testing.T) { refused(t, dir, "--peers", serveArgs(dir, "pebble")...) })
	t.Run("with another engine", func(t *testing.T) { refused(t, dir, "--engine pebble", c.args(2, "--engine", "badger")...) })
	t.Run("a standalone directory", func(t *testing.T) {
		alone := used(t, "pebble")
		refused(t, alone, "without --peers", c.args(2, "--data-dir", alone)...)
	})
	t.Run("another cluster", func(t *testing.T) {
		other := newCrew(t)
		other.startScheduler()
		c.scheduler, other.scheduler = other.scheduler, c.scheduler
		args := c.args(2)
		c.scheduler, other.scheduler = other.scheduler, c.scheduler
		refusedText(t, "belongs to cluster", args...)
	})
	t.Run("a new directory for a member", func(t *testing.T) {
		empty := filepath.Join(t.TempDir(), "empty")
		refusedText(t, "can't come back under its id", c.args(2, "--data-dir", empty)...)
	})
	t.Run("another list of stores", func(t *testing.T) {
		list := fmt.Sprintf("1=%s,4=%s", c.peers[1], c.peers[2])
		other := filepath.Join(t.TempDir(), "other")
		refusedText(t, "give all its stores the same list",
			c.args(4, "--data-dir", other, "--peers", list, "--status-addr", anyPort)...)
	})
	t.Run("logs that were lost", func(t *testing.T) {
		for _, part := range []string{"raft", "engine"} {
			if err := os.RemoveAll(filepath.Join(c.data(3), part)); err != nil {
				t.Fatal(err)
			}
		}
		refusedText(t, "has lost what it kept", c.args(3)...)
	})
	t.Run("a raft log that was lost", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil {
			t.Fatal(err)
		}
		refusedText(t, "has data but no log", c.args(2)...)
	})
}

// refusedText insists on the line and the status.
func refusedText(t *testing.T, says string, args ...string) {
	t.Helper()
	p := run(t, args...)
	if status := p.awaitExit(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	text := p.stderr()
	if line, ended := strings.CutSuffix(text, "\n"); !ended || strings.Contains(line, "\n") || !strings.Contains(line, says) {
		t.Errorf("it said %q, want one line with %q", text, says)
	}
}

func TestArgumentsThatDoNotGoTogetherAreRefused(t *testing.T) {
	list := "1=127.0.0.1:1,2=127.0.0.1:2"
	for _, c := range []struct {
		says string
		args []string
	}{
		{"Say --store-id", []string{"--peers", list, "--scheduler", "a:1"}},
		{"none of the --peers", []string{"--peers", list, "--store-id", "3", "--scheduler", "a:1"}},
		{"Say --peers", []string{"--store-id", "3", "--scheduler", "a:1"}},
		{"say --scheduler", []string{"--peers", list, "--store-id", "1"}},
		{"--scheduler is for a store of a cluster", []string{"--scheduler", "a:1"}},
		{"--scheduler-addr is for a standalone store", []string{"--peers", list, "--store-id", "1", "--scheduler-addr", "a:1"}},
		{"ID=HOST:PORT", []string{"--peers", "1=x", "--store-id", "1"}},
		{"use one of lease, index", []string{"--peers", list, "--store-id", "1", "--scheduler", "a:1", "--reads", "luck"}},
		{"should be HOST:PORT", []string{"--peers", list, "--store-id", "1", "--scheduler", "nonsense"}},
		{"is no port", []string{"--peers", list, "--store-id", "1", "--scheduler", "a:b"}},
		{"should be from 1ms to 10s", []string{"--peers", list, "--store-id", "1", "--scheduler", "a:1", "--tick", "1ns"}},
		{"look for this one at 127.0.0.1:1", []string{"--peers", list, "--store-id", "1", "--scheduler", "a:1", "--addr", anyPort}},
		{"at most", []string{"--join", "--store-id", "99999999999", "--scheduler", "a:1"}},
		{"--sweep-interval", []string{"--sweep-interval", "-1m"}},
		{"without a port", []string{"--advertise-host", "me:80"}},
		{"cannot read the configuration", []string{"--config", "no/such/file.toml"}},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		refused(t, dir, c.says, append([]string{"serve", "--data-dir", dir}, c.args...)...)
	}
}

// Writers number their writes, as in kill_test.go, while stores are killed: one of them at a time, or all.
func TestAKilledClusterKeepsEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel() // it mostly waits
	rounds := max(*kills/2, 3)
	c := newCrew(t)
	c.begin()
	random := rand.New(rand.NewPCG(*killSeed, 99))
	var writers []*killWriter
	for i := range killWriters {
		writers = append(writers, &killWriter{name: fmt.Sprint("writer", i), seed: *killSeed + uint64(i)})
	}
	for round := range rounds {
		victims := []uint64{1, 2, 3}
		switch random.IntN(3) {
		case 0:
			victims = []uint64{c.leader()}
		case 1:
			victims = []uint64{1 + uint64(random.IntN(3))}
		}
		c.round(writers, victims, 20+random.IntN(40))
		for _, w := range writers {
			if err := w.verify(within(t, verifyLimit), c.connect().Raw()); err != nil {
				t.Fatalf("round %d, stores %v were killed: %s: %v", round, victims, w.name, err)
			}
		}
	}
	written := 0
	for _, w := range writers {
		written += w.acknowledged
	}
	t.Logf("%d rounds, %d writes kept", rounds, written)
	if written < rounds {
		t.Errorf("only %d writes in %d rounds: the kills came too early to test anything", written, rounds)
	}
}

// round writes, kills the victims after a few writes, and starts them again.
func (c *crew) round(writers []*killWriter, victims []uint64, writes int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), writeLimit)
	defer cancel()
	acks, killed := make(chan struct{}, 1024), make(chan struct{})
	var wait sync.WaitGroup
	for _, w := range writers {
		kv := c.connect()
		wait.Go(func() {
			if err := w.write(ctx, kv.Raw(), acks, killed); err != nil {
				c.t.Errorf("%s: %v", w.name, err)
			}
		})
	}
	for range writes {
		select {
		case <-acks:
		case <-ctx.Done():
		}
	}
	close(killed)
	for _, id := range victims {
		_ = c.stores[id].cmd.Process.Kill()
	}
	for _, id := range victims {
		<-c.stores[id].exited
	}
	c.start(victims...)
	c.awaitReady(victims...)
	cancel()
	wait.Wait()
}
