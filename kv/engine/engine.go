// The contract every engine keeps: Engine, Snapshot, Iterator, and the errors they share.

package engine

import (
	"errors"
	"fmt"
)

// CF names a column family: a key space of its own inside one engine. A batch may touch several and is still atomic.
type CF uint8

// The column families. Their numbers are part of the format on disk: append, never reorder.
const (
	Default CF = iota // values: raw pairs, and the long values of transactions
	Lock              // locks of transactions in flight
	Write             // commit records of transactions
	Meta              // the store's own records; clients can't name it
	numCFs
)

// Valid tells whether cf is one of CFs.
func (cf CF) Valid() bool { return cf < numCFs }

// CFs lists all column families in the order of their numbers.
var CFs = []CF{Default, Lock, Write, Meta}

// String returns the name of the column family on the wire.
func (cf CF) String() string {
	switch cf {
	case Default:
		return "default"
	case Lock:
		return "lock"
	case Write:
		return "write"
	case Meta:
		return "meta"
	}
	return fmt.Sprintf("CF(%d)", uint8(cf))
}

// ParseCF turns a name from the wire into a column family. The empty name means "default", as TiKV has it.
// Any other name is ErrUnknownCF, that of Meta too: hand it to the caller, who misspelt it.
func ParseCF(name string) (CF, error) {
	if name == "" {
		return Default, nil
	}
	for _, cf := range CFs[:Meta] {
		if cf.String() == name {
			return cf, nil
		}
	}
	return 0, fmt.Errorf("%w %.40q: use one of default, lock, write", ErrUnknownCF, name)
}

// Errors that every engine answers with. Test with errors.Is; the text around them says what was attempted.
var (
	// ErrNotFound: the key has no value in this snapshot. An empty value is a value and not this error.
	ErrNotFound = errors.New("engine: key not found")
	// ErrClosed: the engine or the snapshot was closed. The caller has outlived it: a bug of the caller's, or a
	// shutdown.
	ErrClosed = errors.New("engine: closed")
	// ErrCorrupt: what is on disk is not what was written. Stop serving this data; rebuild it from a replica or a
	// backup.
	ErrCorrupt = errors.New("engine: corrupt data")
	// ErrFailed: an earlier write could not be made durable, so the engine refuses all further writes (reads may go
	// on). What was asked for in the failed write may or may not be found after a restart. Restart the process once
	// the disk is well.
	ErrFailed = errors.New("engine: stopped after a failed write")
	// ErrUnknownCF: there is no column family of this name.
	ErrUnknownCF = errors.New("engine: unknown column family")
	// ErrTooLarge: a key, a value or the batch exceeds MaxKeySize, MaxValueSize or MaxBatchSize, or an engine
	// without cheap range deletes (badger) would have to delete more keys at once than that. Nothing was written;
	// split the batch or the range.
	ErrTooLarge = errors.New("engine: key, value or batch too large")
	// ErrInUse: another process (or another Open of this one) has the directory. Stop that one, or choose another
	// directory.
	ErrInUse = errors.New("engine: directory is in use")
	// ErrEmptyKey: the empty key can't be stored. As a bound of a range it means "no bound".
	ErrEmptyKey = errors.New("engine: empty key")
)

// Limits that all engines share, in bytes, so that a program that runs on one runs on all.
const (
	MaxKeySize   = 16 << 10 // twice the largest user key: the transaction layer encodes keys and appends timestamps
	MaxValueSize = 7 << 20  // above the largest user value and what is stored with it; badger takes no entry of 8 MiB
	MaxBatchSize = 16 << 20 // of Batch.Size; above the largest Raft entry
	OpOverhead   = 32       // what an operation counts beside its key and value: headers, checksums, pointers
)

// Durability says what Write waits for.
type Durability uint8

const (
	// Buffered: the batch is visible, but a crash of the process or the machine may lose it, and then it loses
	// every batch that was written after it, too.
	Buffered Durability = iota
	// Synced: the batch, and with it every batch written before it, is on the device when Write returns nil.
	Synced
)

// Engine keeps ordered bytes in column families. All methods may be called from any goroutine.
type Engine interface {
	// Snapshot returns a view of everything written before the call and of nothing written after it.
	// The caller must Close it. Error: ErrClosed.
	Snapshot() (Snapshot, error)

	// Write applies all operations of b, in their order, or none of them: no snapshot and no crash ever shows a
	// part. The engine copies what it keeps: b may be changed, reset and written again as soon as Write returns. An
	// empty batch with Synced is a sync of what came before. Errors: ErrClosed, ErrTooLarge, ErrEmptyKey,
	// ErrUnknownCF, ErrFailed, or the disk's own error, after which every further Write answers ErrFailed.
	Write(b *Batch, d Durability) error

	// ApproximateSize estimates the bytes that keys in [start, end) of cf take. It may lag behind recent writes, and is
	// meant for deciding on a split, not for accounting. An empty end means "to the last key", an inverted range is 0.
	// Errors: ErrClosed, ErrUnknownCF.
	ApproximateSize(cf CF, start, end []byte) (uint64, error)

	// Close waits until every snapshot is closed, then syncs and releases the disk. New snapshots and writes are
	// refused with ErrClosed from the moment it is called. A second Close returns ErrClosed.
	Close() error
}

// Snapshot is a consistent, unchanging view of an engine. Its methods may be called from any goroutine;
// the iterators that it hands out belong to one goroutine each.
type Snapshot interface {
	// Get returns a copy of the value of key, which the caller owns. An empty value is not nil: it is []byte{}.
	// Errors: ErrNotFound (the empty key is never found), ErrClosed, ErrUnknownCF, ErrCorrupt.
	Get(cf CF, key []byte) ([]byte, error)

	// Iterator walks the pairs of cf whose keys are in [opts.Lower, opts.Upper). It starts unpositioned: call
	// First, Last, SeekGE or SeekLT. The caller must Close it before the snapshot; one that is forgotten is closed
	// with the snapshot and stands on nothing from then on, with Err ErrClosed. Errors: ErrClosed, ErrUnknownCF.
	Iterator(cf CF, opts IterOptions) (Iterator, error)

	// Close releases the view. Using it afterwards is ErrClosed. A second Close is ErrClosed.
	Close() error
}

// IterOptions bound an iterator. An empty bound means "none"; an inverted or empty range holds no pairs.
// The engine copies the bounds.
type IterOptions struct {
	Lower []byte // inclusive
	Upper []byte // exclusive
}

// Iterator walks pairs in the order of bytes.Compare on their keys. Every method that moves it returns whether it
// now stands on a pair. When one returns false, Err tells the end of the range (nil) from trouble.
type Iterator interface {
	// First moves to the first pair of the range, or off the high end if there is none.
	First() bool
	// Last moves to the last pair of the range, or off the low end if there is none.
	Last() bool
	// SeekGE moves to the first pair whose key is >= key, or off the high end. A key below Lower counts as Lower.
	SeekGE(key []byte) bool
	// SeekLT moves to the last pair whose key is < key, or off the low end. A key above Upper counts as Upper.
	SeekLT(key []byte) bool
	// Next moves forward. On an iterator that ran off the low end it moves to the first pair; at the high end it
	// stays there. On an unpositioned iterator it is First.
	Next() bool
	// Prev moves backward. On an iterator that ran off the high end it moves to the last pair; at the low end it
	// stays there. On an unpositioned iterator it is Last.
	Prev() bool
	// Valid tells whether it stands on a pair.
	Valid() bool
	// Key returns the key of the current pair. The slice is valid until the iterator moves or is closed: copy to
	// keep it. On an invalid iterator it is nil.
	Key() []byte
	// Value returns the value of the current pair, under the same rule as Key.
	Value() []byte
	// Err is the error that stopped the iterator, ErrCorrupt among them, or nil.
	Err() error
	// Close releases the iterator and returns Err. A second Close does nothing and returns nil.
	Close() error
}
