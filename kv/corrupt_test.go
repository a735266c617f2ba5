// A store of a cluster whose disk was changed by somebody else than the store: it refuses to start, says which file and where,
// and what to do; and its peers replace it.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/pebble"
)

// halve cuts a file in the middle, flip changes a bit there.
func halve(b []byte) []byte { return b[:len(b)/2] }
func flip(b []byte) []byte  { b[len(b)/2] ^= 1; return b }

// flipUsed changes a bit in the middle of what is used of a log, whose rest is preallocated.
func flipUsed(b []byte) []byte {
	b[len(strings.TrimRight(string(b), "\x00"))/2] ^= 1
	return b
}

func halveUsed(b []byte) []byte { return b[:len(strings.TrimRight(string(b), "\x00"))/2] }

// spoilEntry changes, or removes, an entry in the middle of a raft log, through the engine: the files are as they should be.
func spoilEntry(t *testing.T, dir string, spoil func(b *engine.Batch, key, value []byte)) {
	t.Helper()
	e, err := pebble.Open(filepath.Join(dir, "raft"), pebble.Options{ShortLived: true})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	it, err := snap.Iterator(engine.Default, engine.IterOptions{Lower: []byte("e"), Upper: []byte("f")})
	if err != nil {
		t.Fatal(err)
	}
	for ok, n := it.First(), 0; ok && n < 20; ok, n = it.Next(), n+1 {
	}
	var b engine.Batch
	spoil(&b, append([]byte(nil), it.Key()...), append([]byte(nil), it.Value()...))
	for _, err := range []error{it.Err(), it.Close(), snap.Close(), e.Write(&b, engine.Synced), e.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreWithADamagedLogRefusesToStart(t *testing.T) {
	t.Parallel() // it mostly waits
	const closed, crashed = 2, 3
	c := newCrew(t)
	c.begin()
	c.fill(t)
	c.stores[closed].stop()
	c.start(closed) // its log becomes a table
	c.awaitReady(closed)
	c.fill(t)
	c.stores[closed].stop()
	c.stores[crashed].kill()

	entry := func(spoil func(b *engine.Batch, key, value []byte)) func(dir string) {
		return func(dir string) { spoilEntry(t, dir, spoil) }
	}
	file := func(pattern string, change func([]byte) []byte) func(dir string) {
		return func(dir string) { replace(t, dir, pattern, change) }
	}
	for _, x := range []struct {
		name   string
		store  uint64
		says   string // beside what to do
		damage func(dir string)
	}{
		{"log flipped", closed, "raft/*.log", file("raft/*.log", flipUsed)},
		{"log cut", closed, "raft/*.log", file("raft/*.log", halveUsed)},
		{"table flipped", closed, "raft/*.sst", file("raft/*.sst", flip)},
		{"table cut", closed, "raft/*.sst", file("raft/*.sst", halve)},
		{"table lost", closed, "raft/*.sst", file("raft/*.sst", nil)},
		{"manifest flipped", closed, "raft/MANIFEST-*", file("raft/MANIFEST-*", flip)},
		{"data flipped", closed, "engine/*.sst", file("engine/*.sst", flip)},
		{"log flipped after a crash", crashed, "raft/*.log", file("raft/*.log", flipUsed)},
		{"log cut after a crash", crashed, "raft/*.log", file("raft/*.log", halveUsed)},
		{"log lost after a crash", crashed, "raft/*.log", file("raft/*.log", nil)},
		{"entry flipped", closed, " of region 4 is damaged", entry(func(b *engine.Batch, key, value []byte) {
			b.Put(engine.Default, key, flip(value))
		})},
		{"entry lost", closed, " of region 4 is missing", entry(func(b *engine.Batch, key, _ []byte) {
			b.Delete(engine.Default, key)
		})},
		{"state flipped", closed, "the state of region 4", entry(func(b *engine.Batch, key, value []byte) {
			b.Put(engine.Default, append([]byte("s"), key[1:9]...), value)
		})},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(c.data(x.store))); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(x.says, "*") {
				x.says = match(t, filepath.Join(dir, x.says))
			}
			x.damage(dir)
			before := fingerprint(t, dir)
			p := run(t, c.args(x.store, "--data-dir", dir)...)
			if status := p.awaitExit(); status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			line, ended := strings.CutSuffix(p.stderr(), "\n")
			for _, want := range []string{dir, x.says, replaceAdvice} {
				if !strings.Contains(line, want) {
					t.Errorf("it does not say %q:\n%s", want, line)
				}
			}
			if !ended || strings.Contains(line, "\n") || strings.Count(line, replaceAdvice) != 1 || strings.Contains(line, "backup") {
				t.Errorf("want one line that gives one advice:\n%s", line)
			}
			if strings.Contains(x.says, "/raft/") && fingerprint(t, dir) != before {
				t.Error("it changed the directory")
			}
		})
	}
	t.Run("and those that are well start", func(t *testing.T) {
		c.start(closed, crashed)
		c.awaitReady(closed, crashed)
		c.awaitCaughtUp(closed)
		c.awaitCaughtUp(crashed)
	})
}

// match is the first file that matches a pattern.
func match(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %s (%v)", pattern, err)
	}
	return files[0]
}

// fill writes for a little more than a second: what engines note of their logs is at most that old.
func (c *crew) fill(t *testing.T) {
	t.Helper()
	kv := c.connect().Raw()
	begun := time.Now()
	for i := 0; i < 100 || time.Since(begun) < 1200*time.Millisecond; i++ {
		if err := kv.Put(within(t, verifyLimit), fmt.Appendf(nil, "k%d", i%100), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
}
