// Compare-and-swap: what it compares, what it answers, and that it is one step.

package stage1b_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
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

// TestSwapWaitsForWrites is the other way round: a plain write is on its way to the disk when a compare-and-swap comes.
func TestSwapWaitsForWrites(t *testing.T) {
	for _, c := range []struct {
		call
		left string // what the write leaves; "" is missing
	}{
		{call{`RawPut("k", "put")`, func(d *desk) (answer, error) {
			return d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte("k"), Value: []byte("put")})
		}}, "put"},
		{call{`RawBatchPut("a"="" "k"="put")`, func(d *desk) (answer, error) {
			return d.kv.RawBatchPut(d.ctx(), &kvrpcpb.RawBatchPutRequest{Pairs: []*kvrpcpb.KvPair{{Key: []byte("a")},
				{Key: []byte("k"), Value: []byte("put")}}})
		}}, "put"},
		{call{`RawDelete("k")`, func(d *desk) (answer, error) {
			return d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Key: []byte("k")})
		}}, ""},
		{call{`RawDeleteRange("a", "z")`, func(d *desk) (answer, error) {
			return d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{StartKey: []byte("a"), EndKey: []byte("z")})
		}}, ""},
	} {
		d := open(t, oneStep)
		d.put("k", "old")
		d.store.reset()
		reached, compared := make(chan struct{}), make(chan struct{})
		letWrite, letSwap := make(chan struct{}), make(chan struct{})
		d.store.onWrite = func(n int) {
			switch n {
			case 1:
				close(reached)
				<-letWrite
			case 2:
				close(compared)
				<-letSwap
			}
		}
		written, swapped := make(chan trouble, 1), make(chan trouble, 1)
		d.say("%s; its batch is on its way to the disk", c.name)
		go func() { written <- troubleOf(c.do(d)) }()
		wait := func(what string, done <-chan trouble) {
			t.Helper()
			select {
			case tr := <-done:
				d.fine(tr)
			case <-time.After(patience):
				d.broken(what, "it still waits")
			}
		}
		select {
		case <-reached:
		case <-time.After(patience):
			close(letWrite)
			d.broken("its batch reaches the storage", "it does not")
		}
		d.say(`RawCompareAndSwap("k": if "old" then "swapped") at the same time`)
		go func() {
			swapped <- troubleOf(d.kv.RawCompareAndSwap(d.ctx(), swap{key: "k", previous: "old", value: "swapped"}.request()))
		}()
		select {
		case <-compared: // not kept out: it has found "old", and its batch is on its way as well
			d.say(`the swap has found "old", and its batch is on its way as well`)
		case <-time.After(50 * time.Millisecond):
		}
		close(letWrite)
		d.say("the first batch is written")
		wait("the write is acknowledged", written)
		close(letSwap)
		wait("the compare-and-swap goes on when the write has ended", swapped)
		final, found, tr := d.get("", "k")
		d.fine(tr)
		if want := c.left; final != want || found != (want != "") {
			left := "the key is missing"
			if want != "" {
				left = "the value " + q(want)
			}
			d.broken(left+": the write comes after the swap, or the swap finds what it left, and fails",
				describe(final, found, tr), "a write holds its keys until the storage has it: what was acknowledged is lost")
		}
		d.settled()
	}
}

// TestSweepIsOneStep: the removal of what has expired looks and writes by the same recipe as compare-and-swap.
func TestSweepIsOneStep(t *testing.T) {
	expired := func() *desk {
		d := open(t, oneStep)
		for _, k := range []string{"a", "b", "c"} {
			d.say("RawPut(%q, ttl 10)", k)
			r, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte(k), Value: []byte("old"), Ttl: 10})
			d.fine(troubleOf(r, err))
		}
		d.say("the clock of the store goes 100 seconds ahead")
		d.later.Store(100)
		d.store.reset()
		return d
	}
	type end struct {
		removed int
		err     error
	}
	// A pair that is written while the removal of it is on its way to the disk stays.
	for _, key := range []string{"a", "b", "c"} {
		d := expired()
		reached, release := make(chan struct{}), make(chan struct{})
		d.store.onWrite = func(n int) {
			if n == 1 {
				close(reached)
				<-release
			}
		}
		sweep, put := make(chan end, 1), make(chan trouble, 1)
		d.say("SweepExpired: its batch, which removes a, b and c, is on its way to the disk")
		go func() {
			n, err := d.sweep(d.ctx(), nil)
			sweep <- end{n, err}
		}()
		select {
		case <-reached:
		case <-time.After(patience):
			close(release)
			d.broken("its batch reaches the storage", "it does not")
		}
		d.say("RawPut(%q, \"new\") at the same time", key)
		go func() {
			put <- troubleOf(d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Key: []byte(key), Value: []byte("new")}))
		}()
		select {
		case tr := <-put: // not kept out
			put <- tr
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		d.say("the first batch is written")
		for range 2 {
			select {
			case tr := <-put:
				d.fine(tr)
			case e := <-sweep:
				if e.err != nil || e.removed != 3 {
					d.broken("3 pairs removed, no error", fmt.Sprintf("%d pairs, error %v", e.removed, e.err))
				}
			case <-time.After(patience):
				d.broken("both end", "one still waits")
			}
		}
		d.has("", key, "new") // all keys that were looked at are held, not only the first
		d.settled()
	}
	// All pairs are written anew before the second look: there is nothing to remove, and nothing is written.
	d := expired()
	d.rule = cheap
	d.store.onSnap = func(n int) {
		if n != 2 {
			return
		}
		var b engine.Batch
		for _, k := range []string{"a", "b", "c"} {
			one, err := raw.Put(engine.Default, []byte(k), []byte("new"), raw.NoTTL, 0)
			if err != nil {
				t.Error(err)
				return
			}
			b.Append(one)
		}
		if err := d.store.e.Write(&b, engine.Buffered); err != nil {
			t.Error(err)
		}
	}
	d.say("SweepExpired finds a, b and c; then another client writes them anew; then it looks again")
	removed, err := d.sweep(d.ctx(), nil)
	if err != nil || removed != 0 {
		d.broken("0 pairs removed, no error", fmt.Sprintf("%d pairs, error %v", removed, err))
	}
	if n, _ := d.store.counted(); n.writes > 0 {
		d.broken("a batch without operations is not written: each Write costs a sync of the disk",
			fmt.Sprintf("%d Write of the storage", n.writes))
	}
	d.store.onSnap = nil
	d.has("", "a", "new")
	d.settled()
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
