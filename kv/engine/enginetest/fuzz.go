// The fuzz test: random programs of batches, snapshots and walks, on the engine and on a model that is too simple
// to be wrong.

package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"tinykv/kv/engine"
)

// Fuzz runs programs made of the fuzzer's bytes. pkg is the directory of the calling package as one gives it to go
// test; the test must be called FuzzEngine. Without -fuzz it runs a corpus of seeds.
func Fuzz(f *testing.F, pkg string, fresh Factory) {
	const seeds, programBytes = 40, 600
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 0))
		program := make([]byte, programBytes)
		Noise(rng, program)
		f.Add(program)
	}
	e, err := fresh(f)()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if !f.Failed() {
			_ = e.Close()
		}
	})
	f.Fuzz(func(t *testing.T, program []byte) {
		name := strings.TrimPrefix(t.Name(), "FuzzEngine/")
		replay := fmt.Sprintf("go test %s -run '^FuzzEngine$/^%s$'", pkg, name)
		run(t, e, program, replay)
	})
}

// machine runs one program.
type machine struct {
	t       *testing.T
	e       engine.Engine
	program []byte
	replay  string
	steps   []string
	now     model
	snaps   []*modelled
}

// model is what an engine should hold: pairs by family.
type model map[engine.CF]map[string]string

// modelled is a snapshot with what it should show.
type modelled struct {
	engine.Snapshot
	want model
}

func run(t *testing.T, e engine.Engine, program []byte, replay string) {
	m := &machine{t: t, e: e, program: program, replay: replay, now: model{}}
	var clear engine.Batch
	for _, cf := range engine.CFs { // the engine is shared by all programs
		m.now[cf] = map[string]string{}
		clear.DeleteRange(cf, nil, nil)
	}
	m.check(e.Write(&clear, engine.Buffered), "clear all families")
	defer func() {
		for _, s := range m.snaps {
			_ = s.Close()
		}
	}()
	for len(m.program) > 0 {
		switch m.number(8) {
		case 0, 1, 2:
			m.write()
		case 3:
			m.snapshot()
		case 4:
			m.closeSnapshot()
		case 5:
			m.get()
		default:
			m.walk()
		}
	}
	m.snapshot()
	for _, s := range m.snaps {
		for _, cf := range engine.CFs {
			m.compareAll(s, cf)
		}
	}
}

// number takes one byte of the program and turns it into a number below n.
func (m *machine) number(n int) int {
	if len(m.program) == 0 {
		return 0
	}
	b := m.program[0]
	m.program = m.program[1:]
	return int(b) % n
}

// key makes one of few keys, so that programs hit the same ones: one to three of five bytes that are likely to be
// mistaken.
func (m *machine) key() []byte {
	key := make([]byte, 1+m.number(3))
	for i := range key {
		key[i] = "\x00!am\xff"[m.number(5)]
	}
	return key
}

// bound is a key or, as often, no bound.
func (m *machine) bound() []byte {
	if m.number(2) == 0 {
		return nil
	}
	return m.key()
}

func (m *machine) cf() engine.CF { return engine.CFs[m.number(len(engine.CFs))] }

func (m *machine) write() {
	var ops []engine.Op
	for range 1 + m.number(8) {
		op := engine.Op{CF: m.cf(), Key: m.key()}
		pairs := m.now[op.CF]
		switch m.number(8) {
		case 0:
			op.Kind, op.Key, op.Value = engine.OpDeleteRange, m.bound(), m.bound()
			for key := range pairs {
				if key >= string(op.Key) && (len(op.Value) == 0 || key < string(op.Value)) {
					delete(pairs, key)
				}
			}
		case 1, 2:
			op.Kind = engine.OpDelete
			delete(pairs, string(op.Key))
		default:
			op.Kind, op.Value = engine.OpPut, []byte(strings.Repeat("v", m.number(3))+fmt.Sprint(len(m.steps)))
			if m.number(6) == 0 {
				op.Value = nil
			}
			pairs[string(op.Key)] = string(op.Value)
		}
		ops = append(ops, op)
	}
	d := engine.Buffered
	if m.number(16) == 0 {
		d = engine.Synced
	}
	m.check(m.e.Write(batchOf(ops...), d), "Write(%s, %s)", showOps(ops), showDurability(d))
}

func (m *machine) snapshot() {
	if len(m.snaps) == 4 {
		m.closeSnapshot()
	}
	s, err := m.e.Snapshot()
	m.check(err, "Snapshot()")
	want := model{}
	for cf, pairs := range m.now {
		want[cf] = map[string]string{}
		for k, v := range pairs {
			want[cf][k] = v
		}
	}
	m.snaps = append(m.snaps, &modelled{s, want})
}

func (m *machine) closeSnapshot() {
	if len(m.snaps) == 0 {
		return
	}
	i := m.number(len(m.snaps))
	m.check(m.snaps[i].Close(), "close snapshot %d of %d", i, len(m.snaps))
	m.snaps = slices.Delete(m.snaps, i, i+1)
}

func (m *machine) pick() *modelled {
	if len(m.snaps) == 0 {
		m.snapshot()
	}
	return m.snaps[m.number(len(m.snaps))]
}

func (m *machine) get() {
	s, cf, key := m.pick(), m.cf(), m.key()
	got, err := s.Get(cf, key)
	want, ok := s.want[cf][string(key)]
	m.did("Get(%v, %q)", cf, key)
	switch {
	case ok && (err != nil || string(got) != want || got == nil):
		m.fail(fmt.Sprintf("%q", want), fmt.Sprintf("%q and %v", got, err))
	case !ok && err == nil:
		m.fail("not found", fmt.Sprintf("%q", got))
	}
}

// walk moves an iterator about and keeps beside it the index in the sorted keys where it should be: -1 is off the
// low end, len(keys) off the high end.
func (m *machine) walk() {
	s, cf := m.pick(), m.cf()
	opts := engine.IterOptions{Lower: m.bound(), Upper: m.bound()}
	keys := s.want.keys(cf, opts)
	it, err := s.Iterator(cf, opts)
	m.check(err, "Iterator(%v, %s)", cf, showBounds(opts))
	ge := func(key []byte) int { return sort.SearchStrings(keys, string(key)) }
	at, positioned := 0, false
	for range 1 + m.number(12) {
		move := m.number(8)
		var moved bool
		switch {
		case move == 0 || !positioned && move >= 4 && move < 6:
			at = 0
			moved = m.first(it, move)
		case move == 1 || !positioned && move >= 6:
			at = len(keys) - 1
			moved = m.last(it, move)
		case move == 2:
			key := m.key()
			at = ge(key)
			m.did("SeekGE(%q)", key)
			moved = it.SeekGE(key)
		case move == 3:
			key := m.key()
			at = ge(key) - 1
			m.did("SeekLT(%q)", key)
			moved = it.SeekLT(key)
		case move < 6:
			at = min(at+1, len(keys))
			m.did("Next()")
			moved = it.Next()
		default:
			at = max(at-1, -1)
			m.did("Prev()")
			moved = it.Prev()
		}
		positioned = true
		m.compare(it, moved, at, keys, s.want[cf])
	}
	m.check(it.Close(), "close the iterator")
}

func (m *machine) first(it engine.Iterator, move int) bool {
	if move == 0 {
		m.did("First()")
		return it.First()
	}
	m.did("Next() while unpositioned")
	return it.Next()
}

func (m *machine) last(it engine.Iterator, move int) bool {
	if move == 1 {
		m.did("Last()")
		return it.Last()
	}
	m.did("Prev() while unpositioned")
	return it.Prev()
}

func (m *machine) compare(it engine.Iterator, moved bool, at int, keys []string, pairs map[string]string) {
	want, got := "on nothing", "on nothing"
	if at >= 0 && at < len(keys) {
		want = fmt.Sprintf("on %q=%q", keys[at], pairs[keys[at]])
	}
	if moved {
		got = fmt.Sprintf("on %q=%q", it.Key(), it.Value())
	}
	if got != want || it.Valid() != moved || it.Err() != nil {
		m.fail(want, fmt.Sprintf("%s (Valid %v, Err %v)", got, it.Valid(), it.Err()))
	}
}

func (m *machine) compareAll(s *modelled, cf engine.CF) {
	keys := s.want.keys(cf, engine.IterOptions{})
	it, err := s.Iterator(cf, engine.IterOptions{})
	m.check(err, "Iterator(%v) over everything", cf)
	at := 0
	for ok := it.First(); ok; ok = it.Next() {
		m.did("at %d of %v", at, cf)
		m.compare(it, true, at, keys, s.want[cf])
		at++
	}
	if at != len(keys) {
		m.fail(fmt.Sprintf("%d pairs in %v", len(keys), cf), at)
	}
	m.check(it.Close(), "close the iterator")
}

// keys lists the keys of cf within bounds, in order.
func (w model) keys(cf engine.CF, o engine.IterOptions) []string {
	keys := []string{}
	for key := range w[cf] {
		if key >= string(o.Lower) && (len(o.Upper) == 0 || key < string(o.Upper)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *machine) did(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

func (m *machine) check(err error, format string, args ...any) {
	m.t.Helper()
	m.did(format, args...)
	if err != nil {
		m.fail("no error", err)
	}
}

func (m *machine) fail(want, got any) {
	m.t.Helper()
	steps := m.steps[max(0, len(m.steps)-25):]
	m.t.Fatalf("the last of these steps:\n  %s\nwant %v\ngot  %v\nreplay: %s", strings.Join(steps, "\n  "), want,
		got, m.replay)
}
