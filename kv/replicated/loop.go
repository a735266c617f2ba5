// The loop: one goroutine that turns the store.
//
//	wait ──► take all that waits ──► Handle each ──► Turn ──► carry out the effects, in their order ──► Done ──► again

package replicated

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
)

// countersInterval is the time between two copies of the core's counters.
const countersInterval = 200 * time.Millisecond

// core is the part of store.Store that the loop drives.
type core interface {
	Handle(now time.Duration, e store.Event)
	Turn(now time.Duration) []store.Effect
	Done(now time.Duration)
	Fail(err error)
	NextTick() time.Duration
	Stats() store.Stats
}

// loop is what only its goroutine touches.
type loop struct {
	*Store
	core    core
	callers map[uint64]*caller // of the requests that were handed to the core and not answered
	items   []item
	halted  bool
	counted time.Duration // when the core's counters were last shown
}

// run turns the store until it halts.
func (l *loop) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.halted {
		l.items = l.inbox.take(l.items)
		l.handle()
		worked := l.turn()
		l.showCounters()
		if worked || len(l.items) > 0 {
			continue // what the turn did may be cause for the next one
		}
		timer.Reset(max(0, l.core.NextTick()-l.now()))
		select {
		case <-l.inbox.wake:
		case <-timer.C:
		}
	}
	l.views.retire()
	l.dismissRest()
}

// showCounters copies the core's counters, now and then, to where monitors can see them.
func (l *loop) showCounters() {
	if now := l.now(); now-l.counted >= countersInterval || l.halted {
		l.counted = now
		stats := l.core.Stats()
		l.metrics.core.Store(&stats)
	}
}

// handle gives the core what was taken.
func (l *loop) handle() {
	if len(l.items) == 0 {
		return
	}
	now := l.now()
	l.metrics.taken.Observe(float64(len(l.items)))
	for i := range l.items {
		it := &l.items[i]
		if it.failure != nil {
			l.fail(it.failure)
			continue
		}
		if it.caller != nil {
			id, _ := about(it.event)
			l.callers[id] = it.caller
		}
		l.core.Handle(now, it.event)
	}
}

// turn takes a turn and carries it out. It reports whether there was anything to do.
func (l *loop) turn() bool {
	effects := l.core.Turn(l.now())
	if len(effects) == 0 {
		return false
	}
	l.metrics.turns.Inc()
	for _, e := range effects {
		if err := l.carryOut(e); err != nil {
			l.fail(err)
			return true
		}
	}
	if !l.halted {
		l.core.Done(l.now())
	}
	return true
}

// fail ends all writing and sending: the next turn answers everybody.
func (l *loop) fail(err error) {
	l.broken(err)
	l.core.Fail(err)
}

// carryOut does one thing. Its error is that of a disk.
func (l *loop) carryOut(e store.Effect) error {
	switch e := e.(type) {
	case store.Publish:
		l.views.publish(e.Views)
	case store.Send:
		l.send(e.Messages)
	case store.WriteLog:
		return l.writeLog(e)
	case store.WriteData:
		return l.writeData(e)
	case store.Answer:
		return l.answer(e.Answers)
	case store.SyncData:
		l.background.start(func() { l.syncData(e) })
	case store.Stream:
		l.background.start(func() { l.stream(e) })
	case store.Install:
		l.background.start(func() { l.install(e) })
	case store.Discard:
		l.background.start(func() { l.discard(e.Spool) })
	case store.Halt:
		l.halted = true
		if e.Err != nil {
			l.broken(e.Err)
		}
	default:
		panic(fmt.Sprintf("replicated: an effect that nobody carries out: %T", e))
	}
	return nil
}

func (l *loop) writeLog(e store.WriteLog) error {
	begun := time.Now()
	if err := l.opts.Log.Write(e.Batch, e.Durability); err != nil {
		return fmt.Errorf("write the raft log: %w", err)
	}
	l.metrics.wroteLog(e.Durability, time.Since(begun))
	return nil
}

func (l *loop) writeData(e store.WriteData) error {
	begun := time.Now()
	size := e.Batch.Size()
	if err := l.opts.Data.Write(e.Batch, engine.Buffered); err != nil {
		return fmt.Errorf("write the data: %w", err)
	}
	l.metrics.wroteData(size, time.Since(begun))
	return nil
}

// send hands messages to the transport: those for one store together, in their order.
func (l *loop) send(messages []replica.Message) {
	l.metrics.sent.Add(float64(len(messages)))
	for len(messages) > 0 {
		to := messages[0].To.StoreID
		n := 1
		for n < len(messages) && messages[n].To.StoreID == to {
			n++
		}
		l.transport.Send(to, messages[:n])
		messages = messages[n:]
	}
}

// answer tells callers. Those whose reads were confirmed share one engine snapshot, which is taken now: that is what was
// confirmed. With an error nobody was told anything.
func (l *loop) answer(answers []replica.Answer) error {
	shared, err := l.sharedSnapshot(answers)
	if err != nil {
		return fmt.Errorf("read the data: %w", err)
	}
	for _, a := range answers {
		c := l.callers[a.ID]
		if c == nil {
			panic(fmt.Sprintf("replicated: a second answer to request %d, or one to nobody", a.ID))
		}
		delete(l.callers, a.ID)
		if !c.claim() {
			continue // it has left
		}
		l.metrics.answered(a.Err)
		got := answer{err: a.Err, term: a.Term}
		if c.reads && a.Err == nil {
			got.snapshot = shared.share()
		}
		c.done <- got
	}
	if shared != nil {
		return shared.release()
	}
	return nil
}

// sharedSnapshot takes a snapshot with one hold of our own, if any of the answers needs it.
func (l *loop) sharedSnapshot(answers []replica.Answer) (*sharedSnapshot, error) {
	if !slices.ContainsFunc(answers, func(a replica.Answer) bool { return a.Read && a.Err == nil }) {
		return nil, nil
	}
	snap, err := l.opts.Data.Snapshot()
	if err != nil {
		return nil, err
	}
	shared := &sharedSnapshot{Snapshot: snap}
	shared.readers.Add(1)
	return shared, nil
}

// dismissRest answers who came too late for the core's last turn.
func (l *loop) dismissRest() {
	for _, it := range l.inbox.close() {
		if it.caller != nil {
			l.dismiss(it.caller, closedFor(it.event))
		}
	}
	for _, c := range l.callers { // the core answers all before it halts
		l.dismiss(c, &region.UndeterminedError{Reason: "the store has stopped"})
	}
}

func (l *loop) dismiss(c *caller, err error) {
	if c.claim() {
		c.done <- answer{err: err}
	}
}

// about is which request an event is, and of which region.
func about(e store.Event) (id, regionID uint64) {
	switch e := e.(type) {
	case store.Write:
		return e.ID, e.RegionID
	case store.Read:
		return e.ID, e.RegionID
	case store.TransferLeader:
		return e.ID, e.RegionID
	case store.ChangePeer:
		return e.ID, e.RegionID
	}
	panic(fmt.Sprintf("replicated: %T is no request", e))
}

// closedFor is the answer to a request of a store that has stopped or failed: whoever leads the region soon, it is not this
// store, so clients ask the others.
func closedFor(e store.Event) error {
	_, regionID := about(e)
	return &region.NotLeaderError{RegionID: regionID}
}

func errIsCancelled(err error) bool { return errors.Is(err, store.ErrCancelled) }
