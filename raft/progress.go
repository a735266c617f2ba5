package raft

import "slices"

// ProgressState is how a leader sends the log to one follower.
//
//	           ack                      needs what is compacted
//	probe ------------> replicate     probe, replicate -------------> snapshot
//	  ^                     |           ^                                |
//	  +---------------------+           +--------------------------------+
//	   rejection, unreachable            installed, or the report says so
type ProgressState uint8

const (
	// ProgressProbe : where the logs agree is not known; one append, then wait for its answer or a heartbeat's.
	ProgressProbe ProgressState = iota
	// ProgressReplicate : the logs agree; appends follow each other without waiting, within a window.
	ProgressReplicate
	// ProgressSnapshot : a snapshot is on its way; no appends until it has arrived or failed.
	ProgressSnapshot
)

// String returns the name used in traces.
func (s ProgressState) String() string {
	switch s {
	case ProgressProbe:
		return "probe"
	case ProgressReplicate:
		return "replicate"
	case ProgressSnapshot:
		return "snapshot"
	}
	return "unknown"
}

// progress is a leader's view of one member, itself included.
//
// Invariants:
//
//	P1. match < next. match never falls while the leader leads: the member's log equals the leader's up to match.
//	P2. In replicate, entries match < i < next are in flight, and window bounds them.
type progress struct {
	id    uint64
	match uint64
	next  uint64 // index of the next entry to send
	state ProgressState

	waiting    bool // probe: an append is out
	nudge      bool // an append is due even if there is nothing to send: it finds out what was lost
	tellCommit bool // an append is due to tell the commit index
	active     bool // heard from since the last check of the quorum

	pendingSnapshot uint64 // snapshot: the index of the one that is on its way
	ackedRound      uint64 // the newest round of heartbeats it answered
	window          window
}

// become enters a state anew: nothing is in flight, nothing is awaited.
func (p *progress) become(s ProgressState) {
	p.state = s
	p.waiting = false
	p.pendingSnapshot = 0
	p.window.reset()
}

// probeAfterSnapshot leaves the snapshot state for that of a probe. If the snapshot arrived, the log is continued
// after pendingSnapshot, else after what is known to match, which makes another snapshot; never before match (P1).
// Either way wait for a sign of life first.
func (p *progress) probeAfterSnapshot(arrived bool) {
	p.next = p.match + 1
	if arrived {
		p.next = max(p.next, p.pendingSnapshot+1)
	}
	p.become(ProgressProbe)
	p.waiting = true
}

// paused reports whether no append may be sent now.
func (p *progress) paused() bool {
	switch p.state {
	case ProgressProbe:
		return p.waiting
	case ProgressReplicate:
		return p.window.full()
	}
	return true
}

// due reports whether an append is to be sent: allowed, and there is something to say.
func (p *progress) due(last uint64) bool {
	return (p.next <= last || p.nudge || p.tellCommit) && !p.paused()
}

// sent notes that an append with these entries is on its way: what was due (nudge, tellCommit) is done. In probe, the
// next one waits for an answer (waiting). In replicate, if there are entries, they take a place in the window, with
// their last index and their size (totalBytes), and next goes on behind them as if they had arrived.
func (p *progress) sent(entries []Entry) {
	p.nudge, p.tellCommit = false, false
	switch {
	case p.state == ProgressProbe:
		p.waiting = true
	case len(entries) > 0: // replicate: go on as if it had arrived
		last := entries[len(entries)-1].Index
		p.window.add(last, totalBytes(entries))
		p.next = last + 1
	}
}

// acked notes that the member has everything up to index, and reports whether that is news: index is beyond match.
// match never falls, and next stays beyond it. Answers may be old or come twice. What else it means depends on the
// state:
//
//   - probe: unless the answer is an old one (match is already beyond it), the logs agree: replicate, after match;
//   - replicate: the window has room again (freeTo);
//   - snapshot: once match has reached pendingSnapshot, replicate, after match.
func (p *progress) acked(index uint64) bool {
	news := index > p.match
	p.match = max(p.match, index)
	p.next = max(p.next, p.match+1)
	switch p.state {
	case ProgressProbe:
		if index == p.match { // an old answer says nothing about the probe that is out
			p.become(ProgressReplicate)
			p.next = p.match + 1
		}
	case ProgressReplicate:
		p.window.freeTo(index)
	case ProgressSnapshot:
		if p.match >= p.pendingSnapshot {
			p.become(ProgressReplicate)
			p.next = p.match + 1
		}
	}
	return news
}

// rejected notes that the member does not have the entry before the append it was sent, prev, and agrees with us at
// hint at most. It reports whether that is news; answers to older appends are not, and change nothing:
//
//   - prev is not beyond match: since then the member has acknowledged it;
//   - in probe, prev is not the entry before next: another append was asked about;
//   - in snapshot, always.
//
// In replicate something was lost on the way: probe, after match. In probe, next becomes the entry after hint, but
// goes back by one at least, and never to match or below; and the wait is over.
func (p *progress) rejected(prev, hint uint64) bool {
	switch p.state {
	case ProgressReplicate:
		if prev <= p.match {
			return false
		}
		p.become(ProgressProbe)
		p.next = p.match + 1
		return true
	case ProgressProbe:
		if prev != p.next-1 || prev <= p.match {
			return false
		}
		p.next = max(p.match+1, min(prev, hint+1))
		p.waiting = false
		return true
	}
	return false
}

// totalBytes is what entries count against limits.
func totalBytes(entries []Entry) uint64 {
	var sum uint64
	for i := range entries {
		sum += entries[i].size()
	}
	return sum
}

// findProgress returns the progress of a member, or nil. The list is sorted and short; no map, so that its order is
// the same in every run.
func findProgress(list []progress, id uint64) *progress {
	for i := range list {
		if list[i].id == id {
			return &list[i]
		}
	}
	return nil
}

// window holds the appends in flight to one follower, oldest first, in a ring that grows to its limit at most.
type window struct {
	ring     []flight
	start    int
	count    int
	bytes    uint64
	maxCount int
	maxBytes uint64
}

// flight is one append: acknowledged when the member has last.
type flight struct {
	last  uint64
	bytes uint64
}

func (w *window) reset() { w.start, w.count, w.bytes = 0, 0, 0 }

// full reports whether another append must wait. A single one may exceed maxBytes, else a large entry never went.
func (w *window) full() bool {
	return w.count >= w.maxCount || w.count > 0 && w.bytes >= w.maxBytes
}

func (w *window) add(last, bytes uint64) {
	if w.count == len(w.ring) {
		w.grow()
	}
	w.ring[(w.start+w.count)%len(w.ring)] = flight{last: last, bytes: bytes}
	w.count++
	w.bytes += bytes
}

func (w *window) grow() {
	ring := make([]flight, min(max(2*len(w.ring), 4), max(w.maxCount, w.count+1)))
	for i := range w.count {
		ring[i] = w.ring[(w.start+i)%len(w.ring)]
	}
	w.ring, w.start = ring, 0
}

// freeTo drops the appends that an acknowledgement of index covers.
func (w *window) freeTo(index uint64) {
	for w.count > 0 && w.ring[w.start].last <= index {
		w.freeFirst()
	}
}

// freeFirst drops the oldest append.
func (w *window) freeFirst() {
	if w.count == 0 {
		return
	}
	w.bytes -= w.ring[w.start].bytes
	w.start = (w.start + 1) % len(w.ring)
	w.count--
}

// insertSorted adds id to a sorted list of distinct ids, in a new array.
func insertSorted(ids []uint64, id uint64) []uint64 {
	i, found := slices.BinarySearch(ids, id)
	if found {
		return ids
	}
	return slices.Concat(ids[:i], []uint64{id}, ids[i:])
}

// remove drops id from a sorted list, in a new array.
func remove(ids []uint64, id uint64) []uint64 {
	i, found := slices.BinarySearch(ids, id)
	if !found {
		return ids
	}
	return slices.Concat(ids[:i], ids[i+1:])
}
