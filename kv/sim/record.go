// Recording a run as a list of decisions, and playing such a list.

package sim

import (
	"fmt"
	"time"
)

// recorder remembers decisions. It costs time, so a run that fails is played again to be recorded.
type recorder struct {
	recording bool
	playing   bool // decisions come from a list
	decisions []Decision
	told      int // lines of the story that belong to earlier decisions

	list    []Decision    // that is played
	quiet   time.Duration // when it counts as over
	skipped int
}

// record notes a decision that is about to be performed.
func (c *Cluster) record(d Decision) {
	if !c.recording {
		return
	}
	c.recordStory()
	c.decisions = append(c.decisions, d)
	if c.opts.Trace && d.Verb != VerbCall {
		c.tell(nil, "%s", d.String())
		c.told = len(c.story)
	}
}

// recordStory gives the lines that were told since the last decision to it.
func (c *Cluster) recordStory() {
	if len(c.decisions) > 0 {
		last := &c.decisions[len(c.decisions)-1]
		last.Told = append(last.Told, c.story[c.told:]...)
	}
	c.told = len(c.story)
}

// Played is what a list of decisions led to.
type Played struct {
	Result
	Skipped int // decisions that no longer apply: their store was down, say
}

// quietTicks is how long after its last decision a list that is played counts as over.
const quietTicks = 100

// Play performs a list of decisions in a fresh cluster of the seed. If the code is what it was when the list was
// recorded, it is the same run. If it has changed, those that no longer apply are skipped. A list that reaches the calm
// but ends without progress goes on with clients of its own. One that never gets there is judged by its histories alone.
func Play(seed uint64, decisions []Decision, opts Options) Played {
	opts.Record = opts.Record || opts.Trace
	return newCluster(seed, opts).replay(decisions)
}

func (c *Cluster) replay(decisions []Decision) (p Played) {
	c.playing, c.list = true, decisions
	for i := range decisions {
		c.at(decisions[i].At, event{kind: evDecision})
	}
	p.Result = c.guard(c.play)
	p.Skipped = c.skipped
	return p
}

// play plays the list to its end and what follows from it.
func (c *Cluster) play() {
	var last time.Duration
	if n := len(c.list); n > 0 {
		last = c.list[n-1].At
	}
	c.quiet = last + quietTicks*tick
	c.at(c.quiet, event{kind: evPlayed})
	for !c.calm {
		if c.step(); c.now > c.quiet {
			c.checkHistory()
			return
		}
	}
	c.untilProgress()
	c.converge()
}

// playNext performs the next decision of the list.
func (c *Cluster) playNext() {
	d := c.list[0]
	c.list = c.list[1:]
	d.Told = nil
	if !c.do(d) {
		c.skipped++
	}
}

// tell adds a line to the story, about a store if there is one.
func (c *Cluster) tell(p *process, format string, args ...any) {
	if !c.opts.Trace {
		return
	}
	text := fmt.Sprintf(format, args...)
	if p != nil {
		text = fmt.Sprintf("s%d %s", p.id, text)
	}
	c.story = append(c.story, fmt.Sprintf("%9.3f  %s", ticks(c.now), text))
}

func ticks(d time.Duration) float64 { return float64(d) / float64(tick) }

// note adds to the hash, and to the story if it is told.
func (c *Cluster) note(p *process, what string, values ...uint64) {
	h := mix(c.hash, uint64(c.now))
	if p != nil {
		h = mix(h, p.id)
	}
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * fnvPrime
	}
	for _, v := range values {
		h = mix(h, v)
	}
	c.hash = h
	if c.opts.Trace && p != nil {
		c.tell(p, "%s %v", what, values)
	}
}
