// The store: all peers of a process, and the loop's three steps.

package store

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/raft"
)

// Config is what a store is given.
type Config struct {
	ClusterID uint64
	StoreID   uint64

	// Log is the raft log of all regions, Data the engine of their data. The store reads both at any time, from the
	// goroutine that calls it, and writes neither: that is what its effects are for.
	Log  raftlog.Log
	Data engine.Engine

	// Rand is the only source of chance: equal seeds and equal calls give equal effects. Seed it differently on every
	// store and on every start.
	Rand *rand.Rand

	// TickInterval is the time between two ticks of the raft groups. Default 100 ms.
	TickInterval time.Duration

	// Raft is how all raft groups behave: timeouts in ticks, how reads are confirmed, limits, switches. ID, Storage,
	// Rand, Applied, AsyncStorage and DisableForwarding are the store's to fill in.
	Raft raft.Config

	// Limits bound what is kept; zero fields mean the defaults.
	Limits replica.Limits
}

// Errors of a store.
var (
	// ErrCorrupt : what is on disk can't have been written by a correct store. The text says what and where.
	ErrCorrupt = errors.New("store: corrupt")
	// ErrCancelled : the request was cancelled before anything was done.
	ErrCancelled = replica.ErrCancelled
)

// ClusterError: the request is for another cluster. The client was given the address of the wrong one.
type ClusterError struct {
	Requested, Actual uint64
}

// OtherCluster is the cluster that the request was meant for.
func (e *ClusterError) OtherCluster() uint64 { return e.Requested }

func (e *ClusterError) Error() string {
	return fmt.Sprintf("the request is for cluster %d, this store belongs to cluster %d", e.Requested, e.Actual)
}

// Store is all peers of a process. See the package page for the loop that drives it. Its methods are called from one
// goroutine.
type Store struct {
	cfg    Config
	shared replica.Config

	members  []*member          // ascending by region
	byRegion map[uint64]*member // the same, to be looked up
	tombs    map[uint64]uint64  // region -> the peer that was removed last, where there is no member now
	graves   []grave            // peers that were buried, whose logs are still there

	nextTick time.Duration // when the next tick is due

	touched []*member        // those to which something happened since their last Ready, in that order
	answers []replica.Answer // to requests that were refused since the last turn

	turn     turn
	syncing  dataSync
	err      error // why it failed
	stopping bool
	halted   bool
	stats    Stats
}

// member is a replica and what the loop notes about it.
type member struct {
	*replica.Replica
	touched      bool
	wantsDurable bool
}

// touch puts a member on the list of those whose Ready the next turn takes.
func (s *Store) touch(m *member) {
	if !m.touched {
		m.touched = true
		s.touched = append(s.touched, m)
	}
}

func (s *Store) touchAll() {
	for _, m := range s.members {
		s.touch(m)
	}
}

// add makes a replica a member, in its place.
func (s *Store) add(r *replica.Replica) *member {
	m := &member{Replica: r}
	i, _ := slices.BinarySearchFunc(s.members, r.RegionID(), func(m *member, id uint64) int {
		return cmp.Compare(m.RegionID(), id)
	})
	s.members = slices.Insert(s.members, i, m)
	s.byRegion[r.RegionID()] = m
	s.touch(m)
	return m
}

// remove takes a member off all lists.
func (s *Store) remove(m *member) {
	is := func(other *member) bool { return other == m }
	s.members = slices.DeleteFunc(s.members, is)
	s.touched = slices.DeleteFunc(s.touched, is)
	delete(s.byRegion, m.RegionID())
}

// Handle takes an event. now is the time since the store's start on a clock that never goes back. Ticks that have
// become due since the last call are given first. Nothing is done about the event before the next Turn. It may be
// called between Turn and Done.
func (s *Store) Handle(now time.Duration, e Event) {
	s.tick(now)
	s.stats.Events++
	if s.ended() {
		s.refuse(e)
		return
	}
	s.route(e)
}

// NextTick is when Handle or Turn is to be called at the latest, on their clock.
func (s *Store) NextTick() time.Duration { return s.nextTick }

// tick gives every member the ticks that have become due by now: one at nextTick and one after each TickInterval since
// then, each with the time at which it was due, which may be long ago. After that, nextTick is the next one to come, and
// all members are touched. If many are due, because the process stood still, the first of them are left out: more than
// maxTicks change nothing, for within so many every lease ends and every timeout passes. Before nextTick, and after the
// store has ended, nothing happens.
func (s *Store) tick(now time.Duration) {
	if now < s.nextTick || s.ended() {
		return
	}
	interval := s.cfg.TickInterval
	due := int64((now-s.nextTick)/interval) + 1
	s.nextTick += time.Duration(due) * interval
	for n := min(due, int64(maxTicks(&s.cfg.Raft))); n > 0; n-- {
		at := s.nextTick - time.Duration(n)*interval
		for _, m := range s.members {
			m.Tick(at)
		}
	}
	s.touchAll()
}

func maxTicks(cfg *raft.Config) int { return 2 * cfg.ElectionTicks }

// Fail says that an effect could not be carried out: a write to the log or the data store. None of the effects of the
// turn that come after it was or will be; if a turn is out, Fail takes the place of Done. The next Turn answers
// everybody and ends with Halt.
func (s *Store) Fail(err error) {
	s.fail(err)
	if s.turn.out {
		s.takeBack()
	}
}

// fail notes why the store can't go on. A turn that is out is carried out to its end.
func (s *Store) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// ended tells whether the store does nothing any more but to answer.
func (s *Store) ended() bool { return s.err != nil || s.stopping }

// Stats returns what was counted since Open.
func (s *Store) Stats() Stats {
	s.stats.Peers = len(s.members)
	return s.stats
}
