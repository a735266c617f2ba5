// Requests and their answers.

package storedesk

import (
	"errors"
	"fmt"

	"tinykv/kv/command"
	"tinykv/kv/engine"
	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Request is something that a store was asked.
type Request struct {
	Store  *Store
	ID     uint64
	What   string   // for people: `write 3 (a=1)`
	Values []string // of a read that was answered with nil: what its keys had then

	keys   []string
	answer *replica.Answer
	life   uint64
}

// Answered tells whether there was an answer.
func (r *Request) Answered() bool { return r.answer != nil }

// Acknowledged tells whether the answer was nil.
func (r *Request) Acknowledged() bool { return r.answer != nil && r.answer.Err == nil }

// Err is the error of the answer; nil also if there is none.
func (r *Request) Err() error {
	if r.answer == nil {
		return nil
	}
	return r.answer.Err
}

// Term is the term of the answer.
func (r *Request) Term() uint64 {
	if r.answer == nil {
		return 0
	}
	return r.answer.Term
}

// String says what became of it.
func (r *Request) String() string {
	if r.answer == nil {
		return r.What + " has no answer"
	}
	return fmt.Sprintf("%s was answered: %s", r.What, orOK(r.answer.Err))
}

// ErrorAs returns the error of the answer if it is of a kind: ErrorAs[*region.NotLeaderError](r).
func ErrorAs[E error](r *Request) (E, bool) {
	var e E
	return e, errors.As(r.Err(), &e)
}

// Context is a picture of region 1 as a client has it that asks this store. Tests may change it.
func (s *Store) Context(regionID ...uint64) store.RequestContext {
	return store.RequestContext{ClusterID: ClusterID, StoreID: s.ID, RegionID: first(regionID)}
}

// Asks puts a request of any kind into the inbox: make is given its ID.
func (s *Store) Asks(what string, make func(id uint64) store.Event) *Request {
	d := s.D
	d.requests++
	r := &Request{Store: s, ID: d.requests, What: fmt.Sprintf("%s (request %d)", what, d.requests), life: s.lives}
	d.asked[r.ID] = r
	d.Say("store %d: is asked: %s", s.ID, r.What)
	s.Hears(make(r.ID))
	return r
}

// Writes asks to put a pair, in family default of the region that holds the key.
func (s *Store) Writes(key, value string) *Request {
	return s.WritesBatch(Put(key, value), func(w *store.Write) { w.RegionID = s.D.RegionOf(key) })
}

// WritesBatch asks to write a batch to region 1. The changes may alter the request before it is sent.
func (s *Store) WritesBatch(b *engine.Batch, changes ...func(w *store.Write)) *Request {
	w := store.Write{RequestContext: s.Context(), Batch: b}
	for _, change := range changes {
		change(&w)
	}
	what := "write " + ShowBatch(b)
	if w.Term != 0 {
		what += fmt.Sprintf(" in term %d only", w.Term)
	}
	return s.Asks(what, func(id uint64) store.Event {
		w.ID = id
		return w
	})
}

// Reads asks to read keys of one region, of region 1 if there are none.
func (s *Store) Reads(keys ...string) *Request {
	rc := s.Context()
	if len(keys) > 0 {
		rc = s.Context(s.D.RegionOf(keys[0]))
	}
	r := s.Asks(fmt.Sprintf("read %q", keys), func(id uint64) store.Event { return store.Read{ID: id, RequestContext: rc} })
	r.keys = keys
	return r
}

// Cancels says that nobody waits for a request any more.
func (s *Store) Cancels(r *Request, regionID ...uint64) {
	s.D.Say("store %d: is told that nobody waits any more for: %s", s.ID, r.What)
	s.Hears(store.Cancel{ID: r.ID, RegionID: first(regionID)})
}

// Transfers asks to hand leadership to another store.
func (s *Store) Transfers(to *Store, regionID ...uint64) *Request {
	region := first(regionID)
	return s.Asks(fmt.Sprintf("hand leadership of region %d to store %d", region, to.ID), func(id uint64) store.Event {
		return store.TransferLeader{ID: id, RequestContext: s.Context(region), To: Peer(region, to.ID).ID}
	})
}

// Changes asks for a change of the members of region 1: its peer on another store comes or goes.
func (s *Store) Changes(kind raft.ConfChangeType, of *Store) *Request {
	return s.Asks(fmt.Sprintf("%v the peer on store %d", kind, of.ID), func(id uint64) store.Event {
		return store.ChangePeer{ID: id, RequestContext: s.Context(), Type: kind, Peer: Peer(1, of.ID)}
	})
}

// Puts writes a pair, runs, and ends the test unless that was acknowledged.
func (s *Store) Puts(key, value string) {
	s.D.T.Helper()
	r := s.Writes(key, value)
	s.D.Run()
	s.D.Acked(r)
}

// Acked ends the test unless a request was answered with nil.
func (d *Desk) Acked(r *Request) {
	d.T.Helper()
	d.Check(r.Acknowledged(), r.What+" is acknowledged", "%s", r)
}

// Waits ends the test if a request was answered.
func (d *Desk) Waits(r *Request, why string) {
	d.T.Helper()
	d.Check(!r.Answered(), "no answer to "+r.What+" yet: "+why, "%s", r)
}

// RegionOf is the id of the region that holds a key in the beginning.
func (d *Desk) RegionOf(key string) uint64 {
	for i := range d.Regions {
		if d.Regions[i].Range.Contains([]byte(key)) {
			return d.Regions[i].ID
		}
	}
	return 1
}

// Put is a batch that puts a pair, in family default.
func Put(key, value string) *engine.Batch {
	b := new(engine.Batch)
	b.Put(engine.Default, []byte(key), []byte(value))
	return b
}

func first(ids []uint64) uint64 {
	if len(ids) == 0 {
		return 1
	}
	return ids[0]
}

// PutEntry is an entry of a leader that puts a pair, at the region's first epoch.
func PutEntry(index, term uint64, key, value string) raft.Entry {
	data, err := command.Encode(command.Write{Epoch: region.Epoch{ConfVer: 1, Version: 1}, Batch: Put(key, value)})
	if err != nil {
		panic(err)
	}
	return raft.Entry{Index: index, Term: term, Data: data}
}
