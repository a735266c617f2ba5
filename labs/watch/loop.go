// Loop: when to run.

package watch

import (
	"context"
	"slices"
	"time"
)

// Quiet is how long there must be no change before a run begins: longer than an editor takes to write and rename a
// file, and shorter than a person notices.
const Quiet = 150 * time.Millisecond

// Loop calls run once and then again after changes, with their names, sorted and each once. It returns when ctx is
// cancelled or changes is closed, after the last run has returned. The context of a run is cancelled when a change
// makes it stale.
func Loop(ctx context.Context, changes <-chan string, run func(ctx context.Context, changed []string)) {
	r := runner{run: run}
	defer r.stop()
	r.start(ctx, nil)
	var pending []string
	quiet := time.NewTimer(Quiet)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case name, ok := <-changes:
			if !ok {
				r.wait()
				return
			}
			if !slices.Contains(pending, name) {
				pending = append(pending, name)
			}
			quiet.Reset(Quiet)
		case <-quiet.C:
			slices.Sort(pending)
			r.stop()
			r.start(ctx, pending)
			pending = nil
		}
	}
}

// runner holds the one run that may be going.
type runner struct {
	run    func(context.Context, []string)
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *runner) start(ctx context.Context, changed []string) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	r.cancel, r.done = cancel, done
	go func() {
		defer close(done)
		r.run(ctx, changed)
	}()
}

// stop cancels the run and waits until it has returned.
func (r *runner) stop() {
	r.cancel()
	r.wait()
}

func (r *runner) wait() {
	<-r.done
	r.cancel()
}
