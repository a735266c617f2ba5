// The world of a case: an engine and what was done to it, so that a failure can tell the story.

package enginetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
)

// Open opens the engine that lives in one place; after it was closed, Open opens it again.
type Open func() (engine.Engine, error)

// Factory makes a fresh, empty place for an engine. What it needs to clean up it leaves to t.
type Factory func(t testing.TB) Open

// patience bounds every wait of a test that needs another goroutine.
const patience = 20 * time.Second

// world is used by the goroutine of its case only.
type world struct {
	t     testing.TB
	open  Open
	e     engine.Engine
	story []string
	snaps int
}

// begin opens a fresh engine, which is closed with the test.
func begin(t testing.TB, fresh Factory) *world {
	t.Helper()
	w := &world{t: t, open: fresh(t)}
	t.Cleanup(func() {
		if w.e != nil && !t.Failed() { // after a failure a snapshot may be open, and Close would wait for it
			_ = w.e.Close()
		}
	})
	w.reopen()
	return w
}

// reopen opens the engine where it was.
func (w *world) reopen() {
	w.t.Helper()
	w.did("Open()")
	e, err := w.open()
	if err != nil {
		w.fail("an engine", err)
	}
	w.e = e
}

func (w *world) close() {
	w.t.Helper()
	w.did("Close()")
	w.wantErr(w.e.Close(), nil)
	w.e = nil
}

func (w *world) did(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// fail ends the test with the story: the last step is what went wrong.
func (w *world) fail(want, got any) {
	w.t.Helper()
	const most = 12
	var b strings.Builder
	steps := w.story
	if len(steps) > most {
		fmt.Fprintf(&b, "\n  (%d steps before)", len(steps)-most)
		steps = steps[len(steps)-most:]
	}
	for _, step := range steps {
		fmt.Fprintf(&b, "\n  %s", step)
	}
	w.t.Fatalf("the engine was asked, in this order:%s\n"+
		"the last of these should have given\n  %v\nbut it gave\n  %v", b.String(), want, got)
}

// wantErr checks the answer of the last step.
func (w *world) wantErr(got, want error) {
	w.t.Helper()
	if !errors.Is(got, want) {
		w.fail(name(want), name(got))
	}
}

func name(err error) string {
	if err == nil {
		return "no error"
	}
	return fmt.Sprintf("the error %q", err)
}

// write writes a batch that must be accepted.
func (w *world) write(d engine.Durability, ops ...engine.Op) {
	w.t.Helper()
	w.wantErr(w.tryWrite(d, ops...), nil)
}

func (w *world) tryWrite(d engine.Durability, ops ...engine.Op) error {
	w.t.Helper()
	w.did("Write(%s, %s)", showOps(ops), showDurability(d))
	return w.e.Write(batchOf(ops...), d)
}

// put writes one pair of the default family.
func (w *world) put(key, value string) {
	w.t.Helper()
	w.write(engine.Buffered, put(key, value))
}

// snapshot takes one, closed with the test if the case does not.
func (w *world) snapshot() *snap {
	w.t.Helper()
	w.snaps++
	s := &snap{w: w, name: fmt.Sprintf("s%d", w.snaps)}
	w.did("%s = Snapshot()", s.name)
	var err error
	if s.Snapshot, err = w.e.Snapshot(); err != nil {
		w.fail("a snapshot", err)
	}
	w.t.Cleanup(func() { _ = s.Snapshot.Close() }) // a second Close is an error and nothing else
	return s
}

// wantGet checks a value through a snapshot of its own.
func (w *world) wantGet(cf engine.CF, key, want string) {
	w.t.Helper()
	s := w.snapshot()
	s.wantGet(cf, key, want)
	s.close()
}

// wantMissing is wantGet for a key that has no value.
func (w *world) wantMissing(cf engine.CF, key string) {
	w.t.Helper()
	s := w.snapshot()
	s.wantMissing(cf, key)
	s.close()
}

// wantPairs checks everything in cf through a snapshot of its own.
func (w *world) wantPairs(cf engine.CF, want ...string) {
	w.t.Helper()
	s := w.snapshot()
	s.wantPairs(cf, engine.IterOptions{}, want...)
	s.close()
}

// snap is a snapshot with a name in the story.
type snap struct {
	engine.Snapshot
	w    *world
	name string
}

func (s *snap) close() {
	s.w.t.Helper()
	s.w.did("%s.Close()", s.name)
	s.w.wantErr(s.Close(), nil)
}

func (s *snap) wantGet(cf engine.CF, key, want string) {
	s.w.t.Helper()
	s.w.did("%s.Get(%v, %s)", s.name, cf, show(key))
	got, err := s.Get(cf, []byte(key))
	if err != nil {
		s.w.fail(show(want), name(err))
	}
	if string(got) != want {
		s.w.fail(show(want), show(string(got)))
	}
	if got == nil {
		s.w.fail("[]byte{} (an empty value is not nil)", "nil")
	}
}

func (s *snap) wantMissing(cf engine.CF, key string) {
	s.w.t.Helper()
	s.w.did("%s.Get(%v, %s)", s.name, cf, show(key))
	got, err := s.Get(cf, []byte(key))
	if err == nil {
		s.w.fail(name(engine.ErrNotFound), "the value "+show(string(got)))
	}
	s.w.wantErr(err, engine.ErrNotFound)
}

// iterator makes one, closed with the test if the case does not.
func (s *snap) iterator(cf engine.CF, opts engine.IterOptions) engine.Iterator {
	s.w.t.Helper()
	s.w.did("it = %s.Iterator(%v, %s)", s.name, cf, showBounds(opts))
	it, err := s.Iterator(cf, opts)
	if err != nil {
		s.w.fail("an iterator", err)
	}
	s.w.t.Cleanup(func() { _ = it.Close() })
	return it
}

// wantPairs walks a range in both directions. Pairs are written "key=value".
func (s *snap) wantPairs(cf engine.CF, opts engine.IterOptions, want ...string) {
	s.w.t.Helper()
	it := s.iterator(cf, opts)
	s.w.did("walk it forward: First, then Next until false")
	s.wantWalk(it, it.First(), it.Next, want)
	s.w.did("walk it backward: Last, then Prev until false")
	backward := make([]string, 0, len(want))
	for i := range want {
		backward = append(backward, want[len(want)-1-i])
	}
	s.wantWalk(it, it.Last(), it.Prev, backward)
	s.w.did("it.Close()")
	s.w.wantErr(it.Close(), nil)
}

func (s *snap) wantWalk(it engine.Iterator, ok bool, step func() bool, want []string) {
	s.w.t.Helper()
	got := []string{}
	for ; ok && len(got) <= len(want)+3; ok = step() {
		got = append(got, string(it.Key())+"="+string(it.Value()))
	}
	if err := it.Err(); err != nil {
		s.w.fail("no error", err)
	}
	if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
		s.w.fail(showList(want), showList(got))
	}
}

// within runs f in a goroutine and waits for it.
func (w *world) within(what string, f func() error) error {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	return w.await(what, done)
}

func (w *world) await(what string, done <-chan error) error {
	w.t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		w.did("%s", what)
		w.fail("an answer", fmt.Sprintf("nothing within %v", patience))
		return nil
	}
}

func put(key, value string) engine.Op { return putIn(engine.Default, key, value) }

func putIn(cf engine.CF, key, value string) engine.Op {
	return engine.Op{Kind: engine.OpPut, CF: cf, Key: []byte(key), Value: []byte(value)}
}

func del(key string) engine.Op {
	return engine.Op{Kind: engine.OpDelete, CF: engine.Default, Key: []byte(key)}
}

func delRange(start, end string) engine.Op { return delRangeIn(engine.Default, start, end) }

func delRangeIn(cf engine.CF, start, end string) engine.Op {
	return engine.Op{Kind: engine.OpDeleteRange, CF: cf, Key: []byte(start), Value: []byte(end)}
}

func bounds(lower, upper string) engine.IterOptions {
	return engine.IterOptions{Lower: []byte(lower), Upper: []byte(upper)}
}

func batchOf(ops ...engine.Op) *engine.Batch {
	b := &engine.Batch{}
	for _, op := range ops {
		switch op.Kind {
		case engine.OpPut:
			b.Put(op.CF, op.Key, op.Value)
		case engine.OpDelete:
			b.Delete(op.CF, op.Key)
		case engine.OpDeleteRange:
			b.DeleteRange(op.CF, op.Key, op.Value)
		}
	}
	return b
}

func show(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", s[:24], len(s))
	}
	return fmt.Sprintf("%q", s)
}

func showList(list []string) string {
	if len(list) == 0 {
		return "no pairs"
	}
	shown := make([]string, 0, len(list))
	for i, s := range list {
		if i == 20 {
			shown = append(shown, fmt.Sprintf("… (%d pairs)", len(list)))
			break
		}
		shown = append(shown, show(s))
	}
	return strings.Join(shown, " ")
}

func showOps(ops []engine.Op) string {
	shown := make([]string, 0, len(ops))
	for i, op := range ops {
		if i == 6 {
			shown = append(shown, fmt.Sprintf("… %d operations", len(ops)))
			break
		}
		family := ""
		if op.CF != engine.Default {
			family = op.CF.String() + " "
		}
		key, value := show(string(op.Key)), show(string(op.Value))
		switch op.Kind {
		case engine.OpPut:
			shown = append(shown, "Put "+family+key+" = "+value)
		case engine.OpDelete:
			shown = append(shown, "Delete "+family+key)
		case engine.OpDeleteRange:
			shown = append(shown, "DeleteRange "+family+"["+key+", "+value+")")
		}
	}
	return "{" + strings.Join(shown, "; ") + "}"
}

func showBounds(o engine.IterOptions) string {
	return "[" + show(string(o.Lower)) + ", " + show(string(o.Upper)) + ")"
}

func showDurability(d engine.Durability) string {
	if d == engine.Synced {
		return "Synced"
	}
	return "Buffered"
}

// Noise fills p with bytes that do not compress.
func Noise(rng *rand.Rand, p []byte) {
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, rng.Uint64())
	}
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}

func fill(n int, c byte) string { return string(bytes.Repeat([]byte{c}, n)) }
