// Three stores as real processes, and clients that share keys while stores are killed, stopped and cut off: the history
// must be linearizable.
//
//	clients    put values that are never used twice, and get; what was not answered may or may not have happened
//	nemesis    a round each: kill -9, SIGSTOP, or cut links, of one store or of two, then all is mended
//	judge      porcupine, key by key; a verdict that it can't reach is a failure
//
// It is the simulator (kv/sim) that plays thousands of hours. This is for what it can't see: goroutines, sockets, real
// syncs.
//
//	make chaos ROUNDS=200

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tinykv/kv/client"
)

var chaosRounds = flag.Int("rounds", 6, "how often TestChaos makes trouble")

const (
	chaosClients = 16
	chaosKeys    = 8
	chaosTimeout = 2 * time.Second        // of one request
	chaosPause   = 5 * time.Millisecond   // of a client between two requests, so that the history can be judged
	never        = 1 << 62                // when a put returns whose outcome nobody knows
	chaosCalm    = 300 * time.Millisecond // before each trouble, and after it
)

// deed is what a client did, in porcupine's words the input; its output is what was read.
type deed struct {
	key   int
	put   bool
	value string
}

// register is a key: a put sets it, a get must see what was set last. "" is a key without a value.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := make([][]porcupine.Operation, chaosKeys)
		for _, op := range history {
			key := op.Input.(deed).key
			keys[key] = append(keys[key], op)
		}
		return keys
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if d := input.(deed); d.put {
			return true, d.value
		}
		return output.(string) == state.(string), state
	},
	DescribeOperation: func(input, output any) string {
		if d := input.(deed); d.put {
			return fmt.Sprintf("put %d = %s", d.key, d.value)
		}
		return fmt.Sprintf("get %d: %q", input.(deed).key, output)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%q", state) },
}

// chronicle is the history of all clients.
type chronicle struct {
	begun time.Time

	mu         sync.Mutex // guards the following
	operations []porcupine.Operation
	unknown    int
}

func (c *chronicle) now() int64 { return int64(time.Since(c.begun)) }

// tell adds what a client was told. A put of which it knows nothing may happen at any time up to the end of the world; a
// get without an answer says nothing.
func (c *chronicle) tell(id int, d deed, called int64, read string, err error) {
	returned := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
	case !d.put:
		return
	case errors.Is(err, client.ErrUndetermined) || errors.Is(err, context.DeadlineExceeded):
		returned = never
		c.unknown++
	default:
		return // it says that nothing has happened
	}
	c.operations = append(c.operations,
		porcupine.Operation{ClientId: id, Input: d, Call: called, Output: read, Return: returned})
}

// ask does one thing after the other until ctx ends.
func (c *chronicle) ask(ctx context.Context, id int, kv client.Raw, random *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		d := deed{key: random.IntN(chaosKeys), put: random.IntN(2) == 0, value: fmt.Sprintf("%d.%d", id, n)}
		key := fmt.Appendf(nil, "key%d", d.key)
		// A request that has begun is always waited for: what it did must not be left open by the end of the test.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), chaosTimeout)
		called := c.now()
		if d.put {
			c.tell(id, d, called, "", kv.Put(limit, key, []byte(d.value)))
		} else {
			value, _, err := kv.Get(limit, key)
			c.tell(id, d, called, string(value), err)
		}
		cancel()
		time.Sleep(chaosPause)
	}
}

// trouble makes one kind of trouble and mends it.
func (c *crew) trouble(random *rand.Rand) (what string) {
	c.t.Helper()
	victims := []uint64{1 + random.Uint64N(3)}
	if random.IntN(3) == 0 {
		victims = []uint64{c.leader()} // the one that hurts most
	}
	if random.IntN(4) == 0 {
		victims = append(victims, 1+victims[0]%3) // no quorum is left
	}
	switch random.IntN(4) {
	case 0, 1:
		for _, id := range victims {
			c.stores[id].kill()
		}
		time.Sleep(time.Duration(random.Int64N(int64(2 * chaosCalm))))
		c.start(victims...)
		c.awaitReady(victims...)
		return "killed"
	case 2:
		for _, id := range victims {
			c.signal(id, syscall.SIGSTOP)
		}
		time.Sleep(chaosCalm + time.Duration(random.Int64N(int64(2*chaosCalm))))
		for _, id := range victims {
			c.signal(id, syscall.SIGCONT)
		}
		return "stopped"
	}
	c.cables(victims[0], "cut")
	time.Sleep(chaosCalm + time.Duration(random.Int64N(int64(2*chaosCalm))))
	c.cables(victims[0], "heal")
	return "cut off"
}

func (c *crew) signal(id uint64, s syscall.Signal) {
	c.t.Helper()
	if err := c.stores[id].cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// cables cuts or heals those between a store and the others.
func (c *crew) cables(id uint64, act string) {
	c.t.Helper()
	for other := uint64(1); other <= 3; other++ {
		if other == id {
			continue
		}
		url := fmt.Sprintf("http://%s/faults/%s?store=%d", c.status[id], act, other)
		request, err := http.NewRequestWithContext(within(c.t, readyLimit), http.MethodPost, url, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			c.t.Fatalf("%s: %s", url, answer.Status)
		}
	}
}

// TestChaosLeavesALinearizableHistory prints what it has done; its verdict depends on no time but the judge's.
func TestChaosLeavesALinearizableHistory(t *testing.T) {
	c := newCrew(t)
	c.more = []string{"--faults"}
	c.begin()
	random := rand.New(rand.NewPCG(*killSeed, 7))
	told := &chronicle{begun: time.Now()}
	ctx, end := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for id := range chaosClients {
		kv, own := c.connect().Raw(), rand.New(rand.NewPCG(*killSeed, 100+uint64(id)))
		clients.Go(func() { told.ask(ctx, id, kv, own) })
	}
	count := map[string]int{}
	for range *chaosRounds {
		time.Sleep(chaosCalm)
		count[c.trouble(random)]++
	}
	time.Sleep(chaosCalm)
	end()
	clients.Wait()
	told.judge(t)
	t.Logf("%d rounds (%v), %d operations by %d clients on %d keys in %v, %d of unknown outcome: linearizable",
		*chaosRounds, count, len(told.operations), chaosClients, chaosKeys, time.Since(told.begun).Round(time.Second),
		told.unknown)
	if len(told.operations) < 50**chaosRounds {
		t.Errorf("only %d operations: too few to show anything", len(told.operations))
	}
}

// judge asks porcupine, and leaves a picture if there is no order in which the answers make sense.
func (c *chronicle) judge(t *testing.T) {
	t.Helper()
	verdict, info := porcupine.CheckOperationsVerbose(register, c.settled(), 5*time.Minute)
	switch verdict {
	case porcupine.Ok:
		return
	case porcupine.Unknown:
		t.Fatalf("the history of %d operations could not be judged in time", len(c.operations))
	}
	picture := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(register, info, picture); err != nil {
		t.Error(err)
	}
	t.Fatalf("the history is not linearizable: see %s (kept with go test -artifacts); play it with -seed %d", picture, *killSeed)
}

// settled leaves out the puts of unknown outcome whose value nobody read: whether they happened can't matter, and each of
// them would double the judge's work.
func (c *chronicle) settled() []porcupine.Operation {
	read := map[string]bool{}
	for _, op := range c.operations {
		if !op.Input.(deed).put {
			read[op.Output.(string)] = true
		}
	}
	var kept []porcupine.Operation
	for _, op := range c.operations {
		if op.Return != never || read[op.Input.(deed).value] {
			kept = append(kept, op)
		}
	}
	return kept
}
