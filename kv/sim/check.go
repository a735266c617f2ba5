// What must hold after every step. Each check names the invariant that doc.go lists.

package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// fail ends the run.
func (c *Cluster) fail(invariant, format string, args ...any) {
	panic(rafttest.Failure{Invariant: invariant, Text: fmt.Sprintf(format, args...)})
}

// checkTimePasses finds a store that turns round and round: nothing it does takes time, so nothing else would ever happen.
func (c *Cluster) checkTimePasses() {
	const limit = 100_000 // a busy cluster has some hundreds of steps at once
	if c.atOnce > limit {
		c.fail("rest", "%d turns, and no time has passed: some store always has something to do", c.atOnce)
	}
}

// durable is what a process has on its disks for certain: what it may promise.
type durable struct {
	hard    raft.HardState
	last    raftlog.Position
	applied uint64
}

// logState is what a log says of the region: one that a restart may find must be one that was written.
type logState struct {
	there, installing bool
	hard              raft.HardState
	truncated, last   raftlog.Position
}

// logState reads what the log of a running process says.
func (p *process) logState() logState {
	state, there, err := p.raftLog.State(firstRegion)
	if err != nil {
		p.c.fail("disk", "store %d: state of the log: %v", p.id, err)
	}
	return logState{there, state.Install != nil, state.Hard, state.Truncated, state.Last}
}

// noteWritten notes what a crash may leave from now on, too.
func (p *process) noteWritten() {
	if p.written != nil {
		p.written = append(p.written, p.logState())
	}
}

// checkStart compares what a store finds with what it had made durable.
func (p *process) checkStart() {
	state, _, err := p.raftLog.State(firstRegion)
	if err != nil {
		p.c.fail("disk", "store %d: state of the log: %v", p.id, err)
	}
	found := p.logState()
	switch known := slices.Contains(p.written, found); {
	case p.written != nil && !known && !p.rotten:
		p.c.fail("durable", "store %d starts with the log %+v; the last that it wrote was %+v", p.id, found,
			p.written[len(p.written)-1])
	case known && !found.there:
		p.durable = durable{} // the peer was removed, and with it what it had promised
	}
	p.written = []logState{found}
	applied, _, _ := p.readState()
	p.mirror.installing = state.Install != nil && applied.Index < state.Truncated.Index // or only the note is left
	p.readMirror()
	p.mirror.truncated = state.Truncated.Index
	was, is := p.durable.hard, state.Hard
	forgot := is.Term == was.Term && was.Vote != raft.None && is.Vote != was.Vote
	if is.Term < was.Term || forgot || is.Commit < was.Commit {
		p.c.fail("durable", "store %d made %+v durable and starts with %+v", p.id, was, is)
	}
	if state.Last.Term == p.durable.last.Term && state.Last.Index < p.durable.last.Index {
		p.c.fail("durable", "store %d made its log durable up to %v and starts with %v", p.id, p.durable.last, state.Last)
	}
	if p.mirror.applied < p.durable.applied {
		p.c.fail("durable", "store %d made its data durable up to %d and starts with %d", p.id, p.durable.applied,
			p.mirror.applied)
	}
	p.durable = durable{hard: is, last: state.Last, applied: p.mirror.applied}
}

// checkLog looks at the log after a write. It must keep every entry that the data store might lose.
func (p *process) checkLog(how engine.Durability) {
	state, there, err := p.raftLog.State(firstRegion)
	if err != nil {
		p.c.fail("disk", "store %d: state of the log: %v", p.id, err)
	}
	if !there {
		p.durable = durable{} // the peer was removed, and with it what it had promised
		if how == engine.Synced {
			p.written = append(p.written[:0], p.logState())
		}
		return
	}
	if state.Truncated.Index > p.durable.applied && state.Install == nil && p.mirror.member {
		p.c.fail("log-kept", "store %d dropped its log up to %d, but its data is durable up to %d only", p.id,
			state.Truncated.Index, p.durable.applied)
	}
	if state.Truncated.Index > p.mirror.truncated {
		if p.mirror.truncated > 0 && state.Install == nil {
			p.c.saw("log compacted")
		}
		p.mirror.truncated = state.Truncated.Index
	}
	if how == engine.Synced {
		p.durable.hard, p.durable.last = state.Hard, state.Last
		p.written = append(p.written[:0], p.logState())
	}
}

// checkSent checks persist-before-send: nothing is shown that a crash could take back.
func (p *process) checkSent(m *replica.Message) {
	if p.failed != nil {
		p.c.fail("fail-stop", "store %d sends %s after its disk failed", p.id, p.c.describeMessage(m))
	}
	r, hard := &m.Raft, p.durable.hard
	if m.RegionID != firstRegion || r.Type == raft.MsgPreVote || r.Type == raft.MsgPreVoteResp {
		return
	}
	switch {
	case hard.Term < r.Term:
		p.c.fail("persist-before-send", "store %d sends %s, durable is %+v", p.id, p.c.describeMessage(m), hard)
	case r.Type == raft.MsgVoteResp && !r.Reject && hard.Term == r.Term && hard.Vote != r.To:
		p.c.fail("persist-before-send", "store %d sends %s, durable is %+v", p.id, p.c.describeMessage(m), hard)
	case r.Type == raft.MsgAppResp && !r.Reject && hard.Term == r.Term && p.durable.last.Index < r.Index:
		p.c.fail("persist-before-send", "store %d sends %s, durable is %v", p.id, p.c.describeMessage(m), p.durable.last)
	}
}

// checkAfterFailure : a store whose disk has failed answers and ends, and does nothing else.
func (p *process) checkAfterFailure(e store.Effect) {
	switch e.(type) {
	case store.Publish, store.Answer, store.Halt:
	default:
		p.c.fail("fail-stop", "store %d wants %s after its disk failed", p.id, effectName(e))
	}
}

// checkAnswer checks what a caller is told.
func (p *process) checkAnswer(a *attempt, ans *replica.Answer) {
	c := p.c
	var undetermined *region.UndeterminedError
	switch {
	case ans.Err != nil && !documented(ans.Err):
		c.fail("answers", "store %d answers request %d with an error of no documented kind: %v", p.id, ans.ID, ans.Err)
	case a.call == nil:
		if ans.Err == nil {
			c.saw("operator served")
		}
		return
	case ans.Read != a.reads:
		c.fail("answers", "store %d takes request %d for another kind of request", p.id, ans.ID)
	case ans.Err == nil && p.failed != nil:
		c.fail("fail-stop", "store %d acknowledges %s after its disk failed", p.id, c.describeCall(a))
	}
	c.note(p, "answers", ans.ID, ans.Term)
	if c.opts.Trace {
		c.tell(p, "answers %s: %v", c.describeCall(a), orOK(ans.Err))
	}
	if a.reads || a.call.kind != callPut && a.call.kind != callSwap {
		return
	}
	switch fate := c.ledger.fates[a.value]; {
	case ans.Err == nil && (fate.index == 0 || fate.index > p.mirror.applied):
		c.fail("acknowledged-applied", "store %d acknowledges %s, which it has not applied", p.id, c.describeCall(a))
	case ans.Err == nil:
		fate.acknowledged = true
		c.ledger.fates[a.value] = fate
		c.ledger.acked = max(c.ledger.acked, fate.index)
		for _, q := range c.processes {
			q.checkLeaseFresh()
		}
	case errors.As(ans.Err, &undetermined):
	case fate.index != 0:
		c.fail("refused-applied", "store %d refuses %s for good (%v), and it was applied at %d", p.id, c.describeCall(a),
			ans.Err, fate.index)
	default:
		fate.refused = true
		c.ledger.fates[a.value] = fate
	}
}

func orOK(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// publish takes what a store lets everybody know.
func (p *process) publish(views []replica.View) {
	for i := range views {
		v := &views[i]
		if v.Region.ID != firstRegion {
			p.c.fail("address", "store %d speaks of region %d", p.id, v.Region.ID)
		}
		samePeer := p.view.Peer == v.Peer
		back := v.Installs == p.view.Installs && v.Applied.Index < p.view.Applied.Index
		if samePeer && !v.Gone && (v.Term < p.view.Term || back) {
			p.c.fail("monotone", "store %d published term %d, applied %v, and now term %d, applied %v", p.id, p.view.Term,
				p.view.Applied, v.Term, v.Applied)
		}
		if v.Leads() && !(samePeer && p.view.Leads() && p.view.Term == v.Term) {
			p.c.saw("elected")
			p.c.ledger.leads(p, v.Term)
			p.c.annotate("store %d leads term %d", p.id, v.Term)
		}
		if v.Applied.Index > p.mirror.applied && !v.Installing {
			p.c.fail("published-applied", "store %d publishes that it applied %d, but it applied %d", p.id, v.Applied.Index,
				p.mirror.applied)
		}
		if v.Peer.ID != 0 && v.Peer.ID <= p.tomb && !v.Gone {
			p.c.fail("data-removed", "store %d has peer %d, and it had removed peer %d before", p.id, v.Peer.ID, p.tomb)
		}
		p.view = *v
		if c := p.c; c.opts.Trace {
			c.tell(p, "publishes %s", describeView(v))
		}
		p.checkLease()
		p.checkLeaseFresh()
	}
}

// checkLease : two leases never hold at the same time.
func (p *process) checkLease() {
	if !p.trusted() {
		return
	}
	for _, other := range p.c.processes {
		if other != p && other.core != nil && other.trusted() {
			p.c.fail("one-lease", "the leases of store %d (term %d) and store %d (term %d) hold at the same time",
				p.id, p.view.Term, other.id, other.view.Term)
		}
	}
}

// checkLeaseFresh : who holds a lease has applied what anybody has acknowledged, for readers may read there now.
func (p *process) checkLeaseFresh() {
	if p.core != nil && !p.paused() && p.trusted() && p.mirror.applied < p.c.ledger.acked {
		p.c.fail("fresh", "store %d holds a lease (term %d) and has applied %d, and %d was acknowledged", p.id, p.view.Term,
			p.mirror.applied, p.c.ledger.acked)
	}
}

// checkFresh : a read sees what was acknowledged before it came, whatever its keys are.
func (p *process) checkFresh(a *attempt) {
	if p.mirror.applied < a.acked || p.mirror.installing {
		p.c.fail("fresh", "store %d serves %s with what is applied up to %d, and %d was acknowledged before it came", p.id,
			p.c.describeCall(a), p.mirror.applied, a.acked)
	}
}

// checkIdle : when a store has nothing to do, nobody waits who has given up; but for writes whose leader leads still, which
// will know soon what became of them. And no more wait than may.
func (p *process) checkIdle() {
	for _, id := range p.cancelled {
		leads := p.view.Leads() || p.view.Gone // one that was removed may lead until it has handed over
		if a := p.waiting[id]; a != nil && (a.reads || !leads) {
			p.c.fail("one-answer", "store %d has nothing to do, and request %d, which was cancelled, still waits", p.id, id)
		}
	}
	p.cancelled = slices.DeleteFunc(p.cancelled, func(id uint64) bool { return p.waiting[id] == nil })
	limits := &p.c.limits
	if len(p.waiting) <= min(limits.MaxReads, limits.MaxWrites) {
		return
	}
	reads, writes := 0, 0
	for _, a := range p.waiting {
		switch {
		case a.call == nil || a.ours:
		case a.reads:
			reads++
		default:
			writes++
		}
	}
	if reads > limits.MaxReads || writes > limits.MaxWrites {
		p.c.fail("bounded", "%d reads and %d writes wait at store %d", reads, writes, p.id)
	}
}

// untidyEntries is how many entries that are not kept may lie on the disk of a log: they may be removed by and by.
const untidyEntries = 100

// checkLogDisk : what lies on the disk of the log is what is kept, two records, and nothing that piles up.
func (p *process) checkLogDisk() {
	s, err := p.logDisk.Snapshot()
	if err != nil {
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	defer s.Close()
	it, err := s.Iterator(engine.Default, engine.IterOptions{})
	if err != nil {
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	defer it.Close()
	records := 0
	for ok := it.First(); ok; ok = it.Next() {
		records++
	}
	if kept := p.kept(); records > 2*int(kept)+2+untidyEntries && it.Err() == nil {
		p.c.fail("bounded", "store %d keeps %d entries of its log, and %d records lie on its disk", p.id, kept, records)
	}
}

// trusted tells whether readers may serve by this process's view now.
func (p *process) trusted() bool {
	return p.view.LeaseUntil > p.clock() && !p.view.Installing && !p.view.Gone
}

// readState reads what the data store says of the peer: the position it has applied, if there is any data of it, and
// whether it is a member as far as it knows.
func (p *process) readState() (applied raftlog.Position, there, member bool) {
	s, err := p.engine.Snapshot()
	if err != nil {
		p.c.fail("disk", "store %d: %v", p.id, err)
	}
	defer s.Close()
	applied, there, err = replica.ReadApplied(s, firstRegion)
	rec, known, err2 := replica.ReadRecord(s, firstRegion)
	if err = errors.Join(err, err2); err != nil && !p.rotten {
		p.c.fail("disk", "store %d: records: %v", p.id, err)
	}
	if rec.Tombstone {
		p.tomb = rec.Peer.ID
	}
	return applied, there, there && known && !rec.Tombstone
}

const everything = math.MaxUint64

// documented tells whether an error is one that a request may be answered with, so that a client knows what to do.
func documented(err error) bool {
	var (
		notLeader    *region.NotLeaderError
		notFound     *region.NotFoundError
		epoch        *region.EpochNotMatchError
		otherStore   *region.StoreNotMatchError
		otherPeer    *region.PeerNotMatchError
		outside      *region.KeyNotInRegionError
		busy         *region.BusyError
		stale        *region.StaleCommandError
		undetermined *region.UndeterminedError
		otherCluster *store.ClusterError
	)
	return errors.As(err, &notLeader) || errors.As(err, &notFound) || errors.As(err, &epoch) ||
		errors.As(err, &otherStore) || errors.As(err, &otherPeer) || errors.As(err, &outside) ||
		errors.As(err, &busy) || errors.As(err, &stale) || errors.As(err, &undetermined) ||
		errors.As(err, &otherCluster) || errors.Is(err, store.ErrCancelled) ||
		errors.Is(err, raft.ErrConfChangePending) || errors.Is(err, raft.ErrBadConfChange) ||
		errors.Is(err, raft.ErrBadTransfer)
}
