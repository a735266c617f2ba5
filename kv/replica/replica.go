// Replica: one peer of one region, its birth and what it hears. What comes out of it is in ready.go.

package replica

import (
	"errors"
	"fmt"
	"time"

	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// Errors of a replica.
var (
	// ErrCorrupt : what is on disk can't have been written by a correct replica. The text says what.
	ErrCorrupt = errors.New("replica: corrupt")
	// ErrCancelled : the request was cancelled before anything was done.
	ErrCancelled = errors.New("replica: cancelled")
)

// Replica is one peer of one region. It decides and does nothing itself: it reads the log and the data store, and asks
// for everything else by Work. Its methods are called from one goroutine.
type Replica struct {
	cfg  *Config
	id   uint64 // of the region
	peer region.Peer
	node *raft.RawNode
	book addressBook

	// What is applied. It is ahead of the data store between Ready and Done, when the turn's writes are on their way.
	// While a snapshot is being installed, region and conf are the snapshot's, and applied is where the data was
	// before.
	region  region.Region
	conf    raft.ConfState
	applied raftlog.Position

	logged   bool   // the log has a state of this region
	leadTerm uint64 // the term in which this peer led when it was last looked at; 0: it did not
	tickedAt time.Duration

	writes  pendingWrites
	reads   pendingReads
	compact compaction
	install installation
	removed *removal // nil: it is a member, or does not know

	taken struct { // what Done reports to raft
		number  uint64
		applied uint64
	}
	published View // by turns whose work was carried out
	next      View // what this turn's work publishes
}

// New brings a peer into being that knows nothing but its name: it waits for a snapshot. What the log may know of an
// earlier life of this region on this store, a vote, is kept: to have promised more than one needs to does no harm.
func New(cfg *Config, regionID uint64, peer region.Peer) (*Replica, error) {
	r := &Replica{cfg: cfg, id: regionID, peer: peer, region: region.Region{ID: regionID}}
	state, logged, err := cfg.Log.State(regionID)
	if err != nil {
		return nil, err
	}
	r.logged = logged
	return r, r.start(state)
}

// Open brings a peer back that the store has a record of, from what the log and the data store hold. applied is the
// position that was read together with rec. A snapshot that was accepted and not installed wins over both: Ready asks
// for its installation, anew. Errors: ErrCorrupt, and what the log answers.
func Open(cfg *Config, rec Record, applied raftlog.Position) (*Replica, error) {
	state, _, err := cfg.Log.State(rec.Region.ID)
	if err != nil {
		return nil, err
	}
	r := &Replica{cfg: cfg, id: rec.Region.ID, peer: rec.Peer, region: rec.Region, conf: rec.ConfState, applied: applied,
		logged: true}
	return r, r.start(state)
}

// OpenInstalling brings back a peer without a record, whose first snapshot was accepted and not installed.
func OpenInstalling(cfg *Config, regionID uint64, state raftlog.State) (*Replica, error) {
	head, err := snapshot.DecodeHead(state.Install.Head)
	if err != nil {
		return nil, fmt.Errorf("region %d: snapshot to be installed: %w", regionID, err)
	}
	r := &Replica{cfg: cfg, id: regionID, peer: head.To, region: region.Region{ID: regionID}, logged: true}
	return r, r.start(state)
}

// start makes the raft node of a peer whose record is filled in.
func (r *Replica) start(state raftlog.State) error {
	r.book.region = &r.region
	r.compact = compactedTo(state.Truncated)
	if err := r.resumeInstall(state.Install); err != nil {
		return err
	}
	r.compact.bytes = r.cfg.Log.Bytes(r.id)
	if err := r.checkOpened(&state); err != nil {
		return err
	}
	cfg := r.cfg.Raft
	cfg.ID = r.peer.ID
	cfg.Storage = &storage{region: r.id, log: r.cfg.Log, conf: r.conf, replica: r}
	cfg.Rand = r.cfg.Rand
	cfg.Applied = r.appliedOrInstalling()
	cfg.AsyncStorage = true
	cfg.DisableForwarding = true
	node, err := raft.NewRawNode(cfg)
	if err != nil {
		return fmt.Errorf("region %d: %w", r.id, err)
	}
	r.node = node
	r.noteRemoval()
	node.PauseApply(r.installing())
	return nil
}

// checkOpened compares the log with the data: entries that the data store lacks must be there to be applied again,
// and what was applied must have been in the log.
func (r *Replica) checkOpened(state *raftlog.State) error {
	older := ""
	switch applied := r.appliedOrInstalling(); {
	case applied < state.Truncated.Index:
		older = "data"
	case applied > state.Last.Index:
		older = "log"
	default:
		return nil
	}
	return fmt.Errorf("%w: region %d: its log holds the entries after %d up to %d, the data is applied up to %d: the %s "+
		"directory is older than the other",
		ErrCorrupt, r.id, state.Truncated.Index, state.Last.Index, r.appliedOrInstalling(), older)
}

// RegionID is the id of the region.
func (r *Replica) RegionID() uint64 { return r.id }

// Peer is who this is.
func (r *Replica) Peer() region.Peer { return r.peer }

// Region is the region as it is applied here. Without Peers: no snapshot has come yet.
func (r *Replica) Region() region.Region { return r.region }

// Initialized tells whether the peer knows its region.
func (r *Replica) Initialized() bool { return len(r.region.Peers) > 0 }

// Tick lets one tick pass, which was due at the time at.
func (r *Replica) Tick(at time.Duration) {
	r.tickedAt = at
	r.node.Tick()
	r.tickCompaction()
	r.tickRemoval()
}

// Unreachable notes that messages to a store were lost.
func (r *Replica) Unreachable(storeID uint64) {
	if p, ok := r.region.PeerOn(storeID); ok {
		r.node.ReportUnreachable(p.ID)
	}
}
