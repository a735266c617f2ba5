//go:build cgo

package badger

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/kv/engine"
)

// TestGroupShares lets nine writers come while one commits: they share the next commit, but for the one with a
// range delete.
func TestGroupShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var sizes []int // of the groups; commits do not overlap, so no lock
		commit := func(batches []*engine.Batch) error {
			sizes = append(sizes, len(batches))
			time.Sleep(time.Second) // of the bubble's clock
			return nil
		}
		var all sync.WaitGroup
		for i := range 10 {
			var b engine.Batch
			if b.Put(engine.Default, []byte{1}, nil); i == 5 {
				b.DeleteRange(engine.Default, nil, nil)
			}
			all.Go(func() {
				if err := g.do(&b, commit); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // they come in this order
		}
		all.Wait()
		if want := []int{1, 4, 1, 4}; !slices.Equal(sizes, want) {
			t.Errorf("groups of %v, want %v", sizes, want)
		}
	})
}

// TestGroupAnswersEveryMember checks that an error reaches all of its group and no other.
func TestGroupAnswersEveryMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		broken := errors.New("broken")
		round := 0
		commit := func([]*engine.Batch) error {
			time.Sleep(time.Second)
			if round++; round == 2 {
				return broken
			}
			return nil
		}
		failed := make(chan error, 10)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { failed <- g.do(oneForTest("k", "v"), commit) })
			synctest.Wait()
		}
		all.Wait()
		if err := g.do(oneForTest("k", "v"), commit); err != nil {
			t.Errorf("a later group: %v", err)
		}
		close(failed)
		n := 0
		for err := range failed {
			if errors.Is(err, broken) {
				n++
			}
		}
		if n != 4 || round != 3 {
			t.Errorf("%d writers of the failed group heard of it in %d rounds, want 4 in 3", n, round)
		}
	})
}
