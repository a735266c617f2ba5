// A storage that watches the service: it counts what is opened and closed, keeps every batch, fails on request, and
// gives nothing away for longer than the contract says.

package stage1b_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/proto/kvrpcpb"
)

var errDisk = errors.New("the disk of the test is broken")

// spy implements server.Storage on an engine in memory.
type spy struct {
	disk *mem.Disk
	e    engine.Engine

	mu       sync.Mutex
	count    counts
	writes   [][]engine.Op      // every batch that arrived, in order
	onSnap   func(n int)        // called after the n-th snapshot was asked for and before it is taken
	onRead   func(n int)        // called before the n-th read of the storage: a Get, or a move of an iterator
	onWrite  func(n int)        // called before the n-th batch is written
	snapErr  error              // what Snapshot answers
	getErr   error              // what Get answers
	itErr    error              // what Iterator answers
	writeErr error              // what Write answers, without writing
	breakAt  int                // an iterator fails at its n-th move; 0 is never
	asked    []*kvrpcpb.Context // the contexts of the requests, as they came to Snapshot and Write

	// onContext is called with the context of each Snapshot and Write, as the first thing, and may hold it or fail it.
	onContext func(ctx context.Context) error
}

// counts is what was opened and done since the last reset.
type counts struct {
	snapshots, closedSnapshots int
	iterators, closedIterators int
	gets, moves, writes        int
	faults                     int // reads that failed on request
}

func newSpy() *spy {
	s := &spy{disk: mem.NewDisk(rand.New(rand.NewPCG(1, 0)), mem.Options{})}
	s.start()
	return s
}

// start opens the engine on what is on the disk.
func (s *spy) start() {
	e, err := mem.Open(s.disk)
	if err != nil {
		panic(err) // the disk in memory is whole
	}
	s.e = e
}

func (s *spy) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.writes = counts{}, nil
}

// counted returns the counts and the batches so far.
func (s *spy) counted() (counts, [][]engine.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.writes
}

func (s *spy) Snapshot(ctx context.Context, rc *kvrpcpb.Context) (engine.Snapshot, error) {
	s.mu.Lock()
	s.asked = append(s.asked, rc)
	err, hook := s.snapErr, s.onSnap
	if err == nil {
		s.count.snapshots++
	}
	n, wait := s.count.snapshots, s.onContext
	s.mu.Unlock()
	if wait != nil && err == nil {
		if err = wait(ctx); err != nil {
			s.mu.Lock()
			s.count.snapshots--
			s.mu.Unlock()
		}
	}
	if err != nil {
		return nil, err
	}
	if hook != nil {
		hook(n)
	}
	snap, err := s.e.Snapshot()
	if err != nil {
		return nil, err
	}
	return &spySnapshot{s: s, snap: snap}, nil
}

func (s *spy) Write(ctx context.Context, rc *kvrpcpb.Context, batch *engine.Batch) error {
	s.mu.Lock()
	s.asked = append(s.asked, rc)
	s.count.writes++
	var ops []engine.Op
	for op := range batch.Ops() {
		ops = append(ops, engine.Op{Kind: op.Kind, CF: op.CF, Key: append([]byte{}, op.Key...), Value: append([]byte{},
			op.Value...)})
	}
	s.writes = append(s.writes, ops)
	n, err, hook, wait := s.count.writes, s.writeErr, s.onWrite, s.onContext
	s.mu.Unlock()
	if wait != nil {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	if hook != nil {
		hook(n)
	}
	if err != nil {
		return err
	}
	return s.e.Write(batch, engine.Synced)
}

// read counts a read and lets the test act before it.
func (s *spy) read(count *int) {
	s.mu.Lock()
	*count++
	n, hook := s.count.gets+s.count.moves, s.onRead
	s.mu.Unlock()
	if hook != nil {
		hook(n)
	}
}

func (s *spy) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.faults++
}

type spySnapshot struct {
	s    *spy
	snap engine.Snapshot
}

func (v *spySnapshot) Get(cf engine.CF, key []byte) ([]byte, error) {
	v.s.read(&v.s.count.gets)
	if err := v.s.getErr; err != nil {
		v.s.failed()
		return nil, err
	}
	value, err := v.snap.Get(cf, key)
	if err != nil { // a storage may say more about it: errors.Is still knows it
		return nil, fmt.Errorf("the storage of the test looks for %q: %w", key, err)
	}
	return value, nil
}

func (v *spySnapshot) Iterator(cf engine.CF, opts engine.IterOptions) (engine.Iterator, error) {
	if err := v.s.itErr; err != nil {
		v.s.failed()
		return nil, err
	}
	it, err := v.snap.Iterator(cf, opts)
	if err != nil {
		return nil, err
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	v.s.count.iterators++
	return &spyIterator{s: v.s, it: it}, nil
}

func (v *spySnapshot) Close() error {
	err := v.snap.Close()
	if err == nil {
		v.s.mu.Lock()
		v.s.count.closedSnapshots++
		v.s.mu.Unlock()
	}
	return err
}

// spyIterator overwrites what Key and Value returned as soon as it moves or is closed, as the contract allows.
type spyIterator struct {
	s          *spy
	it         engine.Iterator
	key, value []byte
	moves      int
	closed     bool
	err        error
}

func (i *spyIterator) move(step func() bool) bool {
	i.s.read(&i.s.count.moves)
	i.moves++
	if i.s.breakAt > 0 && i.moves >= i.s.breakAt {
		i.err = errDisk
		i.s.failed()
	}
	ok := i.err == nil && step()
	i.spoil()
	if ok {
		i.key, i.value = append(i.key[:0], i.it.Key()...), append(i.value[:0], i.it.Value()...)
	}
	return ok
}

func (i *spyIterator) spoil() {
	for _, p := range [][]byte{i.key[:cap(i.key)], i.value[:cap(i.value)]} {
		for at := range p {
			p[at] = '?'
		}
	}
}

func (i *spyIterator) First() bool            { return i.move(i.it.First) }
func (i *spyIterator) Last() bool             { return i.move(i.it.Last) }
func (i *spyIterator) Next() bool             { return i.move(i.it.Next) }
func (i *spyIterator) Prev() bool             { return i.move(i.it.Prev) }
func (i *spyIterator) SeekGE(key []byte) bool { return i.move(func() bool { return i.it.SeekGE(key) }) }
func (i *spyIterator) SeekLT(key []byte) bool { return i.move(func() bool { return i.it.SeekLT(key) }) }
func (i *spyIterator) Valid() bool            { return i.err == nil && i.it.Valid() }

func (i *spyIterator) Key() []byte {
	if !i.Valid() {
		return nil
	}
	return i.key
}

func (i *spyIterator) Value() []byte {
	if !i.Valid() {
		return nil
	}
	return i.value
}

func (i *spyIterator) Err() error {
	if i.err != nil {
		return i.err
	}
	return i.it.Err()
}

func (i *spyIterator) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	i.s.mu.Lock()
	i.s.count.closedIterators++
	i.s.mu.Unlock()
	i.spoil()
	if err := i.it.Close(); i.err == nil {
		i.err = err
	}
	return i.err
}
