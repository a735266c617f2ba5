// When runs begin and end, in virtual time; and that real saves are noticed.

package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/labs/watch"
)

// recorder is a run that takes a while and writes down what happened.
type recorder struct {
	takes   time.Duration
	going   int
	began   [][]string
	stopped int // runs that were cancelled
	most    int // runs at a time
}

func (r *recorder) run(ctx context.Context, changed []string) {
	r.going++
	r.most = max(r.most, r.going)
	r.began = append(r.began, changed)
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
		r.stopped++
		time.Sleep(20 * time.Millisecond) // processes take a moment to die
	}
	r.going--
}

// script runs Loop in virtual time while the steps send changes, and returns when all is quiet.
func script(t *testing.T, takes time.Duration, steps func(save func(string), wait func(time.Duration))) *recorder {
	r := &recorder{takes: takes}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		changes := make(chan string)
		ended := make(chan struct{})
		go func() { watch.Loop(ctx, changes, r.run); close(ended) }()
		synctest.Wait()
		steps(func(name string) { changes <- name }, func(d time.Duration) { time.Sleep(d); synctest.Wait() })
		time.Sleep(time.Minute)
		cancel()
		<-ended
		if r.going != 0 {
			t.Error("Loop returned before the last run did")
		}
	})
	return r
}

func TestOneRunAtTheStart(t *testing.T) {
	r := script(t, time.Second, func(func(string), func(time.Duration)) {})
	if len(r.began) != 1 || r.began[0] != nil {
		t.Errorf("runs %v, want one without changes", r.began)
	}
}

func TestABurstOfSavesIsOneRun(t *testing.T) {
	r := script(t, time.Second, func(save func(string), wait func(time.Duration)) {
		wait(2 * time.Second)
		for range 5 {
			save("b.go")
			save("a.go")
			wait(watch.Quiet / 2)
		}
	})
	if len(r.began) != 2 || !slices.Equal(r.began[1], []string{"a.go", "b.go"}) || r.stopped != 0 {
		t.Errorf("runs %v, %d stopped; want one more run for a.go and b.go", r.began, r.stopped)
	}
}

func TestASaveStopsTheRunOfOldCode(t *testing.T) {
	r := script(t, 10*time.Second, func(save func(string), wait func(time.Duration)) {
		wait(time.Second)
		save("a.go")
		wait(time.Second)
		save("b.go")
	})
	if len(r.began) != 3 || r.stopped != 2 || r.most != 1 {
		t.Errorf("%d runs, %d stopped, %d at a time; want 3, 2, 1", len(r.began), r.stopped, r.most)
	}
}

// TestASaveWhileTheOldRunDiesIsNotLost: the change comes while Loop waits for the cancelled run.
func TestASaveWhileTheOldRunDiesIsNotLost(t *testing.T) {
	r := script(t, 10*time.Second, func(save func(string), wait func(time.Duration)) {
		wait(time.Second)
		save("a.go")
		wait(watch.Quiet) // the run is being stopped, which takes 20 ms
		save("b.go")      // waits until Loop listens again
	})
	if last := r.began[len(r.began)-1]; !slices.Equal(last, []string{"b.go"}) {
		t.Errorf("runs %v, want the last one for b.go", r.began)
	}
}

func TestLoopEndsWhenThereWillBeNoMoreChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan string)
		close(changes)
		r := &recorder{takes: time.Second}
		watch.Loop(t.Context(), changes, r.run)
		if len(r.began) != 1 || r.stopped != 0 {
			t.Errorf("%d runs, %d stopped; want one that went to its end", len(r.began), r.stopped)
		}
	})
}

// TestRealSavesAreNoticed saves the way editors do, and leaves files beside that are nobody's business.
func TestRealSavesAreNoticed(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"kv", "other"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files, err := watch.NewFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	files.Watch([]string{"other"})
	files.Watch([]string{"kv", "missing"})
	save := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte("package kv\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save("other/a.go")
	save("kv/.a.go.swp")
	save("kv/a.go~")
	save("kv/notes.txt")
	save("kv/tmp.go.new")
	if err := os.Rename(filepath.Join(root, "kv/tmp.go.new"), filepath.Join(root, "kv/a.go")); err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-files.Changes():
		if name != "kv/a.go" {
			t.Errorf("first change %q, want kv/a.go", name)
		}
	case <-time.After(10 * time.Second):
		t.Error("the save of kv/a.go was not noticed")
	}
}
