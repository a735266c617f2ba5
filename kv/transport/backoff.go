// How long to wait before a store is tried again.

package transport

import (
	"math/rand/v2"
	"time"
)

// backoff doubles the pause with each failure, from first to most. Each pause is drawn from the upper half of that, so
// that stores which lost the same peer at the same time do not all come back at the same time.
type backoff struct {
	first, most time.Duration
	pause       time.Duration // before jitter; 0: there was no failure yet
	rand        *rand.Rand
}

// next counts a failure and returns the pause after it.
func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, b.first), b.most)
	half := b.pause / 2
	return half + time.Duration(b.rand.Int64N(int64(half)+1))
}

// interval is the pause after the latest failure, without jitter; the first one's if there was none.
func (b *backoff) interval() time.Duration { return max(b.pause, b.first) }

// reset forgets the failures.
func (b *backoff) reset() { b.pause = 0 }
