// Why a snapshot is refused.

package snapshot

import "errors"

// Errors of Receiver, Installer and DecodeHead. Test with errors.Is; the text around them says what was found. For each,
// what was received is of no use and another snapshot must be sent; what is said here is whom to blame.
var (
	// ErrCorrupt: not what was sent, by a checksum, a length, a total, or its form. From a network: damaged on its way.
	// From a spool: the disk has gone bad. A snapshot that is cut off is ErrCorrupt when it is read from a spool; of a
	// Receiver it is simply never complete.
	ErrCorrupt = errors.New("snapshot: corrupt")
	// ErrNewer: a newer version of this program made it. Update this store.
	ErrNewer = errors.New("snapshot: of a version that this program does not know")
	// ErrOutOfOrder: a chunk that is not the next one (missing, repeated, or after the end), or a key that is not behind
	// the one before it. The sender or the transport has a bug.
	ErrOutOfOrder = errors.New("snapshot: out of order")
	// ErrForeign: for another cluster, store, region or peer, or, when installing, another snapshot than the one that was
	// accepted.
	ErrForeign = errors.New("snapshot: not for us")
	// ErrOutside: a key outside of the region's range, or of a family that is not sent. Accepting it would damage another
	// region.
	ErrOutside = errors.New("snapshot: outside of the region")
	// ErrTooLarge: more than Wanted.MaxBytes, or a chunk, key, value or Head beyond its limit.
	ErrTooLarge = errors.New("snapshot: too large")
)
