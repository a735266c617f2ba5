// What a batch in parts leaves: in the end, in the midst, and after a crash.

package inparts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
)

// hooked is an engine that tells of its writes, or lets them fail.
type hooked struct {
	engine.Engine
	onWrite func(b *engine.Batch) error // before each
}

func (h *hooked) Write(b *engine.Batch, d engine.Durability) error {
	if h.onWrite != nil {
		if err := h.onWrite(b); err != nil {
			return err
		}
	}
	return h.Engine.Write(b, d)
}

// openHooked makes an engine with parts of smallLimit bytes, which tells of them.
func openHooked(t *testing.T, disk *mem.Disk) (*Engine, *hooked) {
	t.Helper()
	inner, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := &hooked{Engine: inner}
	e := New(h)
	e.limit = smallLimit
	return e, h
}

func newDisk(seed uint64) *mem.Disk {
	return mem.NewDisk(rand.New(rand.NewPCG(seed, 0)), mem.Options{})
}

// state is all pairs of a family.
func state(t *testing.T, e engine.Engine, cf engine.CF) []string {
	t.Helper()
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return stateOf(t, s, cf)
}

func stateOf(t *testing.T, s engine.Snapshot, cf engine.CF) (pairs []string) {
	t.Helper()
	it, err := s.Iterator(cf, engine.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		pairs = append(pairs, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return pairs
}

func wantState(t *testing.T, e engine.Engine, cf engine.CF, want ...string) {
	t.Helper()
	if got := state(t, e, cf); !slices.Equal(got, want) {
		t.Fatalf("%v holds %.300q, want %.300q", cf, got, want)
	}
}

// digits writes the pairs 0 to 9.
func digits(t *testing.T, e engine.Engine) []string {
	t.Helper()
	b := &engine.Batch{}
	for i := range 10 {
		b.Put(engine.Default, fmt.Append(nil, i), []byte("old"))
	}
	if err := e.Write(b, engine.Synced); err != nil {
		t.Fatal(err)
	}
	return state(t, e, engine.Default)
}

// clearing deletes 1 to 8, but 4 comes back, and in another family the batch leaves a note.
func clearing() *engine.Batch {
	b := &engine.Batch{}
	b.Put(engine.Default, []byte("3"), []byte("gone again"))
	b.Put(engine.Default, []byte("9"), []byte("new"))
	b.DeleteRange(engine.Default, []byte("1"), []byte("5"))
	b.Put(engine.Default, []byte("4"), []byte("new"))
	b.DeleteRange(engine.Default, []byte("5"), []byte("9"))
	b.Put(engine.Meta, []byte("note"), []byte("1"))
	return b
}

var cleared = []string{"0=old", "4=new", "9=new"}

func TestALongDeleteEndsAsAShortOne(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	digits(t, e)
	parts := 0
	h.onWrite = func(b *engine.Batch) error {
		parts++
		if deletesRange(b) {
			t.Errorf("part %d deletes a range", parts)
		}
		return nil
	}
	if err := e.Write(clearing(), engine.Synced); err != nil {
		t.Fatal(err)
	}
	if parts < 4 {
		t.Errorf("it was written in %d parts, want at least 4, or the test shows nothing", parts)
	}
	wantState(t, e, engine.Default, cleared...)
	wantState(t, e, engine.Meta, "note=1")
}

func TestABatchThatFitsIsOneWrite(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	digits(t, e)
	// Eight deletes of one byte each, and the rest: 9, 4 and the note.
	e.limit = 8*(1+engine.OpOverhead) + (1 + 3 + engine.OpOverhead) + (1 + 3 + engine.OpOverhead) + (4 + 1 + engine.OpOverhead)
	for _, want := range []int{1, 2} {
		parts := 0
		h.onWrite = func(*engine.Batch) error { parts++; return nil }
		if err := e.Write(clearing(), engine.Synced); err != nil {
			t.Fatal(err)
		}
		if parts != want {
			t.Errorf("with parts of %d bytes: %d writes, want %d", e.limit, parts, want)
		}
		h.onWrite = nil
		digits(t, e)
		e.limit--
	}
}

func TestSnapshotsShowABatchWholeOrNotAtAll(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	before := digits(t, e)
	var taken []engine.Snapshot
	h.onWrite = func(*engine.Batch) error {
		s, err := e.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, s)
		return nil
	}
	if err := e.Write(clearing(), engine.Synced); err != nil {
		t.Fatal(err)
	}
	wantState(t, e, engine.Default, cleared...)
	for i, s := range taken { // they outlive the write
		if got := stateOf(t, s, engine.Default); !slices.Equal(got, before) {
			t.Errorf("before part %d of %d: %q, want %q", i+1, len(taken), got, before)
		}
		if _, err := s.Get(engine.Meta, []byte("note")); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("before part %d of %d the note is there, %v", i+1, len(taken), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, getErr := s.Get(engine.Default, []byte("0"))
		_, iterErr := s.Iterator(engine.Default, engine.IterOptions{})
		for _, err := range []error{getErr, iterErr, s.Close()} {
			if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("a closed snapshot answers %v", err)
			}
		}
	}
	if err := e.Close(); err != nil { // nothing holds it up
		t.Error(err)
	}
}

// Nobody else's write comes between the parts: it would be neither before nor after the batch.
func TestWritesDoNotComeBetweenParts(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	digits(t, e)
	var mu sync.Mutex
	var order []bool // of the inner writes: is it one of the batch's?
	h.onWrite = func(b *engine.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for op := range b.Ops() {
			order = append(order, op.CF != engine.Lock)
			break
		}
		return nil
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				b := &engine.Batch{}
				b.Put(engine.Lock, []byte("k"), []byte("v"))
				if err := e.Write(b, engine.Buffered); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if err := e.Write(clearing(), engine.Synced); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	first, last := slices.Index(order, true), len(order)-1
	for !order[last] {
		last--
	}
	if slices.Contains(order[first:last], false) || last == first {
		t.Errorf("among the parts came other writes: %v", order)
	}
}

// After a crash before or in any part, some of the keys may be gone, and nothing else has happened; and the same batch,
// written again, does what it should have.
func TestABatchThatACrashCutOffCanBeWrittenAgain(t *testing.T) {
	halves := 0
	for parts := 0; ; parts++ { // that are written before the crash
		disk := newDisk(uint64(parts))
		e, h := openHooked(t, disk)
		before := digits(t, e)
		left := parts
		h.onWrite = func(*engine.Batch) error {
			if left--; left < 0 {
				disk.Crash()
			}
			return nil
		}
		if err := e.Write(clearing(), engine.Synced); err == nil {
			break
		}
		e, _ = openHooked(t, disk)
		found := state(t, e, engine.Default)
		for _, pair := range found {
			if !slices.Contains(before, pair) {
				t.Errorf("a crash after %d parts left %q, which the batch wrote", parts, pair)
			}
		}
		if !slices.Contains(found, "0=old") || !slices.Contains(found, "9=old") {
			t.Errorf("a crash after %d parts left %q: what was not to be deleted is gone", parts, found)
		}
		wantState(t, e, engine.Meta)
		if len(found) < len(before) {
			halves++
		}
		if err := e.Write(clearing(), engine.Synced); err != nil {
			t.Fatal(err)
		}
		wantState(t, e, engine.Default, cleared...)
		wantState(t, e, engine.Meta, "note=1")
	}
	if halves == 0 {
		t.Error("no crash left a batch half done: the test shows nothing")
	}
}

func TestAfterAPartThatFailedNothingIsWritten(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	digits(t, e)
	broken := errors.New("broken on purpose")
	parts := 0
	h.onWrite = func(*engine.Batch) error {
		if parts++; parts == 2 {
			return broken
		}
		return nil
	}
	if err := e.Write(clearing(), engine.Synced); !errors.Is(err, broken) {
		t.Fatalf("got %v, want the error of the part", err)
	}
	for _, b := range []*engine.Batch{clearing(), {}} {
		if err := e.Write(b, engine.Synced); !errors.Is(err, engine.ErrFailed) || !errors.Is(err, broken) {
			t.Errorf("the write after it: got %v, want ErrFailed with its cause", err)
		}
	}
	if parts != 2 {
		t.Errorf("%d writes reached the engine below, want 2", parts)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnEngineThatIsClosedInTheMidstIsClosed(t *testing.T) {
	e, h := openHooked(t, newDisk(1))
	digits(t, e)
	var closing sync.WaitGroup
	h.onWrite = func(*engine.Batch) error {
		h.onWrite = nil
		closing.Go(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		for {
			s, err := e.Snapshot()
			if errors.Is(err, engine.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
	}
	if err := e.Write(clearing(), engine.Synced); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	closing.Wait()
}
