package raft

import (
	"fmt"
	"math/rand/v2"
)

// Config tells a node who it is and how it behaves. The zero value of every switch is what production systems run; a
// switch turns one idea off, so that its worth can be measured, or turns on what has a price.
type Config struct {
	// ID is this node's id: not None, unique in the cluster, and never given to another log.
	ID uint64

	// Storage is where the durable state is read from.
	Storage Storage

	// Rand draws the election timeouts and numbers batches of forwarded reads. It is the only source of chance: equal
	// seeds and equal inputs give equal outputs. Seed it differently on every node and on every start; many groups of
	// one thread may share one.
	Rand *rand.Rand

	// Applied is the last index the application has applied, on a restart; Ready never hands it out again.
	// Zero, or anything before the snapshot, means the snapshot.
	Applied uint64

	// ElectionTicks is how long a follower waits for a leader before it campaigns: a random number of ticks from
	// ElectionTicks to twice that, less one (§5.2). It must be larger than HeartbeatTicks, ten times is usual, so that
	// a lost heartbeat or two do not depose a leader. Default 10.
	ElectionTicks int

	// HeartbeatTicks is the time between a leader's heartbeats. Default 1.
	HeartbeatTicks int

	// MaxMessageBytes bounds the entries of one append (one entry always goes). Small ones keep heartbeats from waiting
	// behind bulk on a slow link. Default 1 MiB.
	MaxMessageBytes uint64

	// MaxInflightMessages and MaxInflightBytes bound what is sent to a follower and not yet acknowledged (dissertation
	// §10.2.1, pipelining). The window hides the round trip; its bound keeps a slow follower from filling the memory of
	// the leader's transport. One message turns pipelining off. Defaults 256 and 64 MiB.
	MaxInflightMessages int
	MaxInflightBytes    uint64

	// MaxUncommittedBytes bounds what a leader has appended and not committed: without a quorum it must not grow for
	// ever. Proposals beyond are refused with ErrProposalDropped; one is always accepted. Default 64 MiB.
	MaxUncommittedBytes uint64

	// MaxApplyBytes bounds the committed entries of one Ready (one entry always goes), so that a node that has much to
	// catch up with still ticks and answers in between. Default 16 MiB.
	MaxApplyBytes uint64

	// ReadMode chooses how ReadIndex makes sure that this node still leads. Default ReadQuorum.
	ReadMode ReadMode

	// LeaseTicks is how long after the start of a round of heartbeats that a quorum answered a leader trusts its lease.
	// It must be less than ElectionTicks by one, because a tick may come just after the heartbeat it is counted from,
	// and by as much as clocks can drift in that time. Default 8/10 of ElectionTicks.
	LeaseTicks int

	// DisablePreVote lets a node campaign without asking first. A node that was cut off then returns with a high term
	// and deposes a healthy leader (dissertation §9.6).
	DisablePreVote bool

	// DisableCheckQuorum lets a leader that hears from no quorum go on believing in itself, and lets followers vote
	// while they hear from a leader (dissertation §6.2, §4.2.3). Lease reads need it on.
	DisableCheckQuorum bool

	// DisableForwarding refuses proposals and reads at a follower instead of sending them on to the leader.
	DisableForwarding bool

	// EagerCommit tells every follower of each advance of the commit index at once by an append, empty if need be.
	// Off, they learn it from the next append or heartbeat: half the messages for a later apply on followers.
	EagerCommit bool

	// EagerAppend sends an append to every follower for each call of Propose, instead of one for all that was proposed
	// until Ready is taken.
	EagerAppend bool

	// SequentialAppend makes Ready.Immediate empty: the leader's appends leave after its own log is durable, as all
	// other messages do, and not in parallel with it (dissertation §10.2.1).
	SequentialAppend bool

	// LinearBacktrack makes a leader step back one entry for each rejection, as figure 2 has it, instead of skipping
	// whole terms (end of §5.3).
	LinearBacktrack bool

	// AsyncStorage lets the caller take the next Ready before the last one is durable or applied: Advance then only says
	// that the Ready was taken over, and the caller reports with Persisted and Applied. See doc.go.
	AsyncStorage bool
}

// ReadMode is how a leader makes sure that it still leads before it lets a read pass.
type ReadMode uint8

const (
	// ReadQuorum asks a quorum by a round of heartbeats (dissertation §6.4). Safe whatever clocks do.
	ReadQuorum ReadMode = iota
	// ReadLease trusts that no other leader can have been elected within LeaseTicks of a round that a quorum answered
	// (dissertation §6.4.1): no message, but safe only while clocks of voters drift less than the margin.
	ReadLease
)

// Defaults of Config; the reasons stand there.
const (
	defaultElectionTicks       = 10
	defaultHeartbeatTicks      = 1
	defaultMaxMessageBytes     = 1 << 20
	defaultMaxInflightMessages = 256
	defaultMaxInflightBytes    = 64 << 20
	defaultMaxUncommittedBytes = 64 << 20
	defaultMaxApplyBytes       = 16 << 20
)

func setDefault[T int | uint64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// withDefaults returns the config with every unset number filled in, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.ElectionTicks, defaultElectionTicks)
	setDefault(&c.HeartbeatTicks, defaultHeartbeatTicks)
	setDefault(&c.MaxMessageBytes, defaultMaxMessageBytes)
	setDefault(&c.MaxInflightMessages, defaultMaxInflightMessages)
	setDefault(&c.MaxInflightBytes, defaultMaxInflightBytes)
	setDefault(&c.MaxUncommittedBytes, defaultMaxUncommittedBytes)
	setDefault(&c.MaxApplyBytes, defaultMaxApplyBytes)
	setDefault(&c.LeaseTicks, c.ElectionTicks*8/10)
	return c, c.check()
}

func (c *Config) check() error {
	switch {
	case c.ID == None:
		return fmt.Errorf("%w: ID is None", ErrBadConfig)
	case c.Storage == nil:
		return fmt.Errorf("%w: no Storage", ErrBadConfig)
	case c.Rand == nil:
		return fmt.Errorf("%w: no Rand", ErrBadConfig)
	case c.HeartbeatTicks < 1:
		return fmt.Errorf("%w: HeartbeatTicks %d", ErrBadConfig, c.HeartbeatTicks)
	case c.ElectionTicks <= c.HeartbeatTicks:
		return fmt.Errorf("%w: ElectionTicks %d, HeartbeatTicks %d", ErrBadConfig, c.ElectionTicks, c.HeartbeatTicks)
	case c.MaxInflightMessages < 1:
		return fmt.Errorf("%w: MaxInflightMessages %d", ErrBadConfig, c.MaxInflightMessages)
	case c.ReadMode == ReadLease && c.DisableCheckQuorum:
		return fmt.Errorf("%w: lease reads need check quorum", ErrBadConfig)
	case c.LeaseTicks < 0 || c.LeaseTicks >= c.ElectionTicks:
		return fmt.Errorf("%w: LeaseTicks %d, ElectionTicks %d", ErrBadConfig, c.LeaseTicks, c.ElectionTicks)
	}
	return nil
}
