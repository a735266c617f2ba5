// What shapes a run, and what it leaves.

package sim

import (
	"cmp"
	"time"

	"tinykv/kv/replica"
	"tinykv/raft"
	"tinykv/raft/rafttest"
)

// Options shape a run. The zero value of each is a good default; everything else comes from the seed.
type Options struct {
	Stores  int   // those with a first peer of the region; default 3, at most 5 are of use
	Spares  int   // stores without a peer: with any, peers come and go
	Clients int   // who work at the same time; default 4
	Keys    int   // that they share; default 4, and one pair of keys that is written and read together
	Ticks   int64 // length of the phase with faults, in ticks of 100 ms; default 400

	Raft   raft.Config    // switches of every peer: how reads are confirmed, timeouts
	Limits replica.Limits // of every store; zero fields are drawn from the seed, or the defaults if Calm

	Calm   bool   // no faults but delay
	Favour Favour // trouble that happens much more often than other
	Trace  bool   // tell what happens as text
	Record bool   // keep the decisions, to play them again

	LivenessTicks int64 // bound on the phase after the faults; default 300
}

// Favour is a kind of trouble to make more of.
type Favour uint8

const (
	// FavourNothing mixes everything.
	FavourNothing Favour = iota
	// FavourLeaders crashes leaders, cuts them off and stops them for a while.
	FavourLeaders
	// FavourSnapshots keeps logs so short that who was away for a moment needs a snapshot, and breaks streams and
	// installs of them.
	FavourSnapshots
	// FavourSlowDisks has disks that take their time, some of them for seconds.
	FavourSlowDisks
	// FavourClocks lets clocks drift as far as leases allow, stops processes, and (if no lease is trusted) moves clocks.
	FavourClocks
	// FavourMembers moves peers among the stores. It needs Spares.
	FavourMembers
	// FavourBadDisks has disks that become full, fail to sync and rot. A minority of the stores may be lost for good.
	FavourBadDisks
)

// Result is what a run leaves.
type Result struct {
	Seed      uint64
	Err       error // nil, or a rafttest.Failure with the invariant that broke (doc.go)
	Hash      uint64
	Events    int
	Now       time.Duration // virtual time that passed
	Counts    Counts
	Saw       []rafttest.Sight // in the order of their first occurrence
	Story     []string         // if Options.Trace
	Decisions []Decision       // if Options.Record
	State     string           // where every store stands, if Err is not nil
	Picture   []byte           // a page that shows the history that is not linearizable, if Options.Record
}

// Counts are of all stores together.
type Counts struct {
	Writes, Reads int // that clients were told of
	LeaseReads    int // of Reads: served without asking the store's loop
	Unknown       int // writes whose clients never learned their fate
	Messages      int // sent from store to store
	Entries       int // in them
	LogWrites     int
	LogSyncs      int
	DataWrites    int
	DataSyncs     int
	Turns         int
}

// Count returns how often something was seen.
func (r *Result) Count(what string) int {
	for _, s := range r.Saw {
		if s.What == what {
			return s.Count
		}
	}
	return 0
}

const (
	tick         = 100 * time.Millisecond // stores' TickInterval, as servers have it
	clusterID    = 7
	firstRegion  = 1
	firstVersion = 1
)

func (o Options) withDefaults() Options {
	o.Stores = cmp.Or(o.Stores, 3)
	o.Clients = cmp.Or(o.Clients, 4)
	o.Keys = cmp.Or(o.Keys, 4)
	o.Ticks = cmp.Or(o.Ticks, 400)
	o.LivenessTicks = cmp.Or(o.LivenessTicks, 300)
	return o
}
