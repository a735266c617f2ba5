// Making the data store durable, when the log has become too long: one sync for all who wait for it.

package store

import "tinykv/kv/replica"

// dataSync is the sync of the data store that is under way, at most one.
//
//	wanted ──► turn: SyncData{token} ──► covers, with how far each has applied ──► DataSynced{token}: that far is durable
//	  ▲                                                                                 │
//	  └──── who wants more by then, or came meanwhile, waits for the next one ◄─────────┘
type dataSync struct {
	token   uint64
	running bool
	covers  []durable // what will be durable when it ends
	wanted  []*member // who waits for the next one
}

// durable is the position up to which a member has applied when a sync was asked for.
type durable struct {
	member  *member
	applied uint64
}

// noteWish puts a member on the list of those who wait for a sync (wanted), if it could cut its log further (WantsDurable).
// Who waits already, or is covered by the sync that is under way (wantsDurable), is not put there once more: it is asked
// again when that has ended.
func (s *Store) noteWish(m *member) {
	if _, wants := m.WantsDurable(); wants && !m.wantsDurable {
		m.wantsDurable = true
		s.syncing.wanted = append(s.syncing.wanted, m)
	}
}

// syncData asks for a sync of the data store, if somebody waits for one (wanted, or a grave that was not asked for yet)
// and none is under way. One sync is for all who wait: nobody does afterwards. It has a token of its own, the next number,
// and is counted (stats.DataSyncs). As an effect it comes after the data writes of the turn. So it covers what is applied by
// now, of each member that waited (covers; WantsDurable tells how far that is), and every grave (asked). What is applied
// while it is under way, it may cover or not: nobody knows.
func (s *Store) syncData(list []Effect) []Effect {
	q := &s.syncing
	if q.running || len(q.wanted) == 0 && !s.gravesOpen() {
		return list
	}
	q.running = true
	q.token++
	for _, m := range q.wanted {
		applied, _ := m.WantsDurable()
		q.covers = append(q.covers, durable{m, applied})
	}
	q.wanted = q.wanted[:0]
	for i := range s.graves {
		s.graves[i].asked = true
	}
	s.stats.DataSyncs++
	return append(list, SyncData{q.token})
}

func (s *Store) gravesOpen() bool {
	for i := range s.graves {
		if !s.graves[i].asked {
			return true
		}
	}
	return false
}

// dataSynced takes the end of a sync. What it covers is durable now: the members are told (DataDurable), do not want it any
// more, and are touched, if they are members still: the next turn cuts their logs. Graves that were asked for are durable,
// too. Then another sync may be asked for. A token that is not that of the sync under way tells nothing.
func (s *Store) dataSynced(token uint64) {
	q := &s.syncing
	if !q.running || token != q.token {
		return
	}
	q.running = false
	for _, d := range q.covers {
		d.member.wantsDurable = false
		d.member.DataDurable(d.applied)
		if s.byRegion[d.member.RegionID()] == d.member {
			s.touch(d.member)
		}
	}
	q.covers = q.covers[:0]
	for i := range s.graves {
		s.graves[i].durable = s.graves[i].durable || s.graves[i].asked
	}
}

// exhume removes the logs of those whose end is durable.
func (s *Store) exhume(w *replica.Work) {
	for i := range s.graves {
		if s.graves[i].durable {
			w.Log.Remove(s.graves[i].regionID)
			s.graves[i].removed = true
		}
	}
}

// exhumed forgets the graves whose logs are removed: from here on, a new peer of the region may come.
func (s *Store) exhumed() {
	kept := s.graves[:0]
	for _, g := range s.graves {
		if !g.removed {
			kept = append(kept, g)
		}
	}
	s.graves = kept
}
