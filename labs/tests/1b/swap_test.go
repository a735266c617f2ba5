// Compare-and-swap: what it compares, what it answers, and that it is one step.

package stage1b_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tinykv/proto/kvrpcpb"
)

func TestCompareAndSwap(t *testing.T) {
	missing := "(missing)"
	for _, c := range []struct {
		present string
		swap    swap
		succeed bool
	}{
		{missing, swap{absent: true, value: "new"}, true},
		{missing, swap{absent: true, value: ""}, true},
		{missing, swap{previous: "", value: "new"}, false}, // missing is not empty
		{missing, swap{previous: "old", value: "new"}, false},
		{"", swap{previous: "", value: "new"}, true},
		{"", swap{absent: true, value: "new"}, false}, // empty is not missing
		{"", swap{previous: "old", value: "new"}, false},
		{"old", swap{previous: "old", value: "new"}, true},
		{"old", swap{previous: "old", value: ""}, true},
		{"old", swap{previous: "old", value: "old"}, true},
		{"old", swap{absent: true, value: "new"}, false},
		{"old", swap{absent: true, previous: "old", value: "new"}, false}, // previous_not_exist: previous_value plays no part
		{missing, swap{absent: true, previous: "old", value: "new"}, true},
		{"old", swap{previous: "ol", value: "new"}, false},
		{"old", swap{previous: "old ", value: "new"}, false},
		{"old", swap{previous: "", value: "new"}, false},
	} {
		d := open(t, oneStep)
		if c.present != missing {
			d.put("k", c.present)
		}
		d.put("kk", "neighbour")
		d.store.reset()
		c.swap.key = "k"
		r, tr := d.swap(c.swap)
		d.fine(tr)
		if r.GetSucceed() != c.succeed {
			d.broken(fmt.Sprintf("succeed %v: the key is %s", c.succeed, c.present), fmt.Sprintf("succeed %v", r.GetSucceed()))
		}
		// What was found is told in both cases.
		if r.GetPreviousNotExist() != (c.present == missing) {
			d.broken(fmt.Sprintf("previous_not_exist %v: the key is %s", c.present == missing, c.present),
				fmt.Sprint(r.GetPreviousNotExist()))
		}
		if c.present != missing && string(r.GetPreviousValue()) != c.present {
			d.broken("previous_value "+q(c.present), q(string(r.GetPreviousValue())))
		}
		if n, _ := d.store.counted(); !c.succeed && n.writes > 0 {
			d.broken("nothing is written", fmt.Sprintf("%d batches", n.writes))
		}
		switch {
		case c.succeed:
			d.has("", "k", c.swap.value)
		case c.present == missing:
			d.lacks("", "k")
		default:
			d.has("", "k", c.present)
		}
		d.has("", "kk", "neighbour")
		d.settled()
	}
}

// TestSwapIsOneStep holds the write of a first compare-and-swap until a second request on its key is under way.
func TestSwapIsOneStep(t *testing.T) {
	for _, second := range []call{
		{`RawCompareAndSwap("k": if "old" then "second")`, func(d *desk) (answer, error) {
			return d.kv.RawCompareAndSwap(d.ctx(), swap{key: "k", previous: "old", value: "second"}.request())
		}},
		{`RawPut("k", "second")`, func(d *desk) (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: []byte("second")})
		}},
		{`RawBatchPut("a"="" "k"="second")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Pairs: []*kvrpcpb.KvPair{{Key: []byte("a")},
				{Key: []byte("k"), Value: []byte("second")}}})
		}},
		{`RawDelete("k")`, func(d *desk) (answer, error) {
			return d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Key: []byte("k")})
		}},
		{`RawBatchDelete("a" "k")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchDelete(d.ctx(), &kvrpcpb.RawBatchDeleteRequest{Keys: bytesOf([]string{"a", "k"})})
		}},
		{`RawDeleteRange("a", "z")`, func(d *desk) (answer, error) {
			return d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("a"), EndKey: []byte("z")})
		}},
	} {
		d := open(t, oneStep)
		d.put("k", "old")
		reached, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		d.store.reset()
		d.store.onWrite = func(n int) {
			if n == 1 {
				once.Do(func() { close(reached) })
				<-release
			}
		}
		first := make(chan *kvrpcpb.RawCASResponse, 1)
		d.say(`RawCompareAndSwap("k": if "old" then "first"); its batch is on its way to the disk`)
		go func() {
			r, _ := d.kv.RawCompareAndSwap(d.ctx(), swap{key: "k", previous: "old", value: "first"}.request())
			first <- r
		}()
		select {
		case <-reached:
		case <-time.After(patience):
			close(release)
			d.broken("the batch of the first compare-and-swap reaches the storage", "it does not")
		}
		type end struct {
			r   answer
			err error
		}
		other := make(chan end, 1)
		d.say("%s at the same time", second.name)
		go func() {
			r, err := second.do(d)
			other <- end{r, err}
		}()
		var early *end
		select {
		case e := <-other: // not kept out: it ends before the first one has written
			early = &e
		case <-time.After(30 * time.Millisecond):
		}
		close(release)
		d.say("the first batch is written")
		r := <-first
		e := early
		if e == nil {
			select {
			case got := <-other:
				e = &got
			case <-time.After(patience):
				d.broken("the second request goes on when the first one has ended", "it still waits")
			}
		}
		d.fine(troubleOf(e.r, e.err))
		final, found, tr := d.get("", "k")
		d.fine(tr)
		if cas, ok := e.r.(*kvrpcpb.RawCASResponse); ok {
			if r.GetSucceed() && cas.GetSucceed() {
				d.broken("one of the two compare-and-swaps finds \"old\", the other finds what that one wrote", "both succeeded",
					"the value is now "+q(final))
			}
			if !r.GetSucceed() || final != "first" {
				d.broken(`succeed true for the first one, and the value "first"`, fmt.Sprintf("succeed %v, the value %s",
					r.GetSucceed(), q(final)))
			}
			continue
		}
		if r.GetSucceed() && found && final == "first" {
			d.broken("the second request comes before the compare, which then fails, or after the swap, and is what is found",
				`the swap succeeded, and "first" has overwritten what the second request had done`)
		}
		d.settled()
	}
}

func TestSwapsOfManyClientsAllCount(t *testing.T) {
	d := open(t, oneStep)
	d.put("n", "0")
	const clients, times = 6, 15
	d.say("%d clients add 1 to a number by RawCompareAndSwap, %d times each, until each has succeeded", clients, times)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var wg sync.WaitGroup
	failed := make(chan string, clients)
	for range clients {
		wg.Go(func() {
			now := "0"
			for done := 0; done < times; {
				n := 0
				fmt.Sscan(now, &n)
				next := fmt.Sprint(n + 1)
				r, err := d.kv.RawCompareAndSwap(ctx, swap{key: "n", previous: now, value: next}.request())
				if tr := troubleOf(r, err); tr.any() {
					failed <- tr.String()
					return
				}
				if r.GetSucceed() {
					done, now = done+1, next
				} else {
					now = string(r.GetPreviousValue())
				}
			}
		})
	}
	wg.Wait()
	select {
	case bad := <-failed:
		d.broken("no error", bad)
	default:
	}
	d.has("", "n", fmt.Sprint(clients*times))
	d.settled()
}

func TestSwapLetsGoOfItsKey(t *testing.T) {
	d := open(t, oneStep)
	d.put("k", "1")
	try := func(why string, s swap) {
		t.Helper()
		if _, tr := d.swap(s); tr.status != nil {
			d.broken("an answer: "+why, tr.String())
		}
	}
	try("the condition does not hold", swap{key: "k", previous: "0", value: "x"})
	try("the one before has let go of the key", swap{key: "k", previous: "0", value: "x"})
	d.store.writeErr = errDisk
	try("the write fails", swap{key: "k", previous: "1", value: "x"})
	d.store.writeErr, d.store.getErr, d.store.itErr = nil, errDisk, errDisk
	try("the read fails", swap{key: "k", previous: "1", value: "x"})
	d.store.getErr, d.store.itErr, d.store.snapErr = nil, nil, errDisk
	try("the snapshot fails", swap{key: "k", previous: "1", value: "x"})
	d.store.snapErr = nil
	r, tr := d.swap(swap{key: "k", previous: "1", value: "2"})
	d.fine(tr)
	if !r.GetSucceed() {
		d.broken("succeed true", "succeed false")
	}
	d.put("k", "3")
	d.del("k")
	d.fine(d.tryDeleteRange("", "", ""))
	d.lacks("", "k")
	d.settled()
}
