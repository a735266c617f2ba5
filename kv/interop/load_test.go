// Clients at work while there is trouble: what they are told is compared with what was promised.

package interop_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/rawkv"
)

// undetermined begins what a store says of a write that may or may not take effect; the client passes it on. Each is about
// a write that was under way when a leader lost its place.
const undetermined = "undetermined: "

// counter is a key whose value one writer counts up.
type counter struct {
	key                 []byte
	begun, acknowledged atomic.Int64
}

// load is writers, each with a key of its own, and readers of all keys, who share one client.
type load struct {
	client   *rawkv.Client
	counters []*counter
	stop     atomic.Bool
	wait     sync.WaitGroup
	unknown  atomic.Int64 // writes whose fate nobody knew
	reads    atomic.Int64

	mu    sync.Mutex // guards wrong
	wrong []string   // what should not have been
}

const (
	loadWriters = 8
	loadReaders = 8
	readPause   = time.Millisecond // or they would leave the writers no processor
	// requestLimit bounds the client's own patience, which is 20 s for each of several things that may go wrong.
	requestLimit = 2 * recovery
)

// startLoad works until the test ends or finish is called.
func startLoad(t *testing.T, client *rawkv.Client) *load {
	l := &load{client: client}
	for i := range loadWriters {
		l.counters = append(l.counters, &counter{key: fmt.Appendf(nil, "counter-%d", i)})
	}
	for _, c := range l.counters {
		l.wait.Go(func() { l.write(c) })
	}
	for seed := range loadReaders {
		l.wait.Go(func() { l.read(rand.New(rand.NewPCG(uint64(seed), 1))) })
	}
	t.Cleanup(func() { l.finish(t) })
	return l
}

// finish ends the work, and looks at every key once more.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.wait.Wait()
	for _, c := range l.counters {
		l.check(c)
	}
	l.report(t)
}

// fail notes what should not have been. The work ends.
func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop.Store(true)
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// report lets the test fail if anything was wrong since the last report.
func (l *load) report(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.wrong {
		t.Error(text)
	}
	l.wrong = nil
}

// write counts up. The client may not give up; all that it may say is that a store lost sight of a write.
func (l *load) write(c *counter) {
	for n := int64(1); !l.stop.Load(); n++ {
		c.begun.Store(n)
		ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
		err := l.client.Put(ctx, c.key, strconv.AppendInt(nil, n, 10))
		cancel()
		switch {
		case err == nil:
			c.acknowledged.Store(n)
		case strings.Contains(err.Error(), undetermined):
			l.unknown.Add(1)
		default:
			l.fail("put %d to %s: %v", n, c.key, err)
		}
	}
}

func (l *load) read(random *rand.Rand) {
	for !l.stop.Load() {
		l.check(l.counters[random.IntN(len(l.counters))])
		l.reads.Add(1)
		time.Sleep(readPause)
	}
}

// check reads a key: it must hold what was acknowledged before, or what a later write has put there.
func (l *load) check(c *counter) {
	least := c.acknowledged.Load()
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	value, err := l.client.Get(ctx, c.key)
	cancel()
	most := c.begun.Load()
	if err != nil {
		l.fail("get %s: %v", c.key, err)
		return
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if value == nil {
		n, err = 0, nil
	}
	if err != nil || n < least || n > most {
		l.fail("%s is %q; %d was acknowledged before the read, and %d begun by its end", c.key, value, least, most)
	}
}

// awaitProgress waits until each writer was acknowledged some more writes, and returns how long that took.
func (l *load) awaitProgress(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	const more = 20
	begun := time.Now()
	wanted := map[*counter]int64{}
	for _, c := range l.counters {
		wanted[c] = c.acknowledged.Load() + more
	}
	for c, n := range wanted {
		for c.acknowledged.Load() < n {
			if time.Since(begun) > limit {
				t.Fatalf("%s: not %d more writes within %v", c.key, more, limit)
			}
			if l.stop.Load() {
				l.report(t)
				t.FailNow()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return time.Since(begun)
}

func (l *load) written() (n int64) {
	for _, c := range l.counters {
		n += c.acknowledged.Load()
	}
	return n
}
