// A seeded world: a clock that jumps, a disk that is slow and fails either way, crashes and stops at any point. After
// every step the invariants of the package's page are checked.

package tso_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"tinykv/scheduler/tso"
)

var seedFlag = flag.Uint64("seed", 0, "run only this seed of the seeded test")

func TestTimestampsAreUniqueAndIncreaseInASeededWorld(t *testing.T) {
	first, count := uint64(1), uint64(300)
	if *seedFlag != 0 {
		first, count = *seedFlag, 1
	}
	var reached [numEvents]int
	for seed := first; seed < first+count; seed++ {
		w := newWorld(seed, &reached)
		for range 400 {
			if err := w.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v\nreplay: go test ./scheduler/tso -run %s -seed %d",
					seed, w.steps, err, t.Name(), seed)
			}
		}
	}
	if *seedFlag != 0 {
		return
	}
	for e, n := range reached {
		if n == 0 {
			t.Errorf("the world never reached %s: the test is not about what it says", eventNames[e])
		}
	}
}

const (
	granted = iota
	refused
	crashedWhilePersisting
	failedButDurable
	clockBack
	clockAhead
	logicalOverflow
	numEvents
)

var eventNames = [numEvents]string{"a grant", "a refusal", "a crash during a persist",
	"a failed persist that was durable",
	"a clock going back", "a clock jumping ahead", "a logical part that overflows"}

type world struct {
	rng    *rand.Rand
	oracle *tso.Oracle
	now    int64
	steps  int

	durable  int64 // what a restart loads
	inFlight int64 // bound on its way to the disk, or 0
	lastUpTo int64 // of this oracle

	nextID uint64
	open   map[uint64]uint32 // request -> count, not answered yet
	last   tso.Timestamp     // greatest ever granted, by any oracle

	reached *[numEvents]int
}

func newWorld(seed uint64, reached *[numEvents]int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), now: 1_700_000_000_000, reached: reached}
	w.restart()
	return w
}

func (w *world) restart() {
	window := []int64{0, 1, 2, 10, 3000}[w.rng.IntN(5)]
	w.oracle = tso.New(w.durable, tso.Options{WindowMillis: window})
	w.open, w.inFlight, w.lastUpTo = map[uint64]uint32{}, 0, 0
}

// step does one random thing and checks what came of it.
func (w *world) step() error {
	w.steps++
	switch p := w.rng.IntN(100); {
	case p < 55:
		w.nextID++
		count := w.someCount()
		w.open[w.nextID] = count
		return w.check(w.oracle.Request(w.now, w.nextID, count))
	case p < 75:
		return w.diskAnswers()
	case p < 94:
		w.moveClock()
	case p < 98:
		w.crash()
	default:
		if err := w.check(w.oracle.Stop()); err != nil {
			return err
		}
		if len(w.open) != 0 {
			return fmt.Errorf("T4: %d requests without an answer after Stop", len(w.open))
		}
		w.crash() // what the disk still had in flight may land later than Stop, but before the next leader loads
	}
	return nil
}

func (w *world) someCount() uint32 {
	switch w.rng.IntN(10) {
	case 0:
		return 0
	case 1:
		return tso.MaxCount + uint32(w.rng.IntN(2))
	case 2:
		return uint32(w.rng.IntN(tso.MaxCount))
	}
	return uint32(1 + w.rng.IntN(100))
}

func (w *world) diskAnswers() error {
	if w.inFlight == 0 {
		return w.check(w.oracle.Persisted(w.now)) // an answer that nobody waits for changes nothing
	}
	upTo := w.inFlight
	w.inFlight = 0
	switch w.rng.IntN(5) {
	case 0:
		return w.check(w.oracle.PersistFailed(errors.New("disk full")))
	case 1:
		w.durable = upTo
		w.reached[failedButDurable]++
		return w.check(w.oracle.PersistFailed(errors.New("timeout")))
	}
	w.durable = upTo
	waited := len(w.open)
	if err := w.check(w.oracle.Persisted(w.now)); err != nil {
		return err
	}
	if waited > 0 && len(w.open) == waited {
		return errors.New("T5: the disk answered and nobody was served")
	}
	return nil
}

func (w *world) moveClock() {
	switch w.rng.IntN(6) {
	case 0:
		w.now -= w.rng.Int64N(10_000_000)
		w.reached[clockBack]++
	case 1:
		w.now += w.rng.Int64N(10_000_000)
		w.reached[clockAhead]++
	case 2:
		w.now++
	default:
		w.now += w.rng.Int64N(50)
	}
}

func (w *world) crash() {
	if w.inFlight != 0 {
		w.reached[crashedWhilePersisting]++
		if w.rng.IntN(2) == 0 {
			w.durable = w.inFlight
		}
	}
	w.restart()
}

// check holds effects against the invariants.
func (w *world) check(effects []tso.Effect) error {
	for _, e := range effects {
		switch e := e.(type) {
		case tso.Persist:
			if w.inFlight != 0 {
				return fmt.Errorf("T3: persist %d while %d is in flight", e.UpTo, w.inFlight)
			}
			if e.UpTo < w.lastUpTo || e.UpTo < w.durable {
				return fmt.Errorf("T3: persist %d after %d, with %d durable", e.UpTo, w.lastUpTo, w.durable)
			}
			w.inFlight, w.lastUpTo = e.UpTo, e.UpTo
		case tso.Grant:
			if err := w.checkGrant(e); err != nil {
				return err
			}
			w.reached[granted]++
		case tso.Refuse:
			if _, ok := w.open[e.ID]; !ok {
				return fmt.Errorf("T4: request %d refused, but it does not wait", e.ID)
			}
			delete(w.open, e.ID)
			w.reached[refused]++
		}
	}
	if len(w.open) > 0 && w.inFlight == 0 {
		return fmt.Errorf("T4: %d requests wait, but not for the disk", len(w.open))
	}
	return nil
}

func (w *world) checkGrant(g tso.Grant) error {
	count, ok := w.open[g.ID]
	switch {
	case !ok:
		return fmt.Errorf("T4: request %d granted, but it does not wait", g.ID)
	case count != g.Count:
		return fmt.Errorf("request %d asked for %d and got %d", g.ID, count, g.Count)
	case g.First().Logical < 0 || g.Last.Logical > tso.MaxLogical:
		return fmt.Errorf("grant %v..%v leaves its millisecond", g.First(), g.Last)
	case g.First().Uint64() <= w.last.Uint64():
		return fmt.Errorf("T1: %v granted after %v", g.First(), w.last)
	case g.Last.Physical >= w.durable:
		return fmt.Errorf("T2: %v granted, but only %d is durable", g.Last, w.durable)
	}
	if w.last.Logical+int64(g.Count) > tso.MaxLogical && g.Last.Physical == w.last.Physical+1 {
		w.reached[logicalOverflow]++
	}
	delete(w.open, g.ID)
	w.last = g.Last
	return nil
}
