// Receiver: takes the chunks of a snapshot and keeps them, or refuses them.

package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
)

// DefaultMaxBytes is the largest snapshot that is received unless Wanted says otherwise: many times a region's usual size,
// and less than a disk.
const DefaultMaxBytes = 16 << 30

// maxTwins bounds the spools of one and the same snapshot: each is one that was sent again.
const maxTwins = 100

// Wanted is what a receiver takes.
type Wanted struct {
	ClusterID uint64
	StoreID   uint64
	RegionID  uint64 // 0: any
	PeerID    uint64 // 0: any on the store
	MaxBytes  uint64 // of the whole stream; 0: DefaultMaxBytes
}

// Receiver keeps a snapshot that arrives chunk by chunk. It belongs to one goroutine.
type Receiver struct {
	spool  Spool
	wanted Wanted

	verifier verifier
	name     string // of the spool, once there is a head
	draft    Draft  // nil: not begun, or complete, or given up
	err      error  // why it was given up
}

// NewReceiver makes a Receiver that writes to a spool what fits w. It must be closed.
func NewReceiver(spool Spool, w Wanted) *Receiver {
	if w.MaxBytes == 0 {
		w.MaxBytes = DefaultMaxBytes
	}
	return &Receiver{spool: spool, wanted: w}
}

// Head is what the snapshot is of, once the first chunk was accepted.
func (r *Receiver) Head() Head { return r.verifier.head }

// Name is the name of the spool, once the first chunk was accepted. There is a spool of this name once Accept has said that
// it is complete, and only then.
func (r *Receiver) Name() string { return r.name }

// Accept takes the next chunk. It keeps what the Receiver wants and what verifier.verify finds no fault with: the first
// chunk is a head for this cluster, store, region and peer; the chunks fit each other, and are no more than Wanted.MaxBytes
// together. When it has taken the last one, the spool is complete and durable, and Accept returns true: the spool is the
// caller's from then on.
//
// With an error it keeps nothing, not even what it had accepted, and returns the same error for every further chunk.
// Errors: ErrCorrupt, ErrNewer, ErrOutOfOrder, ErrForeign, ErrOutside, ErrTooLarge, or that of the spool. A chunk behind the
// last one is ErrOutOfOrder, too, but does no harm to the spool, which is complete.
func (r *Receiver) Accept(chunk Chunk) (complete bool, err error) {
	if r.err == nil {
		complete, r.err = r.accept(chunk)
	}
	if r.err != nil {
		return false, errors.Join(r.err, r.discard())
	}
	return complete, nil
}

// accept judges one chunk and writes it to the draft. It does nothing about what is there when it finds a fault: that is
// for Accept, which discards it.
//
// A chunk with which the stream would have more than Wanted.MaxBytes is ErrTooLarge before anything else is looked at. All
// others are judged by verifier.verify. The head begins the draft ([Receiver.begin]), so it comes before the first write.
// The end completes it: the draft is committed, and is no longer the Receiver's to discard (r.draft is nil), whether that
// works or not. It returns true if it did.
func (r *Receiver) accept(chunk Chunk) (complete bool, err error) {
	if size := r.verifier.totals.bytes + uint64(len(chunk)); size > r.wanted.MaxBytes {
		return false, fmt.Errorf("receive a snapshot: %w: more than %d bytes", ErrTooLarge, r.wanted.MaxBytes)
	}
	k, _, err := r.verifier.verify(chunk)
	if err == nil && k == kindHead {
		err = r.begin()
	}
	if err == nil {
		_, err = r.draft.Write(chunk)
	}
	if err != nil {
		return false, fmt.Errorf("receive a snapshot: %w", err)
	}
	if k != kindEnd {
		return false, nil
	}
	draft := r.draft
	r.draft = nil
	return true, draft.Commit()
}

// begin judges the head and begins a draft. A snapshot that is sent once more gets a name of its own: the first one may be
// about to be installed.
func (r *Receiver) begin() error {
	h := &r.verifier.head
	if err := r.wanted.check(h); err != nil {
		return err
	}
	base := fmt.Sprintf("region-%d-peer-%d-term-%d-index-%d", h.RegionID, h.To.ID, h.Term, h.Position.Index)
	r.name = base
	for twin := 2; ; twin++ {
		draft, err := r.spool.Create(r.name)
		if errors.Is(err, fs.ErrExist) && twin <= maxTwins {
			r.name = fmt.Sprintf("%s-%d", base, twin)
			continue
		}
		r.draft = draft
		return err
	}
}

// check tells whether a snapshot is for us. Error: ErrForeign.
func (w *Wanted) check(h *Head) error {
	switch {
	case h.ClusterID != w.ClusterID:
		return fmt.Errorf("%w: it is of cluster %d, this is cluster %d", ErrForeign, h.ClusterID, w.ClusterID)
	case h.To.StoreID != w.StoreID:
		return fmt.Errorf("%w: it is for store %d, this is store %d", ErrForeign, h.To.StoreID, w.StoreID)
	case w.RegionID != 0 && h.RegionID != w.RegionID:
		return fmt.Errorf("%w: it is of region %d, not %d", ErrForeign, h.RegionID, w.RegionID)
	case w.PeerID != 0 && h.To.ID != w.PeerID:
		return fmt.Errorf("%w: it is for peer %d, not %d", ErrForeign, h.To.ID, w.PeerID)
	}
	return nil
}

// Close gives up what is not complete: nothing is left of it. A complete spool stays. A second Close does nothing. Error:
// that of the spool; what may be left then, the next start removes.
func (r *Receiver) Close() error {
	if r.err == nil {
		r.err = errors.New("receive a snapshot: the receiver is closed")
	}
	return r.discard()
}

func (r *Receiver) discard() error {
	draft := r.draft
	r.draft = nil
	if draft == nil {
		return nil
	}
	return draft.Discard()
}
