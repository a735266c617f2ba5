package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

// world plays seeds as a test would: each takes ten milliseconds; some fail and are named, some crash the process, some
// hang.
type world struct {
	named, crash, hang []uint64

	mu     sync.Mutex
	passed map[string]map[uint64]int // how often each seed was found to be good
	most   time.Duration             // the longest span
}

func (w *world) play(ctx context.Context, span Span) grade.TestResult {
	begin := time.Now()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.most = max(w.most, time.Since(begin))
	}()
	for seed := span.First; seed < span.First+span.Seeds; seed++ {
		if !sleep(ctx, 10*time.Millisecond) {
			return grade.TestResult{Outcome: grade.NotRun}
		}
		switch {
		case slices.Contains(w.named, seed):
			w.count(span.Test, span.First, seed)
			command := fmt.Sprintf("go test ./x -count=1 -run '^%s$' -seed=%d", span.Test.Name, seed)
			return grade.TestResult{Outcome: grade.Failed, TestReplays: []string{command}}
		case slices.Contains(w.crash, seed):
			return grade.TestResult{Outcome: grade.Crashed}
		case slices.Contains(w.hang, seed):
			if !sleep(ctx, span.Test.Timeout()) {
				return grade.TestResult{Outcome: grade.NotRun}
			}
			return grade.TestResult{Outcome: grade.TimedOut}
		}
	}
	w.count(span.Test, span.First, span.First+span.Seeds)
	return grade.TestResult{Outcome: grade.Passed}
}

// count records that the seeds from first to the one before end were found to be good.
func (w *world) count(test course.Test, first, end uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.passed == nil {
		w.passed = map[string]map[uint64]int{}
	}
	if w.passed[test.Name] == nil {
		w.passed[test.Name] = map[uint64]int{}
	}
	for seed := first; seed < end; seed++ {
		w.passed[test.Name][seed]++
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var two = []course.Test{{Name: "TestOne"}, {Name: "TestTwo"}}

func TestEverySeedIsPlayedOnceAndEachFailureIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{named: []uint64{7, 8, 700}, crash: []uint64{20, 1000}, hang: []uint64{333}}
		told := map[string][]uint64{}
		var last Result
		result := Run(t.Context(), Options{
			Tests: two, Seeds: 1000, Jobs: 3, MaxFailures: 10, Play: w.play,
			Failed: func(f Failure) { told[f.Test.Name] = append(told[f.Test.Name], f.Seed) },
			Tell: func(r Result) {
				if r.Done < last.Done || r.Total != 2000 {
					t.Errorf("%+v after %+v", r, last)
				}
				last = r
			},
		})
		if result.Done != 2000 || result.Failures != 12 || result.Good() || result.Interrupted || result.GivenUp != nil {
			t.Errorf("the result is %+v", result)
		}
		for _, test := range two {
			slices.Sort(told[test.Name])
			if want := []uint64{7, 8, 20, 333, 700, 1000}; !slices.Equal(told[test.Name], want) {
				t.Errorf("%s: told of %v, want %v", test.Name, told[test.Name], want)
			}
			for seed := range uint64(1000) {
				bad := slices.Contains(told[test.Name], seed+1)
				if n := w.passed[test.Name][seed+1]; bad && n > 0 || !bad && n != 1 {
					t.Errorf("%s: seed %d was found good %d times", test.Name, seed+1, n)
				}
			}
		}
	})
}

func TestWithoutFailuresItIsGoodAndSpansTakeAFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		result := Run(t.Context(), Options{Tests: two, First: 500, Seeds: 3000, Play: w.play})
		if !result.Good() || result.Done != 6000 || w.most > 2*spanTime {
			t.Errorf("the result is %+v, the longest span took %v", result, w.most)
		}
		seeds := slices.Sorted(maps.Keys(w.passed["TestOne"]))
		if seeds[0] != 500 || seeds[len(seeds)-1] != 3499 {
			t.Errorf("seeds from %d to %d", seeds[0], seeds[len(seeds)-1])
		}
	})
}

func TestATestThatFailsOftenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{named: []uint64{1, 2, 3, 4, 5}}
		result := Run(t.Context(), Options{Tests: two[:1], Seeds: 100, Jobs: 1, MaxFailures: 3, Play: w.play})
		if result.Failures != 3 || result.Done != 3 || !slices.Equal(result.GivenUp, []string{"TestOne"}) {
			t.Errorf("the result is %+v", result)
		}
		hole := func(context.Context, Span) grade.TestResult { return grade.TestResult{Outcome: grade.NotWritten} }
		result = Run(t.Context(), Options{Tests: two, Seeds: 100, Jobs: 1, Play: hole})
		if result.Failures != 2 || result.Done != 0 || len(result.GivenUp) != 2 {
			t.Errorf("at a hole, the result is %+v", result)
		}
	})
}

func TestItEndsAtItsTimeOrWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		result := Run(t.Context(), Options{Tests: two, For: time.Minute, Play: w.play})
		if !result.Good() || result.Took < time.Minute || result.Took > time.Minute+2*spanTime || result.Done < 10_000 {
			t.Errorf("after a minute, the result is %+v", result)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		result = Run(ctx, Options{Tests: two, Seeds: 100_000, Play: w.play})
		if result.Good() || !result.Interrupted || result.Took != 10*time.Second || result.Done == 0 || result.Failures > 0 {
			t.Errorf("interrupted, the result is %+v", result)
		}
	})
}

// TestWhatIsToldIsAboutItsSeed has a test with two worlds: each ends at a failure of its own, and both are named.
func TestWhatIsToldIsAboutItsSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := map[uint64]bool{} // fails among others and not alone
		play := func(_ context.Context, span Span) grade.TestResult {
			time.Sleep(time.Duration(span.Seeds) * 10 * time.Millisecond)
			result := grade.TestResult{Outcome: grade.Passed}
			for _, bad := range []uint64{30, 25, 70} {
				if bad < span.First || bad >= span.First+span.Seeds || bad == 70 && once[bad] {
					continue
				}
				once[bad] = true
				result.Outcome = grade.Failed
				result.Message += fmt.Sprintf("seed %d is bad;", bad)
				result.TestReplays = append(result.TestReplays, fmt.Sprintf("go test -seed=%d", bad))
			}
			return result
		}
		told := map[uint64]string{}
		o := Options{Tests: two[:1], Seeds: 100, Jobs: 1, Play: play, Failed: func(f Failure) { told[f.Seed] = f.Result.Message }}
		result := Run(t.Context(), o)
		all := "seed 30 is bad;seed 25 is bad;seed 70 is bad;"
		want := map[uint64]string{25: "seed 25 is bad;", 30: "seed 30 is bad;", 70: all}
		if !maps.Equal(told, want) || result.Failures != 3 || result.Done != 100 {
			t.Errorf("told %v, want %v; the result is %+v", told, want, result)
		}

		clear(told)
		o.Seeds, o.For = 0, 10*time.Millisecond // over when the first span is
		o.First = 24
		if result := Run(t.Context(), o); result.Failures != 2 || told[25] == "" || result.Good() {
			t.Errorf("when time was over: told %v, %+v", told, result)
		}
	})
}
