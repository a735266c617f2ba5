package transport

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// playAtRandom lets two stores talk while the world is unkind, in virtual time.
func playAtRandom(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, new(Memory))
	o := w.options(1)
	o.QueueMessages = 50
	one, two := w.startWith(o), w.start(2)
	unblock := func() {}
	var given, last uint64
	check := func() {
		two.inbox.mu.Lock()
		defer two.inbox.mu.Unlock()
		for _, n := range numbers(two.messages) {
			if n <= last {
				t.Fatalf("message %d after %d", n, last)
			}
			last = n
		}
		two.messages = nil
	}
	for range 500 {
		switch rng.IntN(12) {
		case 0:
			one.Cut(2)
		case 1:
			one.Heal(2)
		case 2:
			two.Cut(1)
		case 3:
			two.Heal(1)
		case 4:
			unblock()
			unblock = two.block()
		case 5:
			unblock()
		case 6:
			check()
			unblock()
			two.close()
			two = w.start(2)
		default:
			for range rng.IntN(30) {
				given++
				one.sendOne(2, given)
			}
		}
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		}
	}
	unblock()
	one.Heal(2)
	two.Heal(1)
	time.Sleep(time.Second)
	synctest.Wait()
	check()
	given++
	one.sendOne(2, given)
	synctest.Wait()
	check()
	if last != given {
		t.Errorf("when all is well again, message %d does not arrive; the last was %d", given, last)
	}
	s := one.Stats()
	d := s.Dropped
	if sum := s.Sent.Messages + d.Full + d.Unreachable + d.Cut + s.WaitingMessages; sum != given {
		t.Errorf("%d messages were given, %d are accounted for: %+v", given, sum, s)
	}
	one.close()
	two.close()
}
