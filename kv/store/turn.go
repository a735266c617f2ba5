// One turn of the loop: what came in since the last one becomes effects, for all regions at once.

package store

import (
	"errors"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
)

// errTurnTwice is the panic of a driver that breaks the order of Turn and Done.
var errTurnTwice = errors.New("store: Turn called again before Done")

// turn is what is known of the present one.
type turn struct {
	work    replica.Work
	taken   []*member // whose Ready is in work
	out     bool      // its effects are being carried out
	refused []string  // spools of snapshots that were refused since the last turn
}

func (t *turn) discard(spool string) { t.refused = append(t.refused, spool) }

// Turn takes what all touched replicas have to do and returns it as effects, in the order in which they must be
// carried out; nil if there is nothing to do. Then Done, or Fail, must be called before Turn is called again:
// otherwise it panics.
func (s *Store) Turn(now time.Duration) []Effect {
	if s.turn.out {
		panic(errTurnTwice)
	}
	s.tick(now)
	for {
		effects := s.gather()
		if s.ended() {
			effects = s.last()
		}
		if len(effects) > 0 {
			s.turn.out = true
			s.stats.Turns++
			return effects
		}
		if len(s.turn.taken) == 0 {
			return nil
		}
		s.conclude() // raft had something to say, but nothing to do
	}
}

// Done says that all effects of the last Turn are carried out, but for those in the background, which are begun.
func (s *Store) Done(now time.Duration) {
	s.turn.out = false
	s.conclude()
	s.tick(now)
}

// conclude tells the replicas whose Ready was taken that their work is done (Done). Those that have more to do then
// (HasReady) are touched, so that the next turn takes it. Then the turn is over: nobody's Ready is taken any more,
// the work is empty (Reset), and graves whose logs were removed are forgotten (exhumed).
func (s *Store) conclude() {
	for _, m := range s.turn.taken {
		m.Done()
		if m.HasReady() {
			s.touch(m)
		}
	}
	s.turn.taken = s.turn.taken[:0]
	s.turn.work.Reset()
	s.exhumed()
}

// gather takes the Ready of each touched replica into one Work, and makes effects of it.
func (s *Store) gather() []Effect {
	if s.ended() {
		return nil
	}
	w := &s.turn.work
	w.Answers, s.answers = s.answers, nil
	w.Discards, s.turn.refused = s.turn.refused, nil
	touched := s.touched
	s.touched = nil
	for _, m := range touched {
		m.touched = false
		if m.Condemned() {
			s.bury(m, w)
			continue
		}
		if err := m.Ready(w); err != nil {
			s.fail(err)
			s.takeBack()
			return nil
		}
		s.turn.taken = append(s.turn.taken, m)
		s.noteWish(m)
	}
	s.touched = append(touched[:0], s.touched...)
	s.exhume(w)
	return s.effects(w)
}

// effects puts work into the order in which it must be carried out, that of the fields of replica.Work. This is the
// one place where the order stands: leases are withdrawn before anything is said; promises follow the log; answers
// follow the data, and so do views.
//
//	Publish    Revoked
//	Send       Immediate (send)
//	WriteLog   Log, with its Durability: one for all regions; counted (countLogWrite)
//	Send       Deferred (send)
//	WriteData  one for each batch of Data, counted in stats.DataWrites
//	Answer     Answers
//	Publish    Views
//	           what goes on in the background (background)
//
// There is no effect of what there is nothing of: no log write if nothing is in it, however durable it was to be.
func (s *Store) effects(w *replica.Work) []Effect {
	var list []Effect
	if len(w.Revoked) > 0 {
		list = append(list, Publish{w.Revoked})
	}
	list = s.send(list, w.Immediate)
	if w.Log.Len() > 0 {
		list = append(list, WriteLog{&w.Log, w.Durability})
		s.countLogWrite(w.Durability)
	}
	list = s.send(list, w.Deferred)
	for _, b := range w.Data.Batches() {
		list = append(list, WriteData{b})
		s.stats.DataWrites++
	}
	if len(w.Answers) > 0 {
		list = append(list, Answer{w.Answers})
	}
	if len(w.Views) > 0 {
		list = append(list, Publish{w.Views})
	}
	return s.background(list, w)
}

func (s *Store) send(list []Effect, messages []replica.Message) []Effect {
	if len(messages) == 0 {
		return list
	}
	s.stats.MessagesSent += uint64(len(messages))
	return append(list, Send{messages})
}

func (s *Store) countLogWrite(d engine.Durability) {
	s.stats.LogWrites++
	if d == engine.Synced {
		s.stats.LogSyncs++
	}
}

// background adds what is begun in this turn and ends with an event.
func (s *Store) background(list []Effect, w *replica.Work) []Effect {
	list = s.syncData(list)
	for _, stream := range w.Streams {
		list = append(list, Stream(stream))
		s.stats.SnapshotsSent++
	}
	for _, in := range w.Installs {
		list = append(list, Install(in))
		s.stats.SnapshotsTaken++
	}
	for _, spool := range w.Discards {
		list = append(list, Discard{spool})
	}
	return list
}

// takeBack takes back a turn that is not carried out to its end, and keeps its answers. Those that were to say that
// something was done do not say so: nobody knows now. Streams that were not begun are closed here, for nobody else will.
func (s *Store) takeBack() {
	for i := range s.turn.work.Streams {
		_ = s.turn.work.Streams[i].Source.Close()
	}
	for _, a := range s.turn.work.Answers {
		if a.Err == nil {
			a.Err = s.lost(a.Read)
			a.Term = 0
		}
		s.answers = append(s.answers, a)
	}
	s.turn.work.Reset()
	s.turn.taken = s.turn.taken[:0]
	s.turn.out = false
}

func (s *Store) lost(read bool) error {
	if read {
		return &region.BusyError{Reason: s.reason()}
	}
	return &region.UndeterminedError{Reason: s.reason()}
}

func (s *Store) reason() string {
	if s.err != nil {
		return "the store has failed: " + s.err.Error()
	}
	return "the store is stopping"
}

// last returns the effects of the end: all leases withdrawn, everybody answered, and Halt, once. After it there are
// only answers to requests that came too late.
func (s *Store) last() []Effect {
	w := &s.turn.work
	w.Reset()
	for _, m := range s.members {
		m.Abandon(s.reason(), w)
		m.Revoke(w)
	}
	s.shared.Tickets.Release()
	s.members, s.touched, s.byRegion = nil, nil, map[uint64]*member{}
	w.Answers = append(s.answers, w.Answers...)
	s.answers = nil
	list := s.effects(w)
	if !s.halted {
		s.halted = true
		list = append(list, Halt{s.err})
	}
	return list
}
