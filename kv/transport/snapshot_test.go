// Snapshots between stores, over both networks.

package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// chunkList is a Source of given chunks, and then of an error.
type chunkList struct {
	chunks []snapshot.Chunk
	end    error
}

func (l *chunkList) Next() (snapshot.Chunk, error) {
	if len(l.chunks) == 0 {
		return nil, l.end
	}
	c := l.chunks[0]
	l.chunks = l.chunks[1:]
	return c, nil
}

func chunksOf(data ...string) *chunkList {
	l := &chunkList{end: io.EOF}
	for _, d := range data {
		l.chunks = append(l.chunks, snapshot.Chunk(d))
	}
	return l
}

// onSnapshot sets what the handler does with snapshots.
func (in *inbox) onSnapshot(f func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.snapshots = f
}

// readAll is a handler's work that reads to the end.
func readAll(into *bytes.Buffer) func(context.Context, uint64, func() (snapshot.Chunk, error)) error {
	return func(_ context.Context, _ uint64, next func() (snapshot.Chunk, error)) error {
		for {
			chunk, err := next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			into.Write(chunk)
		}
	}
}

// keepIn is a handler's work as a store does it.
func keepIn(spool snapshot.Spool, id uint64) func(context.Context, uint64, func() (snapshot.Chunk, error)) error {
	return func(_ context.Context, _ uint64, next func() (snapshot.Chunk, error)) error {
		r := snapshot.NewReceiver(spool, snapshot.Wanted{ClusterID: 7, StoreID: id})
		defer r.Close()
		for complete := false; !complete; {
			chunk, err := next()
			if err == nil {
				complete, err = r.Accept(chunk)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// regionOf makes a region's state of some size, and a Source of it for store 2.
func regionOf(t *testing.T, size int) *snapshot.Source {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{1})
	e, err := mem.Open(mem.NewDisk(rand.New(noise), mem.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	value := make([]byte, 4000)
	for written := 0; written < size; written += len(value) {
		b, key := new(engine.Batch), make([]byte, 16)
		noise.Read(key)
		noise.Read(value)
		b.Put(engine.Default, key, value)
		if err := e.Write(b, engine.Buffered); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snap.Close() })
	from, to := region.Peer{ID: 11, StoreID: 1}, region.Peer{ID: 12, StoreID: 2}
	return snapshot.NewSource(snap, snapshot.Head{
		ClusterID: 7, RegionID: 1, From: from, To: to, Term: 3,
		Region:    region.Region{ID: 1, Epoch: region.Epoch{ConfVer: 2, Version: 1}, Peers: []region.Peer{from, to}},
		Position:  raftlog.Position{Index: 100, Term: 3},
		ConfState: raft.ConfState{Voters: []uint64{11, 12}},
	}, 64<<10)
}

func TestSnapshotArrivesAsItWas(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		one, two := w.start(1), w.start(2)
		spool := snapshot.NewMemory(rand.New(rand.NewPCG(1, 2)))
		two.onSnapshot(keepIn(spool, 2))
		sent := new(bytes.Buffer)
		source := &tee{Source: regionOf(t, 8<<20), copy: sent}
		if err := one.SendSnapshot(t.Context(), 2, source); err != nil {
			t.Fatal(err)
		}
		names, err := spool.List()
		if err != nil || len(names) != 1 {
			t.Fatalf("spools %v, %v", names, err)
		}
		f, err := spool.Open(names[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, sent.Bytes()) {
			t.Errorf("%d bytes arrived of %d, %v", len(got), sent.Len(), err)
		}
		out, in := one.Stats().SnapshotsSent, two.Stats().SnapshotsReceived
		if out.Done != 1 || out != in || out.Bytes != uint64(sent.Len()) || sent.Len() < 8<<20 {
			t.Errorf("sent %+v, received %+v", out, in)
		}
	})
}

// tee keeps what it hands on.
type tee struct {
	Source
	copy *bytes.Buffer
}

func (s *tee) Next() (snapshot.Chunk, error) {
	c, err := s.Source.Next()
	s.copy.Write(c)
	return c, err
}

func TestSnapshotBrokenOffLeavesNothing(t *testing.T) {
	damaged := func(t *testing.T, good Source, end error) Source {
		l := &chunkList{end: end}
		for range 10 {
			c, err := good.Next()
			if err != nil {
				t.Fatal(err)
			}
			l.chunks = append(l.chunks, c)
		}
		return l
	}
	broken := errors.New("the engine is broken")
	for _, test := range []struct {
		name   string
		source func(t *testing.T) Source
		want   string
	}{
		{"by_the_source", func(t *testing.T) Source { return damaged(t, regionOf(t, 1<<20), broken) }, broken.Error()},
		{"by_an_early_end", func(t *testing.T) Source { return damaged(t, regionOf(t, 1<<20), io.EOF) }, "refused"},
		{"by_a_damaged_chunk", func(t *testing.T) Source {
			l := damaged(t, regionOf(t, 1<<20), io.EOF).(*chunkList)
			l.chunks[5][100] ^= 1
			return l
		}, "refused: receive a snapshot"},
		{"by_a_chunk_too_many", func(t *testing.T) Source { return chunksOf("garbage") }, "refused: receive a snapshot"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				one, two := w.start(1), w.start(2)
				spool := snapshot.NewMemory(rand.New(rand.NewPCG(1, 2)))
				two.onSnapshot(keepIn(spool, 2))
				err := one.SendSnapshot(t.Context(), 2, test.source(t))
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				nothingIsLeft(t, one, two, spool)
			})
		})
	}
}

func nothingIsLeft(t *testing.T, one, two *store, spool *snapshot.Memory) {
	t.Helper()
	await(t, "end of both transfers", func() bool {
		return one.Stats().SnapshotsSent.Ongoing == 0 && two.Stats().SnapshotsReceived.Ongoing == 0
	})
	if names, err := spool.List(); len(names) != 0 || err != nil || spool.Used() != 0 {
		t.Errorf("left: %v, %d bytes, %v", names, spool.Used(), err)
	}
	if s := one.Stats().SnapshotsSent; s.Failed != 1 || s.Done != 0 {
		t.Errorf("sent: %+v", s)
	}
	if s := two.Stats().SnapshotsReceived; s.Failed != 1 || s.Done != 0 {
		t.Errorf("received: %+v", s)
	}
}

// In the middle of a snapshot something happens on either side.
func TestSnapshotBrokenOffFromOutside(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(one, two *store, cancel context.CancelFunc)
		want string // of several that are possible, as far as it is certain
	}{
		{"caller_gives_up", func(_, _ *store, cancel context.CancelFunc) { cancel() }, "context canceled"},
		{"sender_cut", func(one, _ *store, _ context.CancelFunc) { one.Cut(2) }, ErrCut.Error()},
		{"receiver_cut", func(_, two *store, _ context.CancelFunc) { two.Cut(1) }, ErrCut.Error()},
		{"sender_closes", func(one, _ *store, _ context.CancelFunc) { one.close() }, ErrClosed.Error()},
		{"receiver_closes", func(_, two *store, _ context.CancelFunc) { two.close() }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				one, two := w.start(1), w.start(2)
				spool := snapshot.NewMemory(rand.New(rand.NewPCG(1, 2)))
				begun, keep := make(chan bool), keepIn(spool, 2)
				two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
					n := 0
					return keep(ctx, from, func() (snapshot.Chunk, error) {
						if n++; n == 3 {
							close(begun)
							<-ctx.Done() // the rest waits for what is to happen
						}
						return next()
					})
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error)
				go func() { result <- one.SendSnapshot(ctx, 2, regionOf(t, 8<<20)) }()
				<-begun
				test.do(one, two, cancel)
				if err := <-result; err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				nothingIsLeft(t, one, two, spool)
			})
		})
	}
}

func TestSnapshotsAtOnceAreBoundedOnBothSides(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		eager, o := w.options(1), w.options(2)
		eager.SnapshotSends, o.SnapshotReceptions = 8, 4
		one, two, three := w.startWith(eager), w.startWith(o), w.start(3)
		hold, begun := make(chan bool), make(chan bool, 10)
		two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
			begun <- true
			<-hold
			return readAll(new(bytes.Buffer))(ctx, from, next)
		})
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- one.SendSnapshot(t.Context(), 2, chunksOf("a", "b")) }()
			<-begun
		}
		var refused *RefusedError
		err := one.SendSnapshot(t.Context(), 2, chunksOf("c"))
		if !errors.As(err, &refused) || !refused.Busy || !strings.Contains(err.Error(), "send it again later") {
			t.Errorf("the third at once: %v", err)
		}
		other := make(chan error, 1)
		go func() { other <- three.SendSnapshot(t.Context(), 2, chunksOf("d")) }()
		<-begun // one store does not take the room of the others
		close(hold)
		if err := <-other; err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if s := one.Stats().SnapshotsSent; s.Busy != 1 || s.Done != 2 || s.Failed != 0 {
			t.Errorf("sent: %+v", s)
		}
		if s := two.Stats().SnapshotsReceived; s.Busy != 1 || s.Done != 3 || s.Failed != 0 {
			t.Errorf("received: %+v", s)
		}
	})
}

func TestSnapshotsToBeSentWaitForTheirTurn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.SnapshotSends = 1
		one, two := w.startWith(o), w.start(2)
		hold, begun := make(chan bool), make(chan bool, 10)
		two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
			begun <- true
			<-hold
			return readAll(new(bytes.Buffer))(ctx, from, next)
		})
		first := make(chan error, 1)
		go func() { first <- one.SendSnapshot(t.Context(), 2, chunksOf("a")) }()
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := one.SendSnapshot(ctx, 2, chunksOf("b")); !errors.Is(err, context.Canceled) {
			t.Errorf("the second, whose caller gives up: %v", err)
		}
		close(hold)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestSnapshotsToASlowStoreHoldUpThoseToNobodyElse(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.SnapshotSends = 2
		one, two, three := w.startWith(o), w.start(2), w.start(3)
		hold, begun := make(chan bool), make(chan bool, 10)
		two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
			begun <- true
			<-hold
			return readAll(new(bytes.Buffer))(ctx, from, next)
		})
		three.onSnapshot(readAll(new(bytes.Buffer)))
		slow := make(chan error, 2)
		for range 2 {
			go func() { slow <- one.SendSnapshot(t.Context(), 2, chunksOf("a")) }()
		}
		<-begun
		for range 2 { // the second one shows that slots are given back
			if err := one.SendSnapshot(within(t, patience), 3, chunksOf("b")); err != nil {
				t.Error(err)
			}
		}
		close(hold)
		for range 2 {
			if err := <-slow; err != nil {
				t.Error(err)
			}
		}
	})
}

// A receiver that does nothing, and a sender that sends nothing, are given up.
func TestSnapshotThatStallsIsBrokenOff(t *testing.T) {
	for _, slow := range []string{"sender", "receiver"} {
		t.Run(slow, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				patient, hasty := w.options(1), w.options(2)
				if slow == "receiver" {
					patient, hasty = w.options(2), w.options(1)
				}
				hasty.SnapshotStall = 20 * time.Millisecond
				stores := map[uint64]*store{hasty.StoreID: w.startWith(hasty)}
				stores[patient.StoreID] = w.startWith(patient)
				one, two := stores[1], stores[2]
				ended := make(chan struct{})
				two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
					defer close(ended)
					if slow == "receiver" {
						<-ctx.Done()
					}
					return readAll(new(bytes.Buffer))(ctx, from, next)
				})
				source := Source(chunksOf("a", "b"))
				if slow == "sender" {
					source = &prefixed{first: snapshot.Chunk("a"), rest: sourceFunc(func() (snapshot.Chunk, error) {
						<-ended
						return nil, io.EOF
					})}
				}
				err := one.SendSnapshot(t.Context(), 2, source)
				if err == nil || !strings.Contains(err.Error(), ErrSnapshotStalled.Error()) {
					t.Errorf("got %v", err)
				}
				// That both handlers have returned, or were never called, is what closing the stores waits for.
			})
		})
	}
}

type sourceFunc func() (snapshot.Chunk, error)

func (f sourceFunc) Next() (snapshot.Chunk, error) { return f() }

// prefixed is a source with a chunk before the others.
type prefixed struct {
	first snapshot.Chunk
	rest  Source
}

func (p *prefixed) Next() (snapshot.Chunk, error) {
	if c := p.first; c != nil {
		p.first = nil
		return c, nil
	}
	return p.rest.Next()
}

// All snapshots together keep to the rate.
func TestSnapshotsShareARate(t *testing.T) {
	w := newWorld(t, new(Memory))
	o := w.options(1)
	o.SnapshotBytesPerSecond = 20 << 20
	one, two := w.startWith(o), w.start(2)
	two.onSnapshot(func(ctx context.Context, from uint64, next func() (snapshot.Chunk, error)) error {
		return readAll(new(bytes.Buffer))(ctx, from, next)
	})
	chunk := strings.Repeat("x", 1<<20)
	begin := time.Now()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if err := one.SendSnapshot(t.Context(), 2, chunksOf(chunk, chunk, chunk)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// Six chunks, of which one may come at once.
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("6 MiB at 20 MiB/s, with a burst of 1 MiB, took only %v", took)
	}
}
