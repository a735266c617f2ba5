// Making the data store durable, when the log has become too long: one sync for all who wait for it.

package store

import "tinykv/kv/replica"

// dataSync is the sync of the data store that is under way, at most one.
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

// noteWish notes that a member could cut its log if more of its data were durable.
func (s *Store) noteWish(m *member) {
	if _, wants := m.WantsDurable(); wants && !m.wantsDurable {
		m.wantsDurable = true
		s.syncing.wanted = append(s.syncing.wanted, m)
	}
}

// syncData asks for a sync if somebody waits for one and none is under way. It comes after the data writes of the
// turn, so it covers all that is applied by now.
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

// dataSynced takes the end of a sync.
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
