// Spools: complete or not there; full, failing and crashing disks; names.

package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// eachSpool runs a test on both kinds.
func eachSpool(t *testing.T, test func(*testing.T, Spool)) {
	t.Run("Directory", func(t *testing.T) {
		d, err := OpenDirectory(filepath.Join(t.TempDir(), "snapshots"))
		must(t, err)
		test(t, d)
	})
	t.Run("Memory", func(t *testing.T) { test(t, NewMemory(random(1))) })
}

func create(t *testing.T, s Spool, name, content string) Draft {
	t.Helper()
	d, err := s.Create(name)
	must(t, err)
	_, err = io.WriteString(d, content)
	must(t, err)
	return d
}

func read(t *testing.T, s Spool, name string) string {
	t.Helper()
	f, err := s.Open(name)
	must(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	must(t, err)
	return string(data)
}

func mustList(t *testing.T, s Spool, want ...string) {
	t.Helper()
	if names, err := s.List(); err != nil || !slices.Equal(names, want) {
		t.Errorf("list: %q, error %v, want %q", names, err, want)
	}
}

func TestASpoolHasANameOnceItIsComplete(t *testing.T) {
	eachSpool(t, func(t *testing.T, s Spool) {
		b, a, gone := create(t, s, "b", "2"), create(t, s, "a", "1"), create(t, s, "gone", "3")
		mustList(t, s)
		if _, err := s.Open("a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open a draft: %v, want fs.ErrNotExist", err)
		}
		must(t, a.Commit())
		must(t, b.Commit())
		must(t, gone.Discard())
		mustList(t, s, "a", "b")
		if got := read(t, s, "a") + read(t, s, "b"); got != "12" {
			t.Errorf("read %q", got)
		}
		must(t, s.Remove("a"))
		must(t, s.Remove("a"))
		mustList(t, s, "b")
	})
}

func TestANameIsTakenOnce(t *testing.T) {
	eachSpool(t, func(t *testing.T, s Spool) {
		draft := create(t, s, "x", "first")
		if _, err := s.Create("x"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second draft: %v, want fs.ErrExist", err)
		}
		must(t, draft.Commit())
		if _, err := s.Create("x"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("draft of a complete spool: %v, want fs.ErrExist", err)
		}
		if got := read(t, s, "x"); got != "first" {
			t.Errorf("read %q", got)
		}
		must(t, s.Remove("x"))
		must(t, create(t, s, "x", "second").Discard())
		must(t, create(t, s, "x", "third").Commit())
		if got := read(t, s, "x"); got != "third" {
			t.Errorf("read %q", got)
		}
	})
}

func TestNoNameLeadsAnywhereElse(t *testing.T) {
	bad := []string{"", ".", "..", "../x", "a/b", "/x", `a\b`, "x.tmp", "X", "ä", "a b", "a\x00", strings.Repeat("x", 129)}
	eachSpool(t, func(t *testing.T, s Spool) {
		for _, name := range bad {
			_, createErr := s.Create(name)
			_, openErr := s.Open(name)
			for what, err := range map[string]error{"Create": createErr, "Open": openErr, "Remove": s.Remove(name)} {
				if !errors.Is(err, ErrName) {
					t.Errorf("%s(%q): %v, want ErrName", what, name, err)
				}
			}
		}
		mustList(t, s)
	})
}

func TestTheLongestNameOfASnapshotIsAName(t *testing.T) {
	h := headOf(span("", ""))
	const most = 1<<64 - 1
	h.RegionID, h.Region.ID, h.To.ID, h.Term, h.Position.Index = most, most, most, most, most
	encoded, err := EncodeHead(h)
	must(t, err)
	head := craft(kindHead, 0, encoded)
	spool := NewMemory(random(1))
	for range maxTwins {
		_, err := NewReceiver(spool, wanted()).Accept(head)
		must(t, err)
	}
	if _, err := NewReceiver(spool, wanted()).Accept(head); !errors.Is(err, fs.ErrExist) {
		t.Errorf("twin %d: %v, want fs.ErrExist", maxTwins+1, err)
	}
}

// TestASnapshotThatIsSentAgainHasANameOfItsOwn, so that the first one can be installed meanwhile.
func TestASnapshotThatIsSentAgainHasANameOfItsOwn(t *testing.T) {
	_, chunks, _ := smallStream(t)
	eachSpool(t, func(t *testing.T, s Spool) {
		first, _, err := receive(s, wanted(), chunks...)
		must(t, err)
		second, _, err := receive(s, wanted(), chunks...)
		must(t, err)
		mustList(t, s, first, second)
		if read(t, s, first) != read(t, s, second) {
			t.Error("they differ")
		}
	})
}

func TestOpenDirectoryRemovesDraftsAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshots")
	d, err := OpenDirectory(path)
	must(t, err)
	must(t, create(t, d, "whole", "1").Commit())
	create(t, d, "half", "2")
	must(t, os.WriteFile(filepath.Join(path, "README"), nil, 0o644))

	d, err = OpenDirectory(path)
	must(t, err)
	mustList(t, d, "whole")
	entries, err := os.ReadDir(path)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("the directory has %v", entries)
	}
}

func TestOpenDirectoryNeedsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o644))
	for _, path := range []string{path, filepath.Join(path, "below"), filepath.Join(t.TempDir(), "missing", "snapshots")} {
		if _, err := OpenDirectory(path); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", path, err)
		}
	}
}

func TestAFullSpoolKeepsNothing(t *testing.T) {
	_, chunks, _ := smallStream(t)
	size := int64(len(spoolBytes(chunks)))
	for capacity := int64(1); capacity <= size; capacity += 7 {
		spool := NewMemory(random(1))
		spool.SetCapacity(capacity)
		if _, _, err := receive(spool, wanted(), chunks...); capacity < size && !errors.Is(err, ErrFull) {
			t.Fatalf("capacity %d of %d: %v, want ErrFull", capacity, size, err)
		}
		if capacity < size {
			mustBeEmpty(t, spool)
		}
	}
}

func TestAFailureIsToldAndLeavesNothing(t *testing.T) {
	_, chunks, _ := smallStream(t)
	broken := errors.New("the cable fell out")
	for i := range chunks {
		spool := NewMemory(random(1))
		r := NewReceiver(spool, wanted())
		for j, c := range chunks {
			if j == i {
				spool.Fail(broken)
			}
			if _, err := r.Accept(c); (j >= i) != errors.Is(err, broken) {
				t.Fatalf("failure at chunk %d: chunk %d: %v", i, j, err)
			}
		}
		mustBeEmpty(t, spool)
	}
}

// TestARemovedSpoolMayComeBack: a driver must look for garbage after a crash.
func TestARemovedSpoolMayComeBack(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(20) {
		m := NewMemory(random(seed))
		must(t, create(t, m, "x", "1").Commit())
		must(t, m.Remove("x"))
		m.Crash()
		names, err := m.List()
		must(t, err)
		seen[fmt.Sprint(names)]++
	}
	if seen["[x]"] == 0 || seen["[]"] == 0 {
		t.Errorf("after a crash: %v; want both sometimes", seen)
	}
}

func TestAFlippedBitInASpoolIsFound(t *testing.T) {
	h, chunks, e := smallStream(t)
	for seed := range uint64(50) {
		spool := NewMemory(random(seed))
		if spool.FlipBit() {
			t.Fatal("flipped a bit of nothing")
		}
		name, _, err := receive(spool, wanted(), chunks...)
		must(t, err)
		if !spool.FlipBit() {
			t.Fatal("nothing to flip")
		}
		if recorded, err := installError(t, []byte(read(t, spool, name)), h, e); recorded || !isRefusal(err) {
			t.Errorf("seed %d: recorded %v, error %v", seed, recorded, err)
		}
	}
}
