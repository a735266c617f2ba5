// The disk does what disks do: it forgets, tears, fills up, fails and rots, each time the same way for the same seed.

package mem_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
)

func newDisk(seed uint64, opts mem.Options) *mem.Disk {
	return mem.NewDisk(rand.New(rand.NewPCG(seed, 0)), opts)
}

func open(t *testing.T, disk *mem.Disk) *mem.Engine {
	t.Helper()
	e, err := mem.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// put gives keys a to d the same value in one batch.
func put(e engine.Engine, d engine.Durability, value string) error {
	var b engine.Batch
	for _, key := range []string{"a", "b", "c", "d"} {
		b.Put(engine.Default, []byte(key), []byte(value))
	}
	return e.Write(&b, d)
}

// values reads a to d; missing ones are "-".
func values(t *testing.T, e engine.Engine) string {
	t.Helper()
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []string
	for _, key := range []string{"a", "b", "c", "d"} {
		got, err := s.Get(engine.Default, []byte(key))
		if errors.Is(err, engine.ErrNotFound) {
			got, err = []byte("-"), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(got))
	}
	return strings.Join(all, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrash looks at many crashes: what was synced is there, of the rest a prefix, no batch in part, and every
// outcome occurs.
func TestCrash(t *testing.T) {
	const synced, buffered = 3, 4
	seen := map[string]int{}
	for seed := range uint64(300) {
		disk := newDisk(seed, mem.Options{})
		e := open(t, disk)
		for i := range synced + buffered {
			d := engine.Buffered
			if i == synced-1 {
				d = engine.Synced
			}
			must(t, put(e, d, fmt.Sprint(i)))
		}
		disk.Crash()
		e = open(t, disk)
		got := values(t, e)
		parts := strings.Fields(got)
		for _, part := range parts {
			if part != parts[0] {
				t.Fatalf("seed %d: after a crash a batch is there in part: %s", seed, got)
			}
		}
		if parts[0] < fmt.Sprint(synced-1) {
			t.Fatalf("seed %d: after a crash the synced batch %d is lost: %s", seed, synced-1, got)
		}
		seen[parts[0]]++
		must(t, put(e, engine.Synced, "new"))
		disk.Crash()
		if got := values(t, open(t, disk)); got != "new new new new" {
			t.Fatalf("seed %d: a batch synced after a crash is lost at the next: %s", seed, got)
		}
	}
	if len(seen) != buffered+1 {
		t.Errorf("crashes left these batches as the last: %v; want each of %d to %d sometimes", seen, synced-1,
			synced+buffered-1)
	}
}

func TestSameSeedSameOutcome(t *testing.T) {
	outcome := func(seed uint64) string {
		disk := newDisk(seed, mem.Options{WriteCost: time.Millisecond})
		var story []string
		for round := range 10 {
			e := open(t, disk)
			for i := range 5 {
				must(t, put(e, engine.Buffered, fmt.Sprint(round, "-", i)))
			}
			disk.Crash()
			e = open(t, disk)
			story = append(story, values(t, e), fmt.Sprint(disk.Stats()))
			must(t, e.Close())
		}
		return strings.Join(story, "\n")
	}
	if one, two := outcome(42), outcome(42); one != two {
		t.Errorf("one seed, two outcomes:\n%s\n\n%s", one, two)
	}
	if outcome(42) == outcome(43) {
		t.Error("two seeds, one outcome: the seed has no effect")
	}
}

func TestCrashKillsTheEngine(t *testing.T) {
	disk := newDisk(1, mem.Options{})
	e := open(t, disk)
	must(t, put(e, engine.Synced, "1"))
	s, err := e.Snapshot()
	must(t, err)
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	must(t, err)
	disk.Crash()
	_, getErr := s.Get(engine.Default, []byte("a"))
	_, snapErr := e.Snapshot()
	it.First()
	for what, err := range map[string]error{
		"Get": getErr, "Snapshot": snapErr, "First": it.Err(), "Write": put(e, engine.Synced, "2"), "Close": e.Close(),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s on an engine whose disk crashed: got %v, want ErrClosed", what, err)
		}
	}
	if got := values(t, open(t, disk)); got != "1 1 1 1" {
		t.Errorf("after the crash: %s, want 1 1 1 1", got)
	}
}

func TestOneEngineAtATime(t *testing.T) {
	disk := newDisk(1, mem.Options{})
	e := open(t, disk)
	if _, err := mem.Open(disk); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("second Open of a disk: got %v, want ErrInUse", err)
	}
	must(t, e.Close())
	must(t, open(t, disk).Close())
}

func TestFullDisk(t *testing.T) {
	disk := newDisk(1, mem.Options{Capacity: 1000})
	e := open(t, disk)
	last := ""
	var err error
	for i := 0; err == nil; i++ {
		value := fmt.Sprintf("%05d", i)
		if err = put(e, engine.Synced, value); err == nil {
			last = value
		}
	}
	if !errors.Is(err, mem.ErrDiskFull) || errors.Is(err, engine.ErrFailed) {
		t.Errorf("the write that found the disk full: got %v, want ErrDiskFull", err)
	}
	if err := put(e, engine.Synced, "x"); !errors.Is(err, engine.ErrFailed) {
		t.Errorf("the write after it: got %v, want ErrFailed", err)
	}
	want := strings.TrimSpace(strings.Repeat(last+" ", 4))
	if got := values(t, e); got != want {
		t.Errorf("reads after it: %s, want %s", got, want)
	}
	disk.Crash()
	disk.SetOptions(mem.Options{})
	e = open(t, disk)
	if got := values(t, e); got != want {
		t.Errorf("after a restart: %s, want what was acknowledged: %s", got, want)
	}
	must(t, put(e, engine.Synced, "more"))
}

func TestFailedSync(t *testing.T) {
	broken := errors.New("the cable fell out")
	disk := newDisk(5, mem.Options{})
	e := open(t, disk)
	must(t, put(e, engine.Synced, "1"))
	disk.FailSync(broken)
	if err := put(e, engine.Synced, "2"); !errors.Is(err, broken) {
		t.Errorf("write whose sync fails: got %v, want %v", err, broken)
	}
	if err := put(e, engine.Buffered, "3"); !errors.Is(err, engine.ErrFailed) {
		t.Errorf("write after a failed sync: got %v, want ErrFailed", err)
	}
	must(t, e.Close())
	if got := values(t, open(t, disk)); got != "1 1 1 1" && got != "2 2 2 2" {
		t.Errorf("after a restart: %s, want 1 or 2 everywhere", got)
	}
}

// TestFlippedBit flips one bit in turn all over the disk: Open finds each, unless it is in what was not synced, and
// changes nothing.
func TestFlippedBit(t *testing.T) {
	for seed := range uint64(200) {
		disk := newDisk(seed, mem.Options{})
		e := open(t, disk)
		must(t, put(e, engine.Synced, "1"))
		must(t, put(e, engine.Synced, "2"))
		must(t, e.Close())
		if !disk.FlipBit() {
			t.Fatal("there was nothing to flip")
		}
		before := disk.Stats()
		for range 2 {
			if _, err := mem.Open(disk); !errors.Is(err, engine.ErrCorrupt) {
				t.Fatalf("seed %d: open of a disk with a flipped bit: got %v, want ErrCorrupt", seed, err)
			}
		}
		if disk.Stats() != before {
			t.Fatalf("seed %d: the refused Open changed the disk", seed)
		}
	}
}

// TestFlippedBitIsFoundByReads flips bits under an open engine: a read answers the right value or ErrCorrupt.
func TestFlippedBitIsFoundByReads(t *testing.T) {
	found := 0
	for seed := range uint64(50) {
		disk := newDisk(seed, mem.Options{})
		e := open(t, disk)
		value := strings.Repeat("v", 100)
		must(t, put(e, engine.Synced, value))
		s, err := e.Snapshot()
		must(t, err)
		disk.FlipBit()
		it, err := s.Iterator(engine.Default, engine.IterOptions{})
		must(t, err)
		for _, key := range []string{"a", "b", "c", "d"} {
			got, err := s.Get(engine.Default, []byte(key))
			switch {
			case errors.Is(err, engine.ErrCorrupt):
				found++
				if it.SeekGE([]byte(key)) || !errors.Is(it.Err(), engine.ErrCorrupt) {
					t.Errorf("seed %d: Get of %s is ErrCorrupt, but an iterator finds it", seed, key)
				}
			case err != nil || string(got) != value:
				t.Errorf("seed %d: Get of %s: got %q and %v, want the value or ErrCorrupt", seed, key, got, err)
			}
		}
	}
	if found == 0 {
		t.Error("no flip was ever found by a read: the test reached nothing")
	}
}

func TestCostIsVirtualTime(t *testing.T) {
	disk := newDisk(1, mem.Options{WriteCost: time.Millisecond, SyncCost: 10 * time.Millisecond,
		ByteCost: time.Microsecond})
	e := open(t, disk)
	must(t, put(e, engine.Synced, "1"))
	must(t, put(e, engine.Buffered, "2"))
	stats := disk.Stats()
	want := 2*time.Millisecond + 10*time.Millisecond + time.Duration(stats.BytesWritten)*time.Microsecond
	if stats.Writes != 2 || stats.Syncs != 1 || stats.Busy != want || stats.BytesWritten == 0 {
		t.Errorf("two writes and one sync: got %+v, want Busy %v", stats, want)
	}
}

// TestLogIsRewritten overwrites a few keys for long: the disk stays small and loses nothing.
func TestLogIsRewritten(t *testing.T) {
	disk := newDisk(1, mem.Options{})
	e := open(t, disk)
	value := strings.Repeat("v", 10<<10)
	old, err := e.Snapshot()
	must(t, err)
	for i := range 300 {
		must(t, put(e, engine.Buffered, fmt.Sprintf("%05d%s", i, value)))
	}
	if stats := disk.Stats(); stats.BytesUsed > 3<<20 || stats.BytesWritten < 10<<20 {
		t.Errorf("after %d bytes written over 40 KiB of pairs, %d are used", stats.BytesWritten, stats.BytesUsed)
	}
	if _, err := old.Get(engine.Default, []byte("a")); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a snapshot from before: got %v, want ErrNotFound", err)
	}
	must(t, old.Close())
	must(t, put(e, engine.Synced, "last"))
	disk.Crash()
	if got := values(t, open(t, disk)); got != "last last last last" {
		t.Errorf("after a crash: %s", got)
	}
}
