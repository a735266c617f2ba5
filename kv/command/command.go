// The commands, and what may be wrong with the bytes of one.

package command

import (
	"errors"

	"tinykv/kv/engine"
	"tinykv/kv/region"
)

// Command is what one entry of a region's log asks every replica to do: a Write or a CompactLog.
type Command interface{ command() }

// Write applies a batch. Epoch is the region's as the proposer saw it: whoever applies the command compares it with what
// the region is by then, for it may have been split in between.
type Write struct {
	Epoch region.Epoch
	Batch *engine.Batch
}

// CompactLog allows every replica to drop its log up to Index, whose entry is of Term. It says nothing of when: a replica
// first makes durable what it has applied.
type CompactLog struct {
	Index, Term uint64
}

func (Write) command()      {}
func (CompactLog) command() {}

// MaxSize bounds an encoded command, in bytes. It becomes one entry, and an entry is one value of the engine that keeps the
// raft log: so a batch that is replicated can't be as large as one that is only written.
const MaxSize = engine.MaxValueSize - 1<<10

// Errors of this package. The text around them says where the bytes go wrong.
var (
	// ErrCorrupt: these are not the bytes of a command: they were cut, changed or made up. Do not apply anything of the
	// entry; the disk or the peer that they came from is not to be trusted.
	ErrCorrupt = errors.New("command: corrupt")
	// ErrNewer: a newer version of this program wrote it. Run that version here, too.
	ErrNewer = errors.New("command: written by a newer version")
	// ErrTooLarge: the command exceeds MaxSize. Split the batch.
	ErrTooLarge = errors.New("command: too large")
)
