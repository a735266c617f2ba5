// Backoff: how long to wait before the next attempt. Pure: randomness comes from a seeded source, and nobody sleeps
// here.

package client

import (
	"math/rand/v2"
	"time"
)

// reason is why an attempt has to wait. Each kind of trouble has its own pace: the end of an election is a matter of
// milliseconds, a busy store is better left alone.
type reason uint8

const (
	staleRoute  reason = iota // the picture was wrong, and has been corrected or dropped
	noLeader                  // an election is under way, or a command lost its leader
	busy                      // the store has too much to do
	unreachable               // nobody answered
	numReasons
)

// pace is the range of pauses for a reason: the first, and the longest.
type pace struct{ first, longest time.Duration }

var paces = [numReasons]pace{
	staleRoute: {2 * time.Millisecond, 500 * time.Millisecond},
	// An election takes a second or two, and the next attempt should not come long after its end.
	noLeader: {10 * time.Millisecond, 200 * time.Millisecond},
	busy:     {100 * time.Millisecond, 3 * time.Second},
	// As long as the others have not noticed that a leader is gone they send us back to it: so this is part of an election.
	unreachable: {20 * time.Millisecond, 200 * time.Millisecond},
}

// backoff counts the attempts of one call. Pauses double, and are drawn from the upper half of their range, so that
// clients that failed together do not come back together.
type backoff struct {
	rng      *rand.Rand
	attempts [numReasons]int
}

func newBackoff(seed uint64) *backoff { return &backoff{rng: rand.New(rand.NewPCG(seed, 0))} }

// pause is how long to wait before the next attempt, and at least as long as the store asked for.
func (b *backoff) pause(why reason, asked time.Duration) time.Duration {
	p := paces[why]
	full := p.first << min(b.attempts[why], 20)
	full = min(full, p.longest)
	b.attempts[why]++
	return max(asked, full/2+time.Duration(b.rng.Int64N(int64(full/2)+1)))
}
