package rafttest

import "tinykv/raft"

// Recording a run as a list of decisions, and playing such a list.

// recorder remembers decisions. It costs time, so a run that fails is played again to be recorded.
type recorder struct {
	recording bool
	playing   bool            // decisions come from a list: no event is scheduled
	waiting   []*raft.Message // messages that are on their way, in the order they were sent
	fates     []Decision      // what the network decided about messages while a decision was performed
	decisions []Decision
	told      int // lines of the story that belong to earlier decisions

	current *Decision
	effects int // of the current decision, up to now
}

// record notes a decision that is about to be performed.
func (c *Cluster) record(d *Decision) {
	c.recordFates()
	r := *d
	if r.Verb == VerbDeliver || r.Verb == VerbDrop {
		r.takeFrom(&c.waiting)
	}
	c.decisions = append(c.decisions, r)
}

// recordFates turns what became of messages during the last decision into decisions that follow it.
func (c *Cluster) recordFates() {
	c.recordStory()
	for _, d := range c.fates {
		msg := d.takeFrom(&c.waiting)
		if d.Verb == VerbRepeat {
			c.waiting = append(c.waiting, msg, msg)
		}
		c.decisions = append(c.decisions, d)
		c.tellFate(&d, msg)
		c.recordStory()
	}
	c.fates = c.fates[:0]
}

// recordStory gives the lines that were told since the last decision to it.
func (c *Cluster) recordStory() {
	if len(c.decisions) > 0 {
		last := &c.decisions[len(c.decisions)-1]
		last.Told = append(last.Told, c.trace[c.told:]...)
	}
	c.told = len(c.trace)
}

// fate notes what the network decided about a message.
func (c *Cluster) fate(verb Verb, m *raft.Message) {
	if c.recording {
		c.fates = append(c.fates, c.about(verb, m))
	}
}

func (c *Cluster) about(verb Verb, m *raft.Message) Decision {
	return Decision{At: c.now, Verb: verb, Node: m.From, To: m.To, Type: m.Type, msg: m}
}

// takeFrom removes from waiting the message that the decision is about: msg if that is known, which sets Nth; the Nth
// newest of the type on the link otherwise, or the oldest if there are fewer. Nil if there is none.
func (d *Decision) takeFrom(waiting *[]*raft.Message) *raft.Message {
	at, nth := -1, -1
	for i := len(*waiting) - 1; i >= 0; i-- {
		m := (*waiting)[i]
		if m.From != d.Node || m.To != d.To || m.Type != d.Type {
			continue
		}
		at, nth = i, nth+1
		if d.msg == m || d.msg == nil && nth == d.Nth {
			break
		}
	}
	if at < 0 {
		return nil
	}
	m := (*waiting)[at]
	d.Nth = nth
	*waiting = append((*waiting)[:at], (*waiting)[at+1:]...)
	return m
}

// pickMessage finds the message that is to be delivered.
func (c *Cluster) pickMessage(d *Decision) bool {
	if c.playing {
		d.msg = d.takeFrom(&c.waiting)
	}
	return d.msg != nil
}

// moveMessage drops or repeats a message. A seeded run has done so already.
func (c *Cluster) moveMessage(d *Decision) bool {
	if !c.playing {
		c.tellFate(d, d.msg)
		return true
	}
	m := d.takeFrom(&c.waiting)
	if m == nil {
		return false
	}
	if d.Verb == VerbRepeat {
		c.waiting = append(c.waiting, m, m)
	}
	c.tellFate(d, m)
	return true
}

func (c *Cluster) tellFate(d *Decision, m *raft.Message) {
	if c.opts.Trace {
		c.tellAt(d.At, verbNames[d.Verb]+" "+FormatMessage(m))
	}
}

// Played is what a list of decisions led to.
type Played struct {
	Result
	Applied int
	Skipped int // decisions that no longer apply: their message was not sent, their node was down
}

// Play performs a list of decisions in a fresh cluster. If the code is what it was when the list was recorded, it is
// the same run. If it has changed, those that no longer apply are skipped. A list that reaches the calm phase but ends
// without progress goes on with a fair schedule, so that a failure of liveness is either there still or gone.
func Play(decisions []Decision, opts Options) (p Played) {
	opts.Record = false
	c := emptyCluster(1, opts)
	c.playing = true
	p.Result = c.guard(func() {
		for i := range decisions {
			d := decisions[i]
			d.msg = nil
			c.now = max(c.now, d.At)
			c.events++
			if c.do(&d) {
				p.Applied++
			} else {
				p.Skipped++
			}
		}
		if c.calm && !c.progressed() {
			c.resume()
		}
	})
	return p
}

// resume goes on with a seeded schedule after a list of decisions has ended.
func (c *Cluster) resume() {
	c.playing = false
	for _, m := range c.waiting {
		c.deliver(int(m.To-1), m)
	}
	c.waiting = nil
	for _, n := range c.nodes {
		if n.rn != nil {
			c.resumeNode(n)
		}
	}
	c.scheduleClients()
	c.untilProgress()
}

func (c *Cluster) resumeNode(n *node) {
	c.schedule(event{at: c.now + n.period, kind: evTick, node: n.index(), life: n.life})
	for range n.writes {
		c.schedule(event{at: c.now + c.syncDelay(), kind: evSynced, node: n.index(), life: n.life})
	}
	for range n.applies {
		c.schedule(event{at: c.now + c.syncDelay(), kind: evApply, node: n.index(), life: n.life})
	}
}
