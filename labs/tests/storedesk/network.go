// The network and time.

package storedesk

import (
	"fmt"
	"slices"
	"strings"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/raft"
)

// Fate is what the network does to a message.
type Fate uint8

const (
	// Deliver it, once and in order.
	Deliver Fate = iota
	// Lose it.
	Lose
	// Twice delivers it twice.
	Twice
	// Hold it, in Held, until Release.
	Hold
)

// maxRounds ends the loop of stores that never have enough.
const maxRounds = 10000

// send decides about a message and puts it into the inbox of the store that it is for. Nobody is told of what is lost.
func (d *Desk) send(m replica.Message) {
	d.Sent = append(d.Sent, m)
	fate, how := Deliver, ""
	switch {
	case d.cut(&m):
		fate = Lose
	case d.Net != nil:
		fate = d.Net(&m)
	}
	switch fate {
	case Lose:
		how = "  (lost)"
	case Twice:
		how = "  (arrives twice)"
		d.Arrive(m)
		m = copyMessage(&m)
	case Hold:
		how = "  (held)"
		d.Held = append(d.Held, m)
	}
	d.Say("%s%s", ShowMessage(&m), how)
	if fate == Deliver || fate == Twice {
		d.Arrive(m)
	}
}

func (d *Desk) cut(m *replica.Message) bool {
	return slices.Contains(d.away, m.From.StoreID) || slices.Contains(d.away, m.To.StoreID)
}

// Arrive puts a message into the inbox of the store that it is for, whatever the network says.
func (d *Desk) Arrive(m replica.Message) {
	if m.To.StoreID == 0 || m.To.StoreID > uint64(len(d.Stores)) {
		return
	}
	if s := d.Store(m.To.StoreID); s.Core != nil {
		s.Hears(store.Receive{Message: m})
	}
}

// Release delivers what was held, in the order in which it was sent, and ends nothing else.
func (d *Desk) Release() {
	held := d.Held
	d.Held = nil
	for i := range held {
		d.Say("%s  (arrives now)", ShowMessage(&held[i]))
		d.Arrive(held[i])
	}
}

// Isolate loses every message to and from some stores, and of no others.
func (d *Desk) Isolate(stores ...*Store) {
	d.away = nil
	for _, s := range stores {
		d.away = append(d.away, s.ID)
	}
	if len(stores) == 0 {
		d.Say("the network cuts off nobody any more")
		return
	}
	d.Say("the network cuts off store %s", strings.Trim(fmt.Sprint(d.away), "[]"))
}

// Heal ends Isolate and Net. What is held stays so.
func (d *Desk) Heal() {
	d.Say("the network works")
	d.away, d.Net = nil, nil
}

// Run lets all stores work, and their messages arrive, until nobody has anything to do.
func (d *Desk) Run() {
	d.T.Helper()
	for range maxRounds {
		busy := false
		for _, s := range d.Stores {
			busy = s.work() || busy
		}
		if !busy {
			return
		}
	}
	d.Broken("the stores come to rest", "turns without end")
}

// Tick lets ticks pass at all stores, or at the named ones, and runs after each.
func (d *Desk) Tick(ticks int, stores ...*Store) {
	d.T.Helper()
	for range ticks {
		d.sayTick(stores)
		for _, s := range d.Stores {
			if len(stores) == 0 || slices.Contains(stores, s) {
				s.clock += TickInterval
			}
		}
		d.Run()
	}
}

// sayTick records ticks that follow each other as one step.
func (d *Desk) sayTick(stores []*Store) {
	where := "everywhere"
	if len(stores) > 0 {
		where = "at store"
		for _, s := range stores {
			where += fmt.Sprintf(" %d", s.ID)
		}
	}
	step, count := "a tick passes "+where, 0
	if n := len(d.Done); n > 0 {
		if d.Done[n-1] == step {
			count = 1
		} else if _, err := fmt.Sscanf(d.Done[n-1], "%d ticks pass", &count); err != nil || count == 0 ||
			d.Done[n-1] != fmt.Sprintf("%d ticks pass %s", count, where) {
			count = 0
		}
		if count > 0 {
			d.Done[n-1] = fmt.Sprintf("%d ticks pass %s", count+1, where)
			return
		}
	}
	d.Done = append(d.Done, step)
}

// Elect lets time pass until a store leads all regions, and has applied an entry of its term in each. It does not depose who
// leads and is not cut off: cut that one off first.
//
// The store alone feels time pass at first, so it is the one that campaigns. If the others are faithful to a leader, time
// passes for them, too, and the store draws shorter timeouts than they do.
func (d *Desk) Elect(id uint64) *Store {
	d.T.Helper()
	return d.campaign(id, (*Store).leadsAll)
}

// Promote is Elect, but does not wait until an entry of the new term is applied: the others need not acknowledge it.
func (d *Desk) Promote(id uint64) *Store {
	d.T.Helper()
	return d.campaign(id, func(s *Store) bool { return s.Leads() })
}

func (d *Desk) campaign(id uint64, won func(s *Store) bool) *Store {
	d.T.Helper()
	s, mark := d.Store(id), len(d.Done)
	s.chance.keep = quarter
	for alone := 2 * s.electionTicks(); alone > 0 && !won(s); alone-- {
		d.Tick(1, s)
	}
	for range 20 * s.electionTicks() {
		if won(s) {
			s.chance.keep = KeepAll
			d.Done = d.Done[:mark]
			d.Say("store %d is elected, in term %d, and has applied up to %s", id, s.View().Term, ShowPosition(s.Applied()))
			return s
		}
		d.Tick(1)
	}
	d.Broken(fmt.Sprintf("store %d, which campaigns before all others, is elected", id), d.Where())
	return nil
}

// AwaitLeader lets time pass until some store that is not cut off leads all regions, and has applied an entry of its term in
// each.
func (d *Desk) AwaitLeader() *Store {
	d.T.Helper()
	for range 20 * d.Stores[0].electionTicks() {
		var newest *Store
		for _, s := range d.Stores {
			cut := slices.Contains(d.away, s.ID)
			if s.leadsAll() && !cut && (newest == nil || s.View().Term > newest.View().Term) {
				newest = s
			}
		}
		if newest != nil {
			return newest
		}
		d.Tick(1)
	}
	d.Broken("a majority that can speak to each other elects a leader", d.Where())
	return nil
}

func (s *Store) leadsAll() bool {
	if s.Core == nil {
		return false
	}
	for i := range s.D.Regions {
		if v := s.View(s.D.Regions[i].ID); !v.Leads() || v.Applied.Term != v.Term {
			return false
		}
	}
	return true
}

// SentBy are the messages of some types, of all types if none is named, that a store gave to the network.
func (d *Desk) SentBy(s *Store, types ...raft.MessageType) []replica.Message {
	var found []replica.Message
	for i := range d.Sent {
		m := &d.Sent[i]
		if m.From.StoreID == s.ID && (len(types) == 0 || slices.Contains(types, m.Raft.Type)) {
			found = append(found, *m)
		}
	}
	return found
}

// Envelope makes a message between the first peers of region 1 on two stores, at the region's first epoch.
func (d *Desk) Envelope(from, to uint64, m raft.Message) replica.Message {
	r := d.Regions[0]
	p, q := Peer(r.ID, from), Peer(r.ID, to)
	m.From, m.To = p.ID, q.ID
	return replica.Message{RegionID: r.ID, From: p, To: q, Epoch: region.Epoch{ConfVer: 1, Version: 1}, Raft: m}
}
