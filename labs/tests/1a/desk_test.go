// Package stage1a_test grades exercise 1a: the engine on badger, seen only through the contract of kv/engine.
//
// desk_test.go is the workbench of the tests: it calls the engine, remembers each call, and tells the calls when a rule
// of the handout turns out to be broken.
package stage1a_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

// The rules of the handout 1a.
var (
	newest   = explain.Rule{ID: "INV-1a.1", Says: "a read returns the newest value that was written before its snapshot"}
	notEmpty = explain.Rule{ID: "INV-1a.2", Says: "an empty value is a value; only a key without a value is ErrNotFound"}
	families = explain.Rule{ID: "INV-1a.3",
		Says: "column families share nothing: each is a key space of its own, over all keys"}
	atomic = explain.Rule{ID: "INV-1a.4",
		Says: "a batch is seen whole or not at all, by every snapshot and after every crash"}
	inOrder = explain.Rule{ID: "INV-1a.5",
		Says: "the operations of a batch take effect in their order, and a range is [start, end)"}
	frozen  = explain.Rule{ID: "INV-1a.6", Says: "a snapshot never changes, whatever is written after it"}
	exactly = explain.Rule{ID: "INV-1a.7",
		Says: "an iterator yields each pair of its family in [Lower, Upper) once, in the order of bytes, and nothing else"}
	landing = explain.Rule{ID: "INV-1a.8", Says: "a seek or a turn lands on the pair that the contract of Iterator names"}
	owner   = explain.Rule{ID: "INV-1a.9",
		Says: "bytes have one owner: what Get returns is the caller's, and what the caller passed stays the caller's"}
	refused = explain.Rule{ID: "INV-1a.10", Says: "what is refused has a named error and changes nothing"}
	durable = explain.Rule{ID: "INV-1a.11", Says: "what was acknowledged is there after the engine is opened again"}
	release = explain.Rule{ID: "INV-1a.12", Says: "an open snapshot keeps the engine open, a closed one does not"}
	told    = explain.Rule{ID: "INV-1a.13",
		Says: "damage on disk is ErrCorrupt to who reads the pair: no value, no missing key, no end; other pairs are as " +
			"before"}
	shared = explain.Rule{ID: "INV-1a.14",
		Says: "goroutines may share a snapshot, also with the one that closes it, and reading leaves nothing in memory"}
)

// patience bounds every wait for another goroutine. It is far longer than any correct engine needs.
const patience = 8 * time.Second

// desk is an engine under test, with a record of what was done to it.
type desk struct {
	t     *testing.T
	rule  explain.Rule // what a surprise breaks
	dir   string
	e     engine.Engine
	done  []string
	views int
	notes []string
}

// open makes a fresh engine in a directory of its own, and closes it when the test is over.
func open(t *testing.T, rule explain.Rule) *desk {
	t.Helper()
	return openIn(t, rule, filepath.Join(t.TempDir(), "db"))
}

func openIn(t *testing.T, rule explain.Rule, dir string) *desk {
	t.Helper()
	needEngine(t)
	d := &desk{t: t, rule: rule, dir: dir}
	d.reopen()
	t.Cleanup(func() {
		if d.e != nil && !t.Failed() { // after a failure a snapshot may be open, and Close would wait for it
			d.tidy("Close()", d.e.Close)
		}
	})
	return d
}

func (d *desk) reopen() {
	d.t.Helper()
	e, err := openEngine(d.dir)
	if err != nil {
		d.broken("an engine", explain.Error(err), "the engine could not be opened; was it closed, was its data damaged?")
	}
	d.e = e
}

// close closes the engine and insists that it ends.
func (d *desk) close() {
	d.t.Helper()
	e := d.e
	d.e = nil
	d.say("Close()")
	end := make(chan error, 1)
	go func() { end <- e.Close() }()
	select {
	case err := <-end:
		if err != nil {
			d.broken("no error", explain.Error(err))
		}
	case <-time.After(patience):
		d.rule = release
		d.broken("Close returns, since every snapshot was closed", fmt.Sprintf("Close still waits after %v", patience))
	}
}

// tidy closes what the test left open. It ends neither the test nor a panic that is under way, which is the better
// news.
func (d *desk) tidy(step string, closing func() error) {
	d.t.Helper()
	d.say("%s", step)
	end := make(chan error, 1)
	go func() { end <- closing() }()
	select {
	case err := <-end:
		if err != nil {
			d.t.Error(d.rule.Message(record(d.done), "no error", explain.Error(err)))
		}
	case <-time.After(patience):
		d.t.Error(release.Message(record(d.done), "it returns", fmt.Sprintf("it still waits after %v", patience)))
	}
}

// say adds a step to the record.
func (d *desk) say(format string, args ...any) { d.done = append(d.done, fmt.Sprintf(format, args...)) }

// broken ends the test: the last step of the record broke the rule.
func (d *desk) broken(want, got string, notes ...string) {
	d.t.Helper()
	d.rule.Broken(d.t, record(d.done), want, got, append(notes, d.notes...)...)
}

// record shows the last steps: the earlier ones rarely matter, and a long story is not read.
func record(steps []string) string {
	const last = 14
	if n := len(steps); n > last {
		steps = append([]string{fmt.Sprintf("(%d steps before these)", n-last)}, steps[n-last:]...)
	}
	return strings.Join(steps, "\n")
}

// put, del and delRange make the operations of a batch.
func put(cf engine.CF, key, value string) engine.Op {
	return engine.Op{Kind: engine.OpPut, CF: cf, Key: []byte(key), Value: []byte(value)}
}

func del(cf engine.CF, key string) engine.Op {
	return engine.Op{Kind: engine.OpDelete, CF: cf, Key: []byte(key)}
}

func delRange(cf engine.CF, start, end string) engine.Op {
	return engine.Op{Kind: engine.OpDeleteRange, CF: cf, Key: []byte(start), Value: []byte(end)}
}

// batchOf builds a batch from operations.
func batchOf(ops ...engine.Op) *engine.Batch {
	var b engine.Batch
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
	return &b
}

// show words operations.
func show(ops []engine.Op) string {
	var s []string
	for _, op := range ops {
		if len(s) == 4 && len(ops) > 5 {
			s = append(s, fmt.Sprintf("… %d more", len(ops)-4))
			break
		}
		switch op.Kind {
		case engine.OpPut:
			s = append(s, fmt.Sprintf("put %v %s=%s", op.CF, explain.Bytes(op.Key), explain.Bytes(op.Value)))
		case engine.OpDelete:
			s = append(s, fmt.Sprintf("delete %v %s", op.CF, explain.Bytes(op.Key)))
		case engine.OpDeleteRange:
			s = append(s, fmt.Sprintf("delete %v [%s, %s)", op.CF, explain.Bytes(op.Key), explain.Bytes(op.Value)))
		}
	}
	return strings.Join(s, ", ")
}

// write writes one batch, which must succeed.
func (d *desk) write(ops ...engine.Op) {
	d.t.Helper()
	if err := d.try(engine.Buffered, ops...); err != nil {
		d.broken("no error: the batch is legal", explain.Error(err))
	}
}

// try writes one batch and returns what Write said.
func (d *desk) try(how engine.Durability, ops ...engine.Op) error {
	mode := ""
	if how == engine.Synced {
		mode = ", Synced"
	}
	d.say("Write{%s}%s", show(ops), mode)
	return d.e.Write(batchOf(ops...), how)
}

// view is a snapshot under test.
type view struct {
	d      *desk
	name   string
	s      engine.Snapshot
	walks  int
	closed bool
}

// snapshot takes a snapshot, which must succeed. It is closed with the test if the test does not do it.
func (d *desk) snapshot() *view {
	d.t.Helper()
	d.views++
	v := &view{d: d, name: fmt.Sprintf("s%d", d.views)}
	d.say("%s := Snapshot()", v.name)
	s, err := d.e.Snapshot()
	if err != nil {
		d.broken("a snapshot", explain.Error(err))
	}
	v.s = s
	d.t.Cleanup(func() {
		if !v.closed && !d.t.Failed() {
			d.tidy(v.name+".Close()", v.s.Close)
		}
	})
	return v
}

func (v *view) close() {
	v.d.t.Helper()
	v.closed = true
	v.d.say("%s.Close()", v.name)
	if err := v.s.Close(); err != nil {
		v.d.broken("no error", explain.Error(err))
	}
}

func (v *view) get(cf engine.CF, key string) ([]byte, error) {
	v.d.say("%s.Get(%v, %s)", v.name, cf, explain.Bytes([]byte(key)))
	return v.s.Get(cf, []byte(key))
}

// has insists that key has this value.
func (v *view) has(cf engine.CF, key, want string) {
	v.d.t.Helper()
	got, err := v.get(cf, key)
	if err != nil || string(got) != want {
		v.d.broken("the value "+explain.Bytes([]byte(want)), explain.Value(got, err))
	}
}

// lacks insists that key has no value.
func (v *view) lacks(cf engine.CF, key string) {
	v.d.t.Helper()
	got, err := v.get(cf, key)
	if err == nil || !errors.Is(err, engine.ErrNotFound) {
		v.d.broken("an error that is engine.ErrNotFound", explain.Value(got, err))
	}
}

// walk is an iterator under test.
type walk struct {
	v    *view
	name string
	it   engine.Iterator
}

// iterator opens an iterator, which must succeed. The caller closes it.
func (v *view) iterator(cf engine.CF, lower, upper string) *walk {
	v.d.t.Helper()
	v.walks++
	w := &walk{v: v, name: fmt.Sprintf("it%d", v.walks)}
	v.d.say("%s := %s.Iterator(%v, [%s, %s))", w.name, v.name, cf, bound(lower), bound(upper))
	it, err := v.s.Iterator(cf, engine.IterOptions{Lower: []byte(lower), Upper: []byte(upper)})
	if err != nil {
		v.d.broken("an iterator", explain.Error(err))
	}
	w.it = it
	return w
}

func bound(s string) string {
	if s == "" {
		return "none"
	}
	return explain.Bytes([]byte(s))
}

// The moves of an iterator, each remembered.
func (w *walk) first() bool { w.step("First()"); return w.it.First() }
func (w *walk) last() bool  { w.step("Last()"); return w.it.Last() }
func (w *walk) next() bool  { w.step("Next()"); return w.it.Next() }
func (w *walk) prev() bool  { w.step("Prev()"); return w.it.Prev() }
func (w *walk) seekGE(key string) bool {
	w.step("SeekGE(%s)", explain.Bytes([]byte(key)))
	return w.it.SeekGE([]byte(key))
}
func (w *walk) seekLT(key string) bool {
	w.step("SeekLT(%s)", explain.Bytes([]byte(key)))
	return w.it.SeekLT([]byte(key))
}
func (w *walk) step(format string, args ...any) {
	w.v.d.say("%s.%s", w.name, fmt.Sprintf(format, args...))
}

// at insists that the last move, which returned moved, stands on this pair.
func (w *walk) at(moved bool, key, value string) {
	w.v.d.t.Helper()
	want := fmt.Sprintf("true, on the pair %q = %q", key, value)
	if !moved || !w.it.Valid() {
		w.v.d.broken(want, w.where(moved))
	}
	if string(w.it.Key()) != key || string(w.it.Value()) != value {
		w.v.d.broken(want, w.where(moved))
	}
}

// off insists that the last move, which returned moved, left the iterator on no pair, and without an error.
func (w *walk) off(moved bool) {
	w.v.d.t.Helper()
	if moved || w.it.Valid() || w.it.Key() != nil || w.it.Err() != nil {
		w.v.d.broken("false, on no pair: Valid() false, Key() nil, Err() nil", w.where(moved))
	}
}

// where words what the iterator says of itself.
func (w *walk) where(moved bool) string {
	if !moved && !w.it.Valid() {
		return fmt.Sprintf("false, on no pair: Key() %s, %s", explain.Bytes(w.it.Key()), explain.Error(w.it.Err()))
	}
	return fmt.Sprintf("%v, with Valid() %v, on the pair %s = %s, %s", moved, w.it.Valid(),
		explain.Bytes(w.it.Key()), explain.Bytes(w.it.Value()), explain.Error(w.it.Err()))
}

// close closes the iterator, which must have met no trouble.
func (w *walk) close() {
	w.v.d.t.Helper()
	w.step("Close()")
	if err := w.it.Close(); err != nil {
		w.v.d.broken("no error", explain.Error(err))
	}
}

// pair is a key and its value.
type pair struct{ k, v string }

// holds insists that the pairs of cf in [lower, upper) are exactly want, forward and backward.
func (v *view) holds(cf engine.CF, lower, upper string, want ...pair) {
	v.d.t.Helper()
	w := v.iterator(cf, lower, upper)
	v.d.say("collect it forward: for ok := First(); ok; ok = Next()")
	v.same(want, collect(w, w.it.First, w.it.Next, len(want)))
	v.d.say("collect it backward: for ok := Last(); ok; ok = Prev()")
	back := collect(w, w.it.Last, w.it.Prev, len(want))
	reversed := make([]pair, len(want))
	for i, p := range want {
		reversed[len(want)-1-i] = p
	}
	v.same(reversed, back)
	w.close()
}

// collect copies what an iterator yields, and gives up on one that does not end.
func collect(w *walk, start, move func() bool, expect int) []pair {
	var got []pair
	for ok := start(); ok && len(got) < expect+20; ok = move() {
		got = append(got, pair{string(w.it.Key()), string(w.it.Value())})
	}
	if err := w.it.Err(); err != nil {
		w.v.d.broken("no error", explain.Error(err))
	}
	return got
}

// same insists that two lists of pairs are equal, and points at the first difference.
func (v *view) same(want, got []pair) {
	v.d.t.Helper()
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	if at == len(want) && at == len(got) {
		return
	}
	v.d.broken(fmt.Sprintf("%d pairs: %s", len(want), pairs(want, at)), fmt.Sprintf("%d pairs: %s", len(got),
		pairs(got, at)),
		fmt.Sprintf("the lists differ first at pair number %d", at+1))
}

// pairs shows a list around position at.
func pairs(list []pair, at int) string {
	var s []string
	from, to := max(0, at-2), min(len(list), at+6)
	if from > 0 {
		s = append(s, "…")
	}
	for _, p := range list[from:to] {
		s = append(s, explain.Bytes([]byte(p.k))+"="+explain.Bytes([]byte(p.v)))
	}
	if to < len(list) {
		s = append(s, "…")
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, " ")
}

// copyDir copies the files of an engine as a crash of the process would leave them, and returns where.
func (d *desk) copyDir() string {
	d.t.Helper()
	to := filepath.Join(d.t.TempDir(), "copy")
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(d.dir, path)
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if strings.EqualFold(e.Name(), "LOCK") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		d.t.Fatalf("copying the engine's files: %v", err)
	}
	return to
}

// equal is bytes.Equal, named for reading.
func equal(a, b []byte) bool { return bytes.Equal(a, b) }
