// Carrying out effects.

package storedesk

import (
	"bytes"
	"fmt"
	"slices"

	"tinykv/kv/engine"
	"tinykv/kv/replica"
	"tinykv/kv/store"
)

// carryOut does what an effect asks for. An error is a disk's.
func (s *Store) carryOut(e store.Effect) error {
	s.D.T.Helper()
	switch e := e.(type) {
	case store.Publish:
		for _, v := range e.Views {
			s.Views[v.Region.ID] = v
			s.D.Say("store %d: publishes %s", s.ID, showView(&v))
		}
	case store.Send:
		for i := range e.Messages {
			s.D.send(copyMessage(&e.Messages[i]))
		}
	case store.WriteLog:
		return s.writeLog(e)
	case store.WriteData:
		s.D.Say("store %d: WriteData, Buffered: %s", s.ID, ShowBatch(e.Batch))
		return s.Data.Write(e.Batch, engine.Buffered)
	case store.Answer:
		for i := range e.Answers {
			s.answer(&e.Answers[i])
		}
	case store.SyncData, store.Stream, store.Install:
		s.begin(e)
	case store.Discard:
		s.D.Say("store %d: discards spool %s", s.ID, e.Spool)
		_ = s.Spool.Remove(e.Spool)
	case store.Halt:
		s.halt(e.Err)
	}
	return nil
}

func (s *Store) writeLog(e store.WriteLog) error {
	before := s.states()
	if err := s.Log.Write(e.Batch, e.Durability); err != nil {
		return err
	}
	how := map[engine.Durability]string{engine.Buffered: "Buffered", engine.Synced: "Synced"}[e.Durability]
	s.D.Say("store %d: WriteLog, %s: %s", s.ID, how, showChanges(before, s.states()))
	return nil
}

func (s *Store) halt(err error) {
	s.D.T.Helper()
	s.Halted, s.HaltErr = true, err
	s.D.Say("store %d: halts: %s", s.ID, orStopped(err))
	if err != nil && !s.MayFail {
		s.D.Rule.Interrupted(s.D.T, fmt.Sprintf("Store %d ended by itself", s.ID), s.D.Record(), "a store that goes on",
			err.Error())
	}
}

// answer hands an answer to whom it is for. A read that is answered with nil reads now.
func (s *Store) answer(a *replica.Answer) {
	s.D.T.Helper()
	r := s.D.asked[a.ID]
	if r == nil {
		s.D.Brokenf("answers to requests", "store %d answers request %d, which nobody asked", s.ID, a.ID)
	}
	s.D.Say("store %d: answers %s: %s", s.ID, r.What, orOK(a.Err))
	if r.answer != nil {
		s.D.Brokenf("exactly one answer to "+r.What, "it was answered %s, and now %s", orOK(r.answer.Err), orOK(a.Err))
	}
	if r.Store != s || r.life != s.lives {
		s.D.Brokenf("an answer to whom it is for", "store %d answers %s, which it was not asked in this life", s.ID, r.What)
	}
	given := *a
	r.answer = &given
	for _, key := range r.keys {
		if a.Err == nil {
			r.Values = append(r.Values, s.Get(key))
		}
	}
}

// copyMessage is what arrives elsewhere: it shares no memory with what was sent.
func copyMessage(m *replica.Message) replica.Message {
	c := *m
	c.Raft.Entries = slices.Clone(m.Raft.Entries)
	for i := range c.Raft.Entries {
		c.Raft.Entries[i].Data = bytes.Clone(c.Raft.Entries[i].Data)
	}
	return c
}

func orStopped(err error) string {
	if err == nil {
		return "it was asked to stop"
	}
	return err.Error()
}

func orOK(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}
