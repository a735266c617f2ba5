// Batches: order, ranges, all or nothing.

package stage1a_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

func TestBatchAppliesInOrder(t *testing.T) {
	d := open(t, inOrder)
	d.write(put(engine.Default, "old", "0"))
	d.write(
		put(engine.Default, "a", "1"), put(engine.Default, "a", "2"), // the later put wins
		put(engine.Default, "b", "1"), del(engine.Default, "b"), // deleted after it was put
		del(engine.Default, "c"), put(engine.Default, "c", "3"), // put after it was deleted
		del(engine.Default, "old"), put(engine.Lock, "old", "lock"), // in another family: no part of it
		put(engine.Default, "d", "1"), del(engine.Default, "d"), put(engine.Default, "d", ""), // and back again
		put(engine.Write, "a", "w"), del(engine.Lock, "a"),
	)
	s := d.snapshot()
	s.has(engine.Default, "a", "2")
	s.lacks(engine.Default, "b")
	s.has(engine.Default, "c", "3")
	s.lacks(engine.Default, "old")
	s.has(engine.Default, "d", "")
	s.holds(engine.Default, "", "", pair{"a", "2"}, pair{"c", "3"}, pair{"d", ""})
	s.holds(engine.Lock, "", "", pair{"old", "lock"})
	s.holds(engine.Write, "", "", pair{"a", "w"})
}

func TestBatchCanBeWrittenAgain(t *testing.T) {
	d := open(t, owner)
	b := batchOf(put(engine.Default, "a", "1"), put(engine.Default, "b", "2"), del(engine.Default, "c"))
	d.say(`b := batch{put default "a"="1", put default "b"="2", delete default "c"}`)
	again := func() {
		t.Helper()
		d.say("Write(b)")
		if err := d.e.Write(b, engine.Buffered); err != nil {
			d.broken("no error", err.Error())
		}
	}
	again()
	d.write(put(engine.Default, "a", "x"), del(engine.Default, "b"), put(engine.Default, "c", "x"))
	again()
	s := d.snapshot()
	s.holds(engine.Default, "", "", pair{"a", "1"}, pair{"b", "2"})
	s.close()

	d.say(`b.Put(default, "d", "4")`)
	b.Put(engine.Default, []byte("d"), []byte("4"))
	again()
	s = d.snapshot()
	s.holds(engine.Default, "", "", pair{"a", "1"}, pair{"b", "2"}, pair{"d", "4"})
	s.close()

	d.say(`b.Reset(); b.Delete(default, "a"); b.Put(lock, "a", "5")`)
	b.Reset()
	b.Delete(engine.Default, []byte("a"))
	b.Put(engine.Lock, []byte("a"), []byte("5"))
	again()
	s = d.snapshot()
	s.holds(engine.Default, "", "", pair{"b", "2"}, pair{"d", "4"})
	s.holds(engine.Lock, "", "", pair{"a", "5"})
	s.close()

	d.say("b.Reset()")
	b.Reset()
	again() // an empty batch is legal and changes nothing
	s = d.snapshot()
	s.holds(engine.Default, "", "", pair{"b", "2"}, pair{"d", "4"})
}

func TestDeleteRangeIsHalfOpen(t *testing.T) {
	d := open(t, inOrder)
	five := []pair{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}}
	for _, c := range []struct {
		start, end string
		left       string
	}{
		{"b", "d", "ade"}, // the start goes, the end stays
		{"b", "c\x00", "ade"},
		{"b\x00", "d", "abde"},
		{"", "c", "cde"},
		{"c", "", "ab"},
		{"", "", ""},
		{"d", "b", "abcde"}, // inverted: nothing
		{"c", "c", "abcde"}, // empty: nothing
		{"bb", "bc", "abcde"},
		{"0", "a", "abcde"},
		{"e", "f", "abcd"},
		{"\xff", "", "abcde"},
	} {
		var fill []engine.Op
		for _, p := range five {
			fill = append(fill, put(engine.Default, p.k, p.v), put(engine.Lock, p.k, "lock"), put(engine.Write, p.k, "write"))
		}
		d.write(fill...)
		d.write(delRange(engine.Default, c.start, c.end))
		s := d.snapshot()
		var left, lock, write []pair
		for _, p := range five {
			if strings.Contains(c.left, p.k) {
				left = append(left, p)
			}
			lock, write = append(lock, pair{p.k, "lock"}), append(write, pair{p.k, "write"})
		}
		s.holds(engine.Default, "", "", left...)
		s.holds(engine.Lock, "", "", lock...)
		s.holds(engine.Write, "", "", write...)
		s.close()
	}
}

func TestDeleteRangeSeesItsOwnBatch(t *testing.T) {
	d := open(t, inOrder)
	d.write(put(engine.Default, "a", "old"), put(engine.Default, "c", "old"), put(engine.Default, "e", "old"))
	d.write(
		put(engine.Default, "b", "before"), del(engine.Default, "c"), put(engine.Default, "d", "before"),
		delRange(engine.Default, "a", "e"),
		put(engine.Default, "c", "after"),
		put(engine.Lock, "b", "lock"),
	)
	s := d.snapshot()
	s.holds(engine.Default, "", "", pair{"c", "after"}, pair{"e", "old"})
	s.holds(engine.Lock, "", "", pair{"b", "lock"})
	s.close()

	// Many keys, several ranges that overlap, in one batch.
	var ops []engine.Op
	for i := range 200 {
		ops = append(ops, put(engine.Write, fmt.Sprintf("%03d", i), "x"))
	}
	d.write(ops...)
	d.write(delRange(engine.Write, "010", "100"), delRange(engine.Write, "050", "150"), put(engine.Write, "075", "y"),
		delRange(engine.Write, "190", ""))
	s = d.snapshot()
	var want []pair
	for i := range 190 {
		switch {
		case i == 75:
			want = append(want, pair{"075", "y"})
		case i < 10 || i >= 150:
			want = append(want, pair{fmt.Sprintf("%03d", i), "x"})
		}
	}
	s.holds(engine.Write, "", "", want...)
	s.holds(engine.Lock, "", "", pair{"b", "lock"})
}

func TestLongRangeGoesWhole(t *testing.T) {
	d := open(t, inOrder)
	var ops []engine.Op
	for i := range 3000 {
		ops = append(ops, put(engine.Default, fmt.Sprintf("%04d", i), "x"))
	}
	d.write(ops...)
	d.write(delRange(engine.Default, "0001", "2999"))
	s := d.snapshot()
	s.holds(engine.Default, "", "", pair{"0000", "x"}, pair{"2999", "x"})
	s.close()

	// A range whose keys alone exceed what a batch may hold is refused, with all of the batch.
	d.rule = atomic
	long := strings.Repeat("k", engine.MaxKeySize-4)
	for part := range 2 {
		ops = ops[:0]
		for i := range 512 {
			ops = append(ops, put(engine.Lock, fmt.Sprintf("%04d", part*512+i)+long, ""))
		}
		d.write(ops...)
	}
	err := d.try(engine.Buffered, put(engine.Write, "a", "new"), delRange(engine.Lock, "", ""), put(engine.Write, "b",
		"new"))
	s = d.snapshot()
	first, _ := s.s.Get(engine.Lock, []byte("0000"+long))
	last, _ := s.s.Get(engine.Lock, []byte("1023"+long))
	switch {
	case !errors.Is(err, engine.ErrTooLarge):
		d.rule = refused
		d.broken("an error that is engine.ErrTooLarge: 1024 keys of 16 KiB, with engine.OpOverhead for each, exceed "+
			"engine.MaxBatchSize", explain.Error(err))
	case first == nil || last == nil:
		d.broken("the range is untouched: the batch was refused ("+err.Error()+")", "some of its keys are gone")
	default:
		s.holds(engine.Write, "", "")
	}
}

// TestReadersSeeWholeBatches writes batches that set all of many keys to one number, while another goroutine reads.
func TestReadersSeeWholeBatches(t *testing.T) {
	d := open(t, atomic)
	const keys, rounds = 24, 60
	batch := func(n int) []engine.Op {
		var ops []engine.Op
		for i := range keys {
			ops = append(ops, put(engine.CFs[i%3], fmt.Sprintf("%02d", i), fmt.Sprint(n)))
		}
		return ops
	}
	d.write(batch(0)...)
	stop, torn := make(chan struct{}), make(chan string, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if bad := readTorn(d.e, keys); bad != "" {
				torn <- bad
				return
			}
		}
	}()
	for n := 1; n <= rounds; n++ {
		d.write(batch(n)...)
		select {
		case bad := <-torn:
			d.done = []string{fmt.Sprintf("one goroutine: Write batches that each set %d keys to one number, 0, 1, 2, …",
				keys),
				"another: take a snapshot, read all the keys, close it, again and again"}
			d.broken("the same number in all keys of one snapshot", bad)
		default:
		}
	}
	close(stop)
	<-finished
	select {
	case bad := <-torn:
		d.broken("the same number in all keys of one snapshot", bad)
	default:
	}
}

// readTorn reads all keys of one snapshot and describes the first that differs from the others.
func readTorn(e engine.Engine, keys int) string {
	s, err := e.Snapshot()
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	var first []byte
	for i := range keys {
		key := fmt.Sprintf("%02d", i)
		v, err := s.Get(engine.CFs[i%3], []byte(key))
		if err != nil {
			return fmt.Sprintf("key %q: %v", key, err)
		}
		if i == 0 {
			first = v
		} else if !equal(v, first) {
			return fmt.Sprintf("number %s in key \"00\", number %s in key %q", first, v, key)
		}
	}
	return ""
}

func TestRefusedBatchLeavesNothing(t *testing.T) {
	d := open(t, atomic)
	d.write(put(engine.Default, "a", "old"), put(engine.Default, "r", "old"))
	for _, bad := range []engine.Op{
		put(engine.Default, "", "no key"),
		put(engine.Default, strings.Repeat("k", engine.MaxKeySize+1), "long key"),
		put(engine.Default, "v", strings.Repeat("v", engine.MaxValueSize+1)),
	} {
		ops := []engine.Op{put(engine.Default, "a", "new"), put(engine.Lock, "b", "new"), delRange(engine.Default, "r",
			"s"), bad,
			put(engine.Default, "z", "new")}
		if err := d.try(engine.Synced, ops...); err == nil {
			d.broken("an error: the fourth operation is not legal", "no error")
		}
		s := d.snapshot()
		s.holds(engine.Default, "", "", pair{"a", "old"}, pair{"r", "old"})
		s.holds(engine.Lock, "", "")
		s.close()
	}
	d.write(put(engine.Default, "z", "later")) // nothing of the refused batches comes with the next one
	d.close()
	d.reopen()
	s := d.snapshot()
	s.holds(engine.Default, "", "", pair{"a", "old"}, pair{"r", "old"}, pair{"z", "later"})
	s.holds(engine.Lock, "", "")
}

// TestTornBatchIsNoBatch cuts the log of the engine where a crash could have cut it: within the last batch.
func TestTornBatchIsNoBatch(t *testing.T) {
	d := open(t, atomic)
	if err := d.try(engine.Synced, put(engine.Default, "a", "1"), put(engine.Default, "z", "1")); err != nil {
		d.broken("no error", err.Error())
	}
	before := logSizes(t, d.copyDir())
	var ops []engine.Op
	for i := range 12 {
		ops = append(ops, put(engine.CFs[i%3], fmt.Sprintf("batch %02d", i), strings.Repeat("x", 40)))
	}
	ops = append(ops, del(engine.Default, "a"))
	if err := d.try(engine.Synced, ops...); err != nil {
		d.broken("no error", err.Error())
	}
	image := d.copyDir()
	grown, from, to := "", int64(0), int64(0)
	for name, size := range logSizes(t, image) {
		if size > before[name] {
			grown, from, to = name, before[name], size
		}
	}
	if grown == "" {
		t.Skip("this engine's log does not grow with a batch: nothing to cut")
	}
	const cuts = 6
	halves := 0
	for i := range cuts + 1 {
		at := from + (to-from)*int64(i)/cuts
		dir := filepath.Join(t.TempDir(), "cut")
		if err := os.CopyFS(dir, os.DirFS(image)); err != nil {
			t.Fatal(err)
		}
		blank(t, filepath.Join(dir, grown), at, to)
		c := &desk{t: t, rule: atomic, dir: dir, done: append(slices.Clone(d.done),
			"copy the files of the engine as a crash would leave them",
			fmt.Sprintf("leave %d of the %d bytes that its log got by the last batch, as if the rest had not arrived",
				at-from, to-from),
			"open the copy")}
		c.reopen()
		s := c.snapshot()
		found := 0
		for _, op := range ops[:12] {
			if got, err := s.get(op.CF, string(op.Key)); err == nil {
				found++
			} else if !errors.Is(err, engine.ErrNotFound) {
				c.rule = newest
				c.broken("the value, or engine.ErrNotFound", value(got, err))
			}
		}
		got, err := s.get(engine.Default, "a")
		deleted := errors.Is(err, engine.ErrNotFound)
		if err != nil && !deleted {
			c.rule = newest
			c.broken(`the value "1", or engine.ErrNotFound: the last batch deletes it`, value(got, err))
		}
		if whole := found == 12 && deleted; !whole && (found > 0 || deleted) {
			c.broken("all 12 puts and the delete of the last batch, or none of them",
				fmt.Sprintf("%d of the 12 puts, the delete done: %v", found, deleted))
		} else if !whole {
			halves++
		}
		c.rule = durable
		s.has(engine.Default, "z", "1") // the first batch was synced, and the cut is behind it
		s.close()
		c.close()
	}
	if halves == 0 {
		t.Fatal("the test reached no torn batch: the cut took nothing away")
	}
}

// blank overwrites the bytes [from, to) of a file with zeros: the file was made large in advance, and these bytes never
// arrived.
func blank(t *testing.T, path string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, to-from), from); err != nil {
		t.Fatal(err)
	}
}

// logSizes are the lengths of the files that grow by appending.
func logSizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	files, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// Space that is reserved in advance is zeros: what counts is what was written.
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sizes[filepath.Base(f)] = int64(len(strings.TrimRight(string(data), "\x00")))
	}
	return sizes
}

func value(v []byte, err error) string { return explain.Value(v, err) }
