// Kill -9 at any moment: what was acknowledged is there, and nothing is there by half.
//
// Writers, each with keys of its own, number their writes. Write n is one batch that sets three heads to n, and the
// n-th place of a ring to n. So from what is found after a restart it follows what must have been found:
//
//	heads             all three hold the same n         no half batch
//	n >= acknowledged                                   no acknowledged write is lost
//	n <= last tried                                     nothing comes from nowhere
//	ring              the last ringSize numbers up to n  no earlier write is lost, none came twice or out of order
//
//	go test ./kv -run TestKill -kills 300 -seed 7

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/open"
)

var (
	kills    = flag.Int("kills", 12, "how often TestKill kills the server, for each engine")
	killSeed = flag.Uint64("seed", 1, "seed of the moments and values of TestKill")
)

const (
	killWriters = 4
	ringSize    = 16
	heads       = 3
	verifyLimit = 20 * time.Second // for reading everything back
	writeLimit  = 20 * time.Second // for a life's writes
)

func TestKilledServerKeepsEveryAcknowledgedWrite(t *testing.T) {
	for _, engine := range open.Names {
		t.Run(engine, func(t *testing.T) {
			skipWithoutEngine(t, engine)
			t.Parallel() // a kill is mostly waiting for the disk
			w := &killWorld{
				t: t, engine: engine, dir: filepath.Join(t.TempDir(), "data"),
				random: rand.New(rand.NewPCG(*killSeed, uint64(len(engine)))),
			}
			for i := range killWriters {
				w.writers = append(w.writers, &killWriter{name: fmt.Sprint("writer", i), seed: *killSeed + uint64(i)})
			}
			for w.kill = range *kills {
				w.life()
			}
			w.verify(serveProcess(t, w.dir, engine))
			w.sometimes()
		})
	}
}

// killWorld is one directory and all servers that live in it, one after the other.
type killWorld struct {
	t           *testing.T
	engine, dir string
	random      *rand.Rand
	kill        int // how many servers were killed so far
	writers     []*killWriter

	duringStart, pending int // how often a kill met a start, and a write that was not acknowledged but is there
}

// life starts a server, checks what it has, writes, and kills it.
func (w *killWorld) life() {
	if w.random.IntN(8) == 0 { // before it serves
		p := run(w.t, serveArgs(w.dir, w.engine)...)
		w.pause(100 * time.Millisecond) // about as long as a start takes
		p.kill()
		w.duringStart++
		return
	}
	p := serveProcess(w.t, w.dir, w.engine)
	w.verify(p)
	ctx, cancel := context.WithTimeout(w.t.Context(), writeLimit)
	var wait sync.WaitGroup
	acks, killed := make(chan struct{}, 1024), make(chan struct{})
	for _, writer := range w.writers {
		c := connect(w.t, p)
		wait.Go(func() {
			defer c.Close()
			if err := writer.write(ctx, c.Raw(), acks, killed); err != nil {
				w.t.Errorf("%s: %v\n%s", writer.name, err, w.replay())
			}
		})
	}
	for range w.random.IntN(40) { // so that a slow machine writes as much as a fast one
		select {
		case <-acks:
		case <-ctx.Done():
		}
	}
	w.pause(5 * time.Millisecond)
	close(killed)
	p.kill()
	cancel()
	wait.Wait()
}

func (w *killWorld) pause(most time.Duration) {
	timer := time.NewTimer(time.Duration(w.random.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.t.Context().Done():
	}
}

func (w *killWorld) replay() string {
	return fmt.Sprintf("after %d kills; run it again with: go test ./kv -run '^TestKilled' -kills %d -seed %d",
		w.kill, *kills, *killSeed)
}

// verify reads everything back.
func (w *killWorld) verify(p *process) {
	w.t.Helper()
	c := connect(w.t, p)
	defer c.Close()
	for _, writer := range w.writers {
		before := writer.acknowledged
		if err := writer.verify(within(w.t, verifyLimit), c.Raw()); err != nil {
			w.t.Fatalf("%s: %v\n%s\nthe server says:\n%s", writer.name, err, w.replay(), p.stderr())
		}
		if writer.acknowledged > before {
			w.pending++
		}
	}
}

// sometimes makes sure that the test was about something.
func (w *killWorld) sometimes() {
	written := 0
	for _, writer := range w.writers {
		written += writer.acknowledged
	}
	w.t.Logf("%d kills (%d of a server that was starting), %d writes kept, %d of them without an acknowledgement",
		*kills, w.duringStart, written, w.pending)
	if written < *kills {
		w.t.Errorf("only %d writes in %d lives: the kills came too early to test anything", written, *kills)
	}
}

// killWriter numbers its writes.
type killWriter struct {
	name         string
	seed         uint64
	acknowledged int // the last write that is known to be durable
	tried        int // the last write that was sent
}

// write writes until the server is gone, and counts in acks. That it is gone, after killed was closed, is the only reason
// for a failure.
func (w *killWriter) write(ctx context.Context, kv client.Raw, acks chan<- struct{}, killed <-chan struct{}) error {
	for ctx.Err() == nil {
		w.tried++
		err := kv.BatchPut(ctx, w.batch(w.tried))
		switch {
		case err == nil:
			w.acknowledged = w.tried
			select {
			case acks <- struct{}{}:
			default: // nobody counts that far
			}
		case ctx.Err() != nil || errors.Is(err, client.ErrUndetermined) && isClosed(killed):
			return nil
		default:
			return fmt.Errorf("write %d failed before the server was killed: %w", w.tried, err)
		}
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *killWriter) batch(n int) []client.Pair {
	value := w.value(n)
	var pairs []client.Pair
	for i := range heads {
		pairs = append(pairs, client.Pair{Key: w.head(i), Value: value})
	}
	return append(pairs, client.Pair{Key: w.place(n), Value: value})
}

// value is that of write n: its number, then something that belongs to it alone, of up to 3 KiB.
func (w *killWriter) value(n int) []byte {
	random := rand.New(rand.NewPCG(w.seed, uint64(n)))
	noise := make([]byte, random.IntN(3<<10))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	return append(fmt.Appendf(nil, "%d:", n), noise...)
}

func (w *killWriter) head(i int) []byte  { return fmt.Appendf(nil, "%s/head/%d", w.name, i) }
func (w *killWriter) place(n int) []byte { return fmt.Appendf(nil, "%s/ring/%02d", w.name, n%ringSize) }

// verify compares what is there with what must be, and goes on from it.
func (w *killWriter) verify(ctx context.Context, kv client.Raw) error {
	pairs, err := kv.Scan(ctx, client.ScanOptions{Start: []byte(w.name + "/"), End: []byte(w.name + "0")}, 1000)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	n := 0
	if len(pairs) > 0 {
		if _, err := fmt.Sscanf(string(pairs[0].Value), "%d:", &n); err != nil {
			return fmt.Errorf("the first head is %.20q: %w", pairs[0].Value, err)
		}
	}
	if n < w.acknowledged {
		return fmt.Errorf("write %d was acknowledged, the store has only those up to %d", w.acknowledged, n)
	}
	if n > w.tried {
		return fmt.Errorf("the store has write %d, the last that was sent is %d", n, w.tried)
	}
	if err := compare(pairs, w.expected(n)); err != nil {
		return fmt.Errorf("the state after write %d (acknowledged: %d, tried: %d): %w", n, w.acknowledged, w.tried, err)
	}
	w.acknowledged, w.tried = n, n
	return nil
}

// expected is everything that the store holds of this writer after write n, in the order of the keys.
func (w *killWriter) expected(n int) []client.Pair {
	if n == 0 {
		return nil
	}
	var pairs []client.Pair
	for i := range heads {
		pairs = append(pairs, client.Pair{Key: w.head(i), Value: w.value(n)})
	}
	for place := range ringSize {
		last := n - (n-place+ringSize)%ringSize // the last write to this place
		if last > 0 {
			pairs = append(pairs, client.Pair{Key: w.place(last), Value: w.value(last)})
		}
	}
	return pairs
}

func compare(got, want []client.Pair) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d pairs, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			return fmt.Errorf("pair %d is %q = %.20q..., want %q = %.20q...",
				i, got[i].Key, got[i].Value, want[i].Key, want[i].Value)
		}
	}
	return nil
}

func connect(t *testing.T, p *process) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Scheduler: []string{p.scheduler}, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// skipWithoutEngine leaves out the engine that needs a C compiler if this program was built without one.
func skipWithoutEngine(t *testing.T, name string) {
	t.Helper()
	e, err := open.Open(name, filepath.Join(t.TempDir(), "probe"), open.Options{})
	if errors.Is(err, badger.ErrNoCgo) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
