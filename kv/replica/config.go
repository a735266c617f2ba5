// What a replica is given, and its limits.

package replica

import (
	"math/rand/v2"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/raft"
)

// Config is what all replicas of a store share.
type Config struct {
	ClusterID uint64
	StoreID   uint64

	// Log and Data are read, and never written: that is what Work is for.
	Log  raftlog.Log
	Data engine.Engine

	// Rand is the only source of chance.
	Rand *rand.Rand

	// TickInterval is the time between two calls of Tick, for views of leases.
	TickInterval time.Duration

	// Raft is how the raft groups behave: timeouts in ticks, limits, switches. ID, Storage, Rand, Applied, AsyncStorage
	// and DisableForwarding are filled in here.
	Raft raft.Config

	Limits Limits

	// Tickets is what the replicas of a store share to bound the snapshots that are being sent.
	Tickets *Tickets
}

// Limits bound what a replica keeps. Zero means the default.
type Limits struct {
	// CompactEntries and CompactBytes: beyond either, a leader has its log compacted, as far as every follower has it.
	// Defaults 65536 and 32 MiB: what a follower that was away for a short time needs comes out of the log, and a
	// restart applies no more than that again.
	CompactEntries, CompactBytes uint64

	// MaxLagEntries and MaxLagBytes: beyond either, the log is compacted past followers that lag behind; they get a
	// snapshot. Defaults four times the above.
	MaxLagEntries, MaxLagBytes uint64

	// MaxSnapshots bounds the snapshots that a store makes and sends at once: each keeps a state of the engine alive.
	// Default 4.
	MaxSnapshots int

	// MaxReads bounds the reads of a peer that wait. More are answered with region.BusyError. Default 65536.
	MaxReads int

	// MaxWrites bounds the writes of a peer that wait for their fate. More are answered with region.BusyError. Raft
	// bounds their bytes (MaxUncommittedBytes). Default 65536.
	MaxWrites int

	// MaxPeers bounds the peers of a store. Messages do not bring more into being. Default 65536.
	MaxPeers int

	// MaxNewborns bounds those of them that wait for their first snapshot: anybody can bring such a peer into being, by
	// one message for a region that the store does not know. Default 1024.
	MaxNewborns int
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	set(&l.CompactEntries, 64<<10)
	set(&l.CompactBytes, 32<<20)
	set(&l.MaxLagEntries, 4*l.CompactEntries)
	set(&l.MaxLagBytes, 4*l.CompactBytes)
	set(&l.MaxSnapshots, 4)
	set(&l.MaxReads, 64<<10)
	set(&l.MaxWrites, 64<<10)
	set(&l.MaxPeers, 64<<10)
	set(&l.MaxNewborns, 1<<10)
	return l
}

func set[T int | uint64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
