// A crash at any point of receiving or installing leaves the old state or the new one, or one from which the installation begun
// anew leads to the new one.

package snapshot

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
	"tinykv/kv/region"
)

func TestACrashWhileReceivingLeavesNothing(t *testing.T) {
	_, chunks, _ := smallStream(t)
	for n := range len(chunks) + 1 {
		spool := NewMemory(random(uint64(n)))
		r := NewReceiver(spool, wanted())
		for _, c := range chunks[:n] {
			_, err := r.Accept(c)
			must(t, err)
		}
		spool.Crash()
		names, err := spool.List()
		must(t, err)
		if n < len(chunks) {
			mustBeEmpty(t, spool)
			if _, err := r.Accept(chunks[n]); n > 0 && !errors.Is(err, ErrCrashed) {
				t.Errorf("a chunk after the crash: %v", err)
			}
		} else if !slices.Equal(names, []string{r.Name()}) {
			t.Errorf("a complete spool is lost by a crash: %q", names)
		}
	}
}

// crashWorld is a store whose data disk crashes while a large snapshot is being installed over large old data.
type crashWorld struct {
	head     Head
	spool    *Memory
	name     string
	old, new []string // the contents of the region
	outside  []string // and around it, without the records
	setUp    engine.Batch
}

func newCrashWorld(t *testing.T, rng *rand.Rand) *crashWorld {
	w := &crashWorld{head: headOf(span("b", "y")), spool: NewMemory(rng)}
	var sent engine.Batch
	bulk(rng, &sent, w.head.Region.Range)
	bulk(rng, &w.setUp, w.head.Region.Range)
	from := newEngine(t, &sent)
	w.new, _ = contents(t, from, w.head.Region.Range)
	var err error
	w.name, _, err = receive(w.spool, wanted(), chunksOf(t, NewSource(snapshotOf(t, from), w.head, 0))...)
	must(t, err)
	w.old, w.outside = contents(t, newEngine(t, &w.setUp), w.head.Region.Range)
	return w
}

// smallBatches is the size of batches in these tests: 4 KiB, so that there are many.
const smallBatches = 4 << 10

// bulk adds pairs for several batches of an installation, and for several of deletes.
func bulk(rng *rand.Rand, b *engine.Batch, keys region.Range) {
	randomPairs(rng, keys, b)
	for range 30 {
		b.Put(families[rng.IntN(3)], append([]byte{'c' + byte(rng.IntN(20))}, randomBytes(rng, 500)...), make([]byte, 200))
	}
}

// begin installs on a disk, at most limit batches.
func (w *crashWorld) begin(t *testing.T, e engine.Engine, limit int) (batches int, finished bool) {
	t.Helper()
	data, err := e.Snapshot()
	must(t, err)
	defer data.Close()
	file, err := w.spool.Open(w.name)
	must(t, err)
	defer file.Close()
	in := NewInstaller(file, w.head, data, records())
	in.limit = smallBatches
	return install(t, in, e, limit)
}

// check looks at what a crash has left: if the records are there, all of the new state must be. It returns what it is.
func (w *crashWorld) check(t *testing.T, e engine.Engine) string {
	t.Helper()
	inside, outside := contents(t, e, w.head.Region.Range)
	recorded := slices.Contains(outside, `meta "applied"="1042"`)
	if recorded {
		outside = slices.DeleteFunc(outside, func(p string) bool { return p == `meta "applied"="1042"` })
	}
	if !slices.Equal(outside, w.outside) {
		t.Fatal("pairs outside of the region have changed")
	}
	switch {
	case recorded && !slices.Equal(inside, w.new):
		t.Fatal("the records are there, and the new state is not")
	case recorded:
		return "new"
	case slices.Equal(inside, w.old):
		return "old"
	}
	return "between"
}

// TestACrashWhileInstallingIsMadeUpFor crashes after each number of batches; the disk keeps any prefix of them. Then comes a
// second crash, and then the installation is brought to its end.
func TestACrashWhileInstallingIsMadeUpFor(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(10) {
		rng := random(seed)
		w := newCrashWorld(t, rng)
		for limit, finished := 0, false; !finished; limit++ {
			disk := mem.NewDisk(rng, mem.Options{})
			e, err := mem.Open(disk)
			must(t, err)
			must(t, e.Write(&w.setUp, engine.Synced))
			_, finished = w.begin(t, e, limit)
			for _, limit := range []int{rng.IntN(limit + 1), 1000} {
				disk.Crash()
				e, err = mem.Open(disk)
				must(t, err)
				state := w.check(t, e)
				seen[state]++
				if finished && state != "new" {
					t.Fatalf("seed %d: finished, and after a crash the state is %s", seed, state)
				}
				if state == "new" {
					continue // an installation whose records are there is not begun anew
				}
				w.begin(t, e, limit)
			}
			if state := w.check(t, e); state != "new" {
				t.Fatalf("seed %d, crash after %d batches: at the end the state is %s", seed, limit, state)
			}
		}
		if batches, _ := w.begin(t, newEngine(t, &w.setUp), 1000); batches < 5 {
			t.Errorf("seed %d: only %d batches: the test reached too little", seed, batches)
		}
	}
	if seen["old"] == 0 || seen["between"] == 0 || seen["new"] == 0 {
		t.Errorf("crashes left %v: want each of old, between and new sometimes", seen)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	w := newCrashWorld(t, random(9))
	e := newEngine(t, &w.setUp)
	in := installer(t, w.spool, w.name, w.head, snapshotOf(t, e))
	in.limit = smallBatches
	deletes, phase := 0, engine.OpDeleteRange
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if b.Size() > smallBatches+records().Size() && b.Len() > 1 {
			t.Errorf("a batch of %d bytes", b.Size())
		}
		for op := range b.Ops() {
			if op.Kind == engine.OpDeleteRange && phase != engine.OpDeleteRange {
				t.Fatal("a delete behind the first pair")
			}
			if phase = op.Kind; phase == engine.OpDeleteRange {
				deletes++
			}
		}
	}
	if deletes <= len(families) {
		t.Errorf("%d range deletes: old data of more than a batch's room were to be deleted in parts", deletes)
	}
}

func TestANewPeerDeletesNothing(t *testing.T) {
	h, chunks, _ := smallStream(t)
	spool, e := NewMemory(random(1)), newEngine(t, &engine.Batch{})
	name, _, err := receive(spool, wanted(), chunks...)
	must(t, err)
	in := installer(t, spool, name, h, snapshotOf(t, e))
	b, err := in.Next()
	must(t, err)
	for op := range b.Ops() {
		if op.Kind != engine.OpPut {
			t.Errorf("operation %d in a store that has nothing", op.Kind)
		}
	}
	if _, err := in.Next(); err != io.EOF {
		t.Errorf("a second batch, or error %v", err)
	}
}
