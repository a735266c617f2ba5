// Run: hand out spans of seeds to workers until all are played, the time is over, or somebody interrupts.

package soak

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

const (
	spanTime           = 3 * time.Second // what a span is meant to take: short enough to stop soon, long for a process
	firstSpan          = 8               // seeds, while the speed is not known
	maxSpan            = 5000
	minLimit           = 30 * time.Second // before this, no process is said to hang
	firstLimit         = 2 * time.Minute  // nor before this, while the speed is not known
	slowness           = 10               // nor before it took so many times what was expected
	defaultMaxFailures = 5
)

// Span is what one process plays: the seeds First, First+1, ... of one test. Test.Timeout is what it may take.
type Span struct {
	Test  course.Test
	First uint64
	Seeds uint64
}

// Failure is a seed with which a test fails. If the test failed for another reason than a seed, Seed is 0.
type Failure struct {
	Test   course.Test
	Seed   uint64
	Result grade.TestResult
}

// Options say what to play. Tests, Play, and one of Seeds and For are needed.
type Options struct {
	Tests       []course.Test
	First       uint64        // the first seed; 0: 1
	Seeds       uint64        // of each test; 0: no end
	For         time.Duration // begin no span after this time; 0: no end
	Jobs        int           // spans at a time; 0: 2
	MaxFailures int           // of one test, before it is given up; 0: 5

	Play func(ctx context.Context, span Span) grade.TestResult // in a process of its own
	// told of each failure, and of how far it is after each span, one call at a time; may be nil
	Failed func(Failure)
	Tell   func(Result)
}

// Result is how far it went.
type Result struct {
	Done        uint64 // seeds played, of all tests together
	Total       uint64 // seeds to play; 0 if there is no end
	Failures    int
	GivenUp     []string // tests that were not played to the end because they failed too often
	Interrupted bool
	Took        time.Duration
}

// Good says that everything that was to be played was, and nothing failed.
func (r Result) Good() bool { return r.Failures == 0 && !r.Interrupted }

// Run plays the seeds. It returns when all are played, For is over, every test is given up, or ctx is cancelled.
func Run(ctx context.Context, opts Options) Result {
	r := newRun(opts)
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})()
	var workers sync.WaitGroup
	for range cmp.Or(opts.Jobs, 2) {
		workers.Go(func() {
			for {
				span, ok := r.take(ctx)
				if !ok {
					return
				}
				begin := time.Now()
				result := opts.Play(ctx, span)
				r.played(span, result, time.Since(begin))
			}
		})
	}
	workers.Wait()
	r.tellSuspects()
	r.result.Interrupted = ctx.Err() != nil
	r.result.Took = time.Since(r.began)
	return r.result
}

// run is a soak in progress.
type run struct {
	opts  Options
	began time.Time

	mu      sync.Mutex // guards all below, and calls of Failed and Tell
	changed *sync.Cond
	tests   []*progress
	playing int // spans
	result  Result
}

// progress is one test.
type progress struct {
	test    course.Test
	next    uint64  // the first seed that was never handed out
	end     uint64  // the seed after the last; 0 if there is no end
	back    []Span  // to be played before that
	handed  uint64  // seeds handed out: who has fewest comes next
	rate    float64 // seeds a second; 0 while it is not known
	playing int     // spans
	givenUp bool

	failures int
	suspects map[uint64]grade.TestResult // of seeds that failed among others and are yet to be told
}

func newRun(opts Options) *run {
	r := &run{opts: opts, began: time.Now()}
	r.changed = sync.NewCond(&r.mu)
	r.opts.MaxFailures = cmp.Or(opts.MaxFailures, defaultMaxFailures)
	r.opts.First = cmp.Or(opts.First, 1)
	for _, t := range opts.Tests {
		p := &progress{test: t, next: r.opts.First, suspects: map[uint64]grade.TestResult{}}
		if opts.Seeds > 0 {
			p.end = p.next + opts.Seeds
		}
		r.tests = append(r.tests, p)
	}
	r.result.Total = opts.Seeds * uint64(len(opts.Tests))
	return r
}

// take waits for a span to play. There is none any more if all is played or the soak is to end.
func (r *run) take(ctx context.Context) (Span, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		over := r.opts.For > 0 && time.Since(r.began) >= r.opts.For
		if ctx.Err() != nil || over {
			return Span{}, false
		}
		var best *progress
		for _, p := range r.tests {
			if p.hasWork() && (best == nil || p.handed < best.handed) {
				best = p
			}
		}
		if best != nil {
			r.playing++
			best.playing++
			return best.take(), true
		}
		if r.playing == 0 {
			r.changed.Broadcast()
			return Span{}, false
		}
		r.changed.Wait() // a span that is being played may come back in pieces
	}
}

func (p *progress) hasWork() bool {
	return !p.givenUp && (len(p.back) > 0 || p.end == 0 || p.next < p.end)
}

// take cuts off a span.
func (p *progress) take() Span {
	span := Span{First: p.next}
	if n := len(p.back); n > 0 {
		span = p.back[n-1]
		p.back = p.back[:n-1]
	} else {
		span.Seeds = firstSpan
		if p.rate > 0 {
			span.Seeds = uint64(min(max(p.rate*spanTime.Seconds(), 1), maxSpan))
		}
		if p.end > 0 {
			span.Seeds = min(span.Seeds, p.end-p.next)
		}
		p.next += span.Seeds
		p.handed += span.Seeds
	}
	span.Test = p.test
	limit := firstLimit
	if p.rate > 0 {
		limit = max(minLimit, time.Duration(slowness*float64(span.Seeds)/p.rate*float64(time.Second)))
	}
	span.Test.TimeoutSeconds = int(limit / time.Second)
	return span
}

// played takes in what became of a span.
func (r *run) played(span Span, result grade.TestResult, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	r.playing--
	p := r.tests[slices.IndexFunc(r.tests, func(p *progress) bool { return p.test.Name == span.Test.Name })]
	p.playing--
	if p.givenUp || result.Outcome == grade.NotRun {
		return
	}
	switch result.Outcome {
	case grade.Passed:
		if r.passedWithSuspects(p, span) {
			break
		}
		p.rate = float64(span.Seeds) / took.Seconds()
		r.result.Done += span.Seeds
	case grade.NotWritten, grade.NotBuilt, grade.NeverBegan:
		r.fail(p, Failure{Test: p.test, Result: result})
		p.giveUp(&r.result)
	default:
		r.failed(p, span, result)
	}
	if r.opts.Tell != nil {
		r.result.Took = time.Since(r.began)
		r.opts.Tell(r.result)
	}
}

// failed finds out the seed of a failure, or arranges that it will be found.
func (r *run) failed(p *progress, span Span, result grade.TestResult) {
	seeds := seedsOf(result, span)
	switch {
	case len(seeds) > 0 && span.Seeds > 1:
		// Several of the test's worlds may have failed, each with a seed of its own. The first is played alone, so that
		// what is kept is about it; what follows is played again.
		good := seeds[0] - span.First
		r.result.Done += good
		if good+1 < span.Seeds {
			p.back = append(p.back, Span{First: seeds[0] + 1, Seeds: span.Seeds - good - 1})
		}
		p.back = append(p.back, Span{First: seeds[0], Seeds: 1})
		for _, seed := range seeds {
			p.suspects[seed] = result
		}
	case span.Seeds > 1:
		half := span.Seeds / 2
		p.back = append(p.back,
			Span{First: span.First + half, Seeds: span.Seeds - half}, Span{First: span.First, Seeds: half})
	default:
		r.failedWith(p, span.First, result)
	}
}

// failedWith takes in the failure of one seed.
func (r *run) failedWith(p *progress, seed uint64, result grade.TestResult) {
	delete(p.suspects, seed)
	p.failures++
	r.result.Done++
	r.fail(p, Failure{Test: p.test, Seed: seed, Result: result})
	if p.failures >= r.opts.MaxFailures && (p.hasWork() || p.playing > 0) {
		p.giveUp(&r.result)
	}
}

// passedWithSuspects takes in a span that passed with seeds that failed before: they are not the same run twice, which is
// worth to be told all the more.
func (r *run) passedWithSuspects(p *progress, span Span) bool {
	var again []uint64
	for seed := range p.suspects {
		if seed >= span.First && seed-span.First < span.Seeds {
			again = append(again, seed)
		}
	}
	slices.Sort(again)
	for _, seed := range again {
		r.failedWith(p, seed, p.suspects[seed])
	}
	if len(again) > 0 {
		r.result.Done += span.Seeds - uint64(len(again))
	}
	return len(again) > 0
}

// tellSuspects tells of failures that were not played again alone, because the soak ended before.
func (r *run) tellSuspects() {
	for _, p := range r.tests {
		for _, seed := range slices.Sorted(maps.Keys(p.suspects)) {
			if !p.givenUp {
				r.failedWith(p, seed, p.suspects[seed])
			}
		}
	}
}

func (r *run) fail(p *progress, f Failure) {
	r.result.Failures++
	if r.opts.Failed != nil {
		r.opts.Failed(f)
	}
}

func (p *progress) giveUp(result *Result) {
	p.givenUp = true
	if !slices.Contains(result.GivenUp, p.test.Name) {
		result.GivenUp = append(result.GivenUp, p.test.Name)
	}
}

// seedFlag is how a command names its seed.
var seedFlag = regexp.MustCompile(`-seed[= ](\d+)`)

// seedsOf returns the seeds of the span that a failing test named in its replay commands, in order.
func seedsOf(result grade.TestResult, span Span) []uint64 {
	var seeds []uint64
	for _, command := range result.TestReplays {
		m := seedFlag.FindStringSubmatch(command)
		if m == nil {
			continue
		}
		seed, err := strconv.ParseUint(m[1], 10, 64)
		if err == nil && seed >= span.First && seed-span.First < span.Seeds {
			seeds = append(seeds, seed)
		}
	}
	slices.Sort(seeds)
	return slices.Compact(seeds)
}
