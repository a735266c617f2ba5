// Carrying out the effects of a turn, one after the other: a crash may come between any two.

package sim

import (
	"fmt"
	"strings"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/replica"
	"tinykv/kv/store"
)

// doom is a crash that waits: for the count-th effect of a kind.
type doom struct {
	what   string // "WriteLog", "Chunk"; empty: any effect
	within bool   // in the middle of it, if it is a write; otherwise just before it
	count  int    // 0: there is none
}

// effectName is what a doom and a story call an effect.
func effectName(e store.Effect) string { return strings.TrimPrefix(fmt.Sprintf("%T", e), "store.") }

// dies asks whether the process dies here, before what is about to be done.
func (p *process) dies(what string) bool {
	if p.doom.count == 0 || p.doom.what != "" && p.doom.what != what {
		return false
	}
	p.doom.count--
	if p.doom.count > 0 {
		return false
	}
	if p.doom.within {
		p.c.saw("crash within a write")
		p.writeHalf()
	}
	p.c.saw("crash before " + what)
	p.writing = false
	p.crash()
	return true
}

// writeHalf does what a crash in the middle of a write leaves: it is written, and was not yet synced.
func (p *process) writeHalf() {
	if p.next >= len(p.effects) {
		return
	}
	switch e := p.effects[p.next].(type) {
	case store.WriteLog:
		if p.raftLog.Write(e.Batch, engine.Buffered) == nil {
			p.noteWritten()
		}
	case store.WriteData:
		if p.engine.Write(e.Batch, engine.Buffered) == nil {
			p.checkApplied(e.Batch)
		}
	}
}

// goOn is called when the time that an effect takes has passed.
func (p *process) goOn() {
	p.waited = true
	p.carryOut()
	p.turn()
}

// carryOut carries out effects, until one takes its time, or all are done.
func (p *process) carryOut() {
	for p.next < len(p.effects) {
		e := p.effects[p.next]
		if !p.waited && p.doom.count > 0 && p.dies(effectName(e)) {
			return
		}
		if p.mustWait(e) {
			return
		}
		p.writing = false
		if err := p.carry(e); err != nil {
			p.fail(err)
			return
		}
		if p.core == nil {
			return
		}
		p.next++
	}
	if p.mustWait(nil) {
		return
	}
	p.core.Done(p.clock())
	p.busy = false
}

// mustWait tells whether time must pass before an effect (nil: before the end of the turn) is carried out; goOn will be
// called when it has.
func (p *process) mustWait(e store.Effect) bool {
	if p.waited {
		p.waited = false
		return false
	}
	takes := p.takes(e)
	if takes == 0 {
		return false
	}
	p.c.at(p.c.now+takes, event{kind: evStep, process: p, life: p.life})
	return true
}

// takes is how long an effect keeps the loop waiting.
func (p *process) takes(e store.Effect) time.Duration {
	switch e := e.(type) {
	case store.WriteLog:
		p.writing = true
		return p.log.latency(e.Durability)
	case store.WriteData:
		p.writing = true
		return p.data.latency(engine.Buffered)
	}
	if p.stallBefore != "" && e != nil && p.stallBefore == effectName(e) {
		p.stallBefore = ""
		return p.stallFor
	}
	return p.hesitation()
}

// hesitation is for how long the loop does not run although it could: the process is not alone on its machine. What it
// has sent may arrive before it goes on, and readers look at what it has published so far.
func (p *process) hesitation() time.Duration {
	if !p.hesitant || p.c.calm {
		return 0
	}
	p.hesitations++
	chance := p.c.draw(drawHesitate, p.id, uint64(p.life), p.hesitations)
	rest := chance >> 16
	switch {
	case chance%500 == 0:
		return time.Duration(rest % uint64(15*tick))
	case chance%10 == 0:
		return time.Duration(rest % uint64(tick/2))
	}
	return 0
}

// carry carries out one effect. An error is the disk's.
func (p *process) carry(e store.Effect) error {
	if p.failed != nil {
		p.checkAfterFailure(e)
	}
	switch e := e.(type) {
	case store.Publish:
		p.publish(e.Views)
	case store.Send:
		for i := range e.Messages {
			p.checkSent(&e.Messages[i])
			p.c.network.transmit(p, &e.Messages[i])
		}
	case store.WriteLog:
		return p.writeLog(e)
	case store.WriteData:
		return p.writeData(e)
	case store.Answer:
		return p.answer(e.Answers)
	case store.SyncData:
		p.syncData(e)
	case store.Stream:
		p.c.saw("snapshot sent")
		p.stream(e)
	case store.Install:
		p.c.saw("snapshot accepted")
		p.install(e)
	case store.Discard:
		p.discard(e)
	case store.Halt:
		p.halt(e.Err)
	}
	return nil
}

// fail tells the store that its disk has failed. What it says then is its last word.
func (p *process) fail(err error) {
	p.c.saw("disk failed")
	p.c.note(p, "disk failed")
	if p.c.opts.Trace {
		p.c.tell(p, "disk failed: %v", err)
	}
	p.failed = err
	p.core.Fail(err)
	p.busy = false
}

func (p *process) writeLog(e store.WriteLog) error {
	p.c.counts.LogWrites++
	if e.Durability == engine.Synced {
		p.c.counts.LogSyncs++
	}
	if err := p.raftLog.Write(e.Batch, e.Durability); err != nil {
		p.written = nil // some of it may be there
		return err
	}
	p.noteWritten()
	p.checkLog(e.Durability)
	p.c.note(p, "log", uint64(e.Batch.Len()), uint64(e.Durability))
	return nil
}

func (p *process) writeData(e store.WriteData) error {
	p.c.counts.DataWrites++
	if err := p.engine.Write(e.Batch, engine.Buffered); err != nil {
		return err
	}
	p.checkApplied(e.Batch)
	p.c.note(p, "applied", p.mirror.applied)
	return nil
}

// answer gives answers to their callers, each once. Reads are served from one state of the engine, taken here.
func (p *process) answer(answers []replica.Answer) error {
	var snap engine.Snapshot
	defer func() {
		if snap != nil {
			snap.Close()
		}
	}()
	for i := range answers {
		ans := &answers[i]
		a := p.waiting[ans.ID]
		if a == nil {
			p.c.fail("one-answer", "store %d answers request %d (%v), for which nobody waits", p.id, ans.ID, ans.Err)
		}
		delete(p.waiting, ans.ID)
		p.checkAnswer(a, ans)
		if !a.reads || ans.Err != nil {
			p.unlatch(a)
			p.c.send(a, reply{err: ans.Err, values: []uint32{a.old}})
			continue
		}
		if snap == nil {
			var err error
			if snap, err = p.engine.Snapshot(); err != nil {
				return err
			}
		}
		a.term = ans.Term
		p.checkFresh(a)
		p.haveRead(a, p.serve(snap, a))
	}
	return nil
}

// halts tells whether the store ends with the present turn: nothing is handed to it any more.
func (p *process) halts() bool {
	_, halts := p.effects[len(p.effects)-1].(store.Halt)
	return halts
}

// halt is the store's own end.
func (p *process) halt(err error) {
	c := p.c
	for id, a := range p.waiting {
		if !a.ours && !p.inInbox(id) {
			c.fail("one-answer", "store %d ends, and request %d has no answer: %s", p.id, id, c.describeCall(a))
		}
	}
	if err != nil && p.failed == nil && !p.installFailed && !p.rotten {
		c.fail("halt", "store %d ends by itself: %v", p.id, err)
	}
	if held := p.held(); p.engine.open != held {
		c.fail("snapshots-closed", "store %d ends with %d snapshots of its data open, %d are in use", p.id, p.engine.open, held)
	}
	if err == nil {
		c.saw("ended properly")
		_ = p.engine.Write(new(engine.Batch), engine.Synced)
	}
	c.note(p, "halt")
	p.end()
	c.restartLater(p)
}

// inInbox tells whether a request was not handed to the store yet: to answer it is the server's affair.
func (p *process) inInbox(id uint64) bool {
	for _, e := range p.inbox {
		var asked uint64
		switch e := e.(type) {
		case store.Write:
			asked = e.ID
		case store.Read:
			asked = e.ID
		case store.TransferLeader:
			asked = e.ID
		case store.ChangePeer:
			asked = e.ID
		}
		if asked == id {
			return true
		}
	}
	return false
}
