// A store: its disks, its life, its loop.

package storedesk

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
)

// Store is a process and its disks. What its disks hold survives a crash, and nothing else.
type Store struct {
	D  *Desk
	ID uint64

	LogDisk, DataDisk *Disk
	Spool             *snapshot.Memory // received snapshots

	// What follows is of one life.

	Core    *store.Store   // nil: it is down
	Log     raftlog.Log    // the raft log of all regions,
	Under   *Engine        // and the engine that it lies in
	Data    *Engine        // their data
	Effects []store.Effect // of the present turn: those that are not yet carried out
	Views   map[uint64]replica.View
	Jobs    []*Job // in the background, in the order in which they began
	Halted  bool
	HaltErr error
	MayFail bool // the store may halt with an error; otherwise that ends the test

	// HoldJobs says which of its background jobs wait until the test calls Job.Step; nil: none. It is asked when one begins.
	HoldJobs func(e store.Effect) bool

	inbox   []store.Event
	clock   time.Duration
	lives   uint64
	turning bool
	chance  *chance // of elections
	config  store.Config
}

func newStore(d *Desk, id uint64) *Store {
	s := &Store{D: d, ID: id, LogDisk: NewDisk(2 * id), DataDisk: NewDisk(2*id + 1), chance: newChance(id, 1)}
	s.Spool = snapshot.NewMemory(rand.New(newChance(id, 2)))
	s.chance.keep = KeepAll
	return s
}

// Start begins a life, from the disks alone. It ends the test if the store does not start.
func (s *Store) Start() {
	s.D.T.Helper()
	if err := s.TryStart(); err != nil {
		s.D.Brokenf(fmt.Sprintf("store %d starts", s.ID), "error: %v", err)
	}
}

// TryStart is Start for a store whose disks may be damaged. With an error it is down, as after a crash.
func (s *Store) TryStart() error {
	s.lives++
	s.clock, s.turning, s.Halted, s.HaltErr = 0, false, false, nil
	s.inbox, s.Effects, s.Jobs, s.Views = nil, nil, nil, map[uint64]replica.View{}
	if err := s.open(); err != nil {
		s.D.Say("store %d does not start: %v", s.ID, err)
		s.Core = nil
		s.LogDisk.Crash(KeepAll)
		s.DataDisk.Crash(KeepAll)
		return err
	}
	s.D.Say("store %d starts: %s", s.ID, s.describeDisks())
	return nil
}

// open opens the disks and the store on them. What it finds on a disk it makes durable first, as package store wants it.
func (s *Store) open() (err error) {
	if s.Under, err = s.LogDisk.Mount(); err != nil {
		return err
	}
	if s.Data, err = s.DataDisk.Mount(); err != nil {
		return err
	}
	if s.Log, err = raftlog.Open(s.Under, raftlog.Options{CacheBytes: s.D.options.CacheBytes}); err != nil {
		return err
	}
	if err = s.Data.Write(new(engine.Batch), engine.Synced); err != nil {
		return err
	}
	for _, r := range s.D.Regions {
		if _, ok := r.PeerOn(s.ID); !ok || s.lives > 1 {
			continue
		}
		if err = store.Bootstrap(s.Log, s.Data, r, s.ID); err != nil {
			return err
		}
	}
	cfg := store.Config{ClusterID: ClusterID, StoreID: s.ID, Log: s.Log, Data: s.Data, TickInterval: TickInterval,
		Rand: rand.New(s.chance)}
	if s.D.options.Config != nil {
		s.D.options.Config(&cfg)
	}
	s.config = cfg
	if s.Core, err = store.Open(cfg); err != nil {
		return err
	}
	return s.tidySpool()
}

// tidySpool removes the received snapshots that nobody needs.
func (s *Store) tidySpool() error {
	names, err := s.Spool.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains(s.Core.Spools(), name) {
			if err := s.Spool.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Crash ends the life of a store, between two effects or in the middle of a turn. keep says what its disks keep of what was
// not synced. Who waits for an answer gets none.
func (s *Store) Crash(keep Keep) {
	if s.Core == nil {
		return
	}
	s.D.Say("store %d crashes, and %s", s.ID, keep)
	s.end()
	s.LogDisk.Crash(keep)
	s.DataDisk.Crash(keep)
}

// end forgets all that is in memory.
func (s *Store) end() {
	s.Core, s.inbox, s.Effects, s.Jobs, s.turning = nil, nil, nil, nil, false
	s.Spool.Crash()
}

// Restart is Crash and Start.
func (s *Store) Restart(keep Keep) {
	s.D.T.Helper()
	s.Crash(keep)
	s.Start()
}

// Hears puts an event into the inbox. It is handled by the next Turn.
func (s *Store) Hears(events ...store.Event) { s.inbox = append(s.inbox, events...) }

// Turn handles what is in the inbox and takes the effects of a turn, none of which is carried out yet: see Next and Finish.
// It reports whether there are any.
func (s *Store) Turn() bool {
	if s.Core == nil {
		return false
	}
	s.Listens()
	s.Effects = s.Core.Turn(s.clock)
	s.turning = len(s.Effects) > 0
	return s.turning
}

// Listens handles what is in the inbox now. Turn does so, too; a driver may do it between two effects of a turn.
func (s *Store) Listens() {
	events := s.inbox
	s.inbox = nil
	for _, e := range events {
		s.Core.Handle(s.clock, e)
	}
}

// Next carries out the first of Effects, and after the last one calls Done. It reports whether there are more.
func (s *Store) Next() bool {
	s.D.T.Helper()
	if !s.turning {
		return false
	}
	e := s.Effects[0]
	life := s.lives
	alive := func() bool { return s.Core != nil && s.lives == life }
	if s.D.Before != nil {
		s.D.Before(s, e)
	}
	if !alive() {
		return false
	}
	if err := s.carryOut(e); err != nil {
		s.D.Say("store %d: %s fails: %v", s.ID, s.Name(e), err)
		s.turning, s.Effects = false, nil
		s.Core.Fail(err)
		return false
	}
	if s.D.After != nil {
		s.D.After(s, e)
	}
	if !alive() {
		return false
	}
	if s.Effects = s.Effects[1:]; len(s.Effects) > 0 {
		return true
	}
	s.turning = false
	s.Core.Done(s.clock)
	return false
}

// Finish carries out what is left of the turn.
func (s *Store) Finish() {
	s.D.T.Helper()
	for s.Next() {
	}
}

// work goes once round the loop, and lets the jobs that are not held go on. It reports whether there was anything to do.
func (s *Store) work() bool {
	s.D.T.Helper()
	busy := len(s.inbox) > 0 || s.turning
	if !s.turning && s.Turn() {
		busy = true
	}
	s.Finish()
	for _, j := range slices.Clone(s.Jobs) {
		if !j.Held && s.Core != nil {
			j.Step()
			busy = true
		}
	}
	return busy && s.Core != nil
}

func (s *Store) electionTicks() int { return cmp.Or(s.config.Raft.ElectionTicks, defaultElectionTicks) }

// defaultElectionTicks is store.Open's.
const defaultElectionTicks = 10

// Clock is the store's own time.
func (s *Store) Clock() time.Duration { return s.clock }

// Name is the kind of an effect: "WriteLog".
func (s *Store) Name(e store.Effect) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", e), "store.")
}

// DataLost crashes and starts the store with a data store that lost everything since the store began, and a log that lost
// nothing: as far as a crash can part the two, for writes to the data are not synced.
func (s *Store) DataLost() {
	s.D.T.Helper()
	s.D.Say("store %d crashes: its log is whole, its data is as it was when it was last synced", s.ID)
	s.end()
	s.LogDisk.Crash(KeepAll)
	s.DataDisk.Crash(LoseUnsynced)
	s.Start()
}
