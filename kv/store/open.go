// Opening a store: what the log and the data store say of each region, and whether that can be.

package store

import (
	"fmt"
	"slices"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
)

// Open makes a store of what is on disk. Nothing is written. What was acknowledged before is there: entries that are
// in the log and not in the data store will be applied again, snapshots that were accepted and not installed will be
// installed. Errors: ErrCorrupt, replica.ErrCorrupt, raftlog.ErrCorrupt, or those of the engine; their text says
// which region.
func Open(cfg Config) (*Store, error) {
	if cfg.TickInterval == 0 {
		cfg.TickInterval = 100 * time.Millisecond
	}
	if cfg.Raft.ElectionTicks == 0 {
		cfg.Raft.ElectionTicks = 10
	}
	s := &Store{
		cfg: cfg, nextTick: cfg.TickInterval,
		byRegion: map[uint64]*member{}, tombs: map[uint64]uint64{},
	}
	limits := cfg.Limits.WithDefaults()
	s.shared = replica.Config{
		ClusterID: cfg.ClusterID, StoreID: cfg.StoreID, Log: cfg.Log, Data: cfg.Data, Rand: cfg.Rand,
		TickInterval: cfg.TickInterval, Raft: cfg.Raft, Limits: limits, Tickets: replica.NewTickets(limits.MaxSnapshots),
	}
	if err := s.openRegions(); err != nil {
		return nil, fmt.Errorf("opening store %d: %w", cfg.StoreID, err)
	}
	return s, nil
}

// openRegions opens all regions that the log or the data store knows of.
func (s *Store) openRegions() error {
	data, err := s.cfg.Data.Snapshot()
	if err != nil {
		return err
	}
	defer data.Close()
	logged, err := s.cfg.Log.Regions()
	if err != nil {
		return err
	}
	recorded, err := replica.RecordedRegions(data)
	if err != nil {
		return err
	}
	ids := slices.Concat(logged, recorded)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := s.openRegion(data, id); err != nil {
			return err
		}
	}
	return nil
}

// openRegion opens one region, which is in one of these states:
//
//	record      log         what it is
//	none        a snapshot  a new peer, whose first snapshot is to be installed
//	none        empty       a peer that waits for its first snapshot: the next message brings it back (birth)
//	none        entries     corrupt: the data is lost
//	a peer's    none        corrupt: the log is lost
//	a peer's    some        a peer
//	tombstone   none        a peer that was removed
//	tombstone   some        a peer that was removed, whose log is to be removed: what that says of a snapshot that is to be
//	                        installed is over (or a later peer, with a snapshot, as above)
func (s *Store) openRegion(data engine.Snapshot, id uint64) error {
	state, logged, err := s.cfg.Log.State(id)
	if err != nil {
		return err
	}
	rec, recorded, err := replica.ReadRecord(data, id)
	if err != nil {
		return err
	}
	if rec.Tombstone {
		s.tombs[id] = rec.Peer.ID
	}
	toInstall, err := installs(&state, &rec)
	if err != nil {
		return fmt.Errorf("region %d: snapshot to be installed: %w", id, err)
	}
	switch alive := recorded && !rec.Tombstone; {
	case alive && !logged:
		return fmt.Errorf("%w: region %d has data but no log: the log directory was lost or is not this store's",
			ErrCorrupt, id)
	case alive:
		return s.openPeer(data, rec)
	case toInstall:
		return s.opened(replica.OpenInstalling(&s.shared, id, state))
	case recorded && logged && state.Last != (raftlog.Position{}):
		s.graves = append(s.graves, grave{regionID: id})
	case !recorded && state.Last != (raftlog.Position{}):
		return fmt.Errorf("%w: region %d has a log but no data: the data directory was lost or is not this store's",
			ErrCorrupt, id)
	}
	return nil
}

// installs tells whether there is a snapshot to be installed: the log says so, and it is not for a peer that was removed
// since. (That the note was cleared, and later the whole log removed, need not have been durable.)
func installs(state *raftlog.State, rec *replica.Record) (bool, error) {
	if state.Install == nil || !rec.Tombstone {
		return state.Install != nil, nil
	}
	head, err := snapshot.DecodeHead(state.Install.Head)
	return head.To.ID > rec.Peer.ID, err
}

func (s *Store) openPeer(data engine.Snapshot, rec replica.Record) error {
	applied, ok, err := replica.ReadApplied(data, rec.Region.ID)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: region %d has no applied position", ErrCorrupt, rec.Region.ID)
	}
	return s.opened(replica.Open(&s.shared, rec, applied))
}

func (s *Store) opened(r *replica.Replica, err error) error {
	if err != nil {
		return err
	}
	if r.Peer().StoreID != s.cfg.StoreID {
		return fmt.Errorf("%w: region %d belongs to store %d, this is store %d: start it with the id it had before",
			ErrCorrupt, r.RegionID(), r.Peer().StoreID, s.cfg.StoreID)
	}
	s.add(r)
	return nil
}

// Spools are the spools of snapshots that are still to be installed, ascending by region. All others that are found
// when the store is opened are leftovers of a crash, to be removed.
func (s *Store) Spools() []string {
	var names []string
	for _, m := range s.members {
		if name := m.Spool(); name != "" {
			names = append(names, name)
		}
	}
	return names
}
