package store_test

import (
	"fmt"
	"runtime"
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/store"
)

// counter sums what the decisions of a store allocate: Handle, Turn and Done, without the engines and the network.
type counter struct {
	bench  *testing.B // not nil: its timer is what counts
	before runtime.MemStats
	after  runtime.MemStats
	sum    uint64
}

func (c *counter) count(f func()) {
	if c.bench != nil {
		c.bench.StartTimer()
		f()
		c.bench.StopTimer()
		return
	}
	runtime.ReadMemStats(&c.before)
	f()
	runtime.ReadMemStats(&c.after)
	c.sum += c.after.Mallocs - c.before.Mallocs
}

// putTogether writes n keys in one turn of the leader, and lets the others acknowledge them in one.
func putTogether(w *world, leader *node, n int, c *counter) {
	batches := make([]*engine.Batch, n)
	for i := range batches {
		batches[i] = put(fmt.Sprintf("key%05d", i), "0123456789012345678901234567890123456789")
	}
	var effects []store.Effect
	c.count(func() {
		for _, b := range batches {
			leader.w.nextID++
			leader.s.Handle(0, store.Write{ID: leader.w.nextID, RequestContext: leader.context(), Batch: b})
		}
		effects = leader.s.Turn(0)
	})
	for len(effects) > 0 {
		for _, e := range effects {
			leader.carryOut(e)
		}
		c.count(func() { leader.s.Done(0) })
		for _, other := range w.nodes {
			for other != leader && other.step() {
			}
		}
		events := leader.inbox
		leader.inbox = nil
		c.count(func() {
			for _, e := range events {
				leader.s.Handle(0, e)
			}
			effects = leader.s.Turn(0)
		})
	}
}

// What the leader's decisions allocate for a put. Those of raft alone are in raft/counts_test.go.
func TestAPutCostsFewAllocations(t *testing.T) {
	for _, tt := range []struct {
		together int
		most     float64
	}{{1, 26}, {16, 6.5}, {100, 5}} {
		t.Run(fmt.Sprintf("%d in a turn", tt.together), func(t *testing.T) {
			w := newWorld(t, 3)
			leader := w.elect()
			rounds := 2000 / tt.together
			putTogether(w, leader, tt.together, new(counter)) // what is used again is there now
			var c counter
			before := leader.s.Stats().LogSyncs
			for range rounds {
				putTogether(w, leader, tt.together, &c)
			}
			puts := uint64(rounds * tt.together)
			perPut := float64(c.sum) / float64(puts)
			t.Logf("%.2f allocations for a put", perPut)
			if perPut > tt.most {
				t.Errorf("%.2f allocations for a put, at most %.1f", perPut, tt.most)
			}
			if got := leader.s.Stats().LogSyncs - before; got != uint64(rounds) {
				t.Errorf("%d syncs of the leader's log for %d turns", got, rounds)
			}
			for id := range puts {
				if err := leader.answered(leader.w.nextID - id); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// The loop's own work for a put when a hundred share a turn; the engines and the followers are not counted.
func BenchmarkAPutOfManyInATurn(b *testing.B) {
	w := newWorld(b, 3)
	leader := w.elect()
	const n = 100
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for done := 0; done < b.N; done += n {
		putTogether(w, leader, n, &counter{bench: b})
	}
}

// What one put after another costs over all three stores.
func TestSyncsAndMessagesOfALonePut(t *testing.T) {
	w := newWorld(t, 3)
	leader := w.elect()
	w.must(leader.put("k", "v"))
	total := func() (syncs, messages, dataSyncs uint64) {
		for _, n := range w.nodes {
			s := n.s.Stats()
			syncs, messages, dataSyncs = syncs+s.LogSyncs, messages+s.MessagesSent, dataSyncs+s.DataSyncs
		}
		return syncs, messages, dataSyncs
	}
	syncs, messages, _ := total()
	for range 10 {
		w.must(leader.put("k", "v"))
	}
	s, m, d := total()
	if got := s - syncs; got != 30 {
		t.Errorf("%d syncs of logs for 10 puts, want one on each store for each", got)
	}
	if got := m - messages; got != 40 {
		t.Errorf("%d messages for 10 puts, want an append and an acknowledgement of each follower for each", got)
	}
	if d != 0 {
		t.Errorf("%d syncs of the data", d)
	}
}
