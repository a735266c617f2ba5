// What a turn asks for: the effects of all replicas, gathered by kind.

package replica

import (
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
)

// Work is what one turn of a store does for all its replicas. The fields stand in the order in which they must be
// carried out; a crash may come between any two, and in the middle of each list.
//
// The memory of Log and Data is used again in the turn after: who carries them out must not keep them. The other slices
// belong to who gets them.
type Work struct {
	// Revoked are the views of peers that gave up a lease readers may still trust. They are published before anything
	// is sent: a message may allow another peer to lead (raft: a transfer does not wait for the lease to run out).
	Revoked []View

	// Immediate are the messages that promise nothing of this store's disk.
	Immediate []Message

	// Log is one atomic write of all that the replicas have to remember, with one sync (Durability) if anything in it
	// is a promise. Empty and Buffered: nothing is to be written.
	Log        raftlog.Batch
	Durability engine.Durability

	// Deferred are the promises: they leave when Log is as durable as it asked for.
	Deferred []Message

	// Data are the writes to the data store, Buffered, in this order. Each is complete in itself: what it applies,
	// and the position up to which that is.
	Data dataBatches

	// Answers are for callers, at most one for each. They come after Data, because they tell of what is in it.
	Answers []Answer

	// Views are what may be known of the peers from now on.
	Views []View

	// The rest goes on in the background and ends with an event.
	Streams  []Stream
	Installs []Install
	Discards []string // spools that nobody needs any more; no event
}

// Answer is the one answer to a caller.
type Answer struct {
	ID   uint64
	Read bool // it answers a read
	Err  error
	// Term is the term in which this peer led when the write was applied, or the read confirmed. Who decides on what
	// was read may demand it of the write that follows (Write.Term). 0 with an error.
	Term uint64
}

// View is what local readers and reporters may know of a peer without asking the loop. It is a value; its slices are
// immutable.
//
// A reader may serve from the engine without asking, if all of this holds: its request fits Region and Peer; LeaseUntil
// is later than the store's clock; then it takes the engine snapshot; and then the newest View still has the same
// Installs (a peer that installs a snapshot is no state of any moment). The lease covers the moment when the View was
// looked at: that the snapshot is taken a little later does no harm, for it holds all that was acknowledged by then.
type View struct {
	Region region.Region
	Peer   region.Peer
	Leader region.Peer // zero if it is not known
	Term   uint64

	// LeaseUntil is the time up to which no other peer can lead, on the clock that Handle is given; 0: there is none.
	LeaseUntil time.Duration

	Applied  raftlog.Position // what the data store holds
	Kept     raftlog.Position // the entry before the first of the log
	Last     uint64           // the index of the last entry of the log
	Installs uint64           // how many installs of snapshots this peer has begun since it was opened

	// Installing : the data is being replaced by a snapshot; nothing is served.
	Installing bool
	// Gone : the peer was removed. This is its last view.
	Gone bool
}

// Leads tells whether the peer led when the view was made.
func (v *View) Leads() bool { return v.Leader != region.Peer{} && v.Leader == v.Peer }

// Stream asks for a snapshot to be sent: build a snapshot.Source of it, send it to the store of Head.To, Close
// Source, and report with SnapshotSent, whatever happened.
type Stream struct {
	Ticket uint64
	Head   snapshot.Head
	Source engine.Snapshot
}

// Install asks for a snapshot that was received to be installed: a snapshot.Installer makes the batches out of the
// spool and Records, which are written to the data store, the last one Synced. Report with Installed.
type Install struct {
	RegionID uint64
	Spool    string
	Head     snapshot.Head
	Records  *engine.Batch // the peer's own records; they go into the last batch
}

// dataBatches is a list of batches, each as large as an engine takes.
type dataBatches struct {
	batches []*engine.Batch
	used    int
}

// recordRoomBytes is what is kept free in each batch for the records that complete it: a position, and a region with
// two keys and its peers.
const recordRoomBytes = 64 << 10

// room returns the present batch, or the next one if size more bytes and the records might not fit.
func (d *dataBatches) room(size int) *engine.Batch {
	if d.used == 0 || d.batches[d.used-1].Size()+size+recordRoomBytes > engine.MaxBatchSize {
		if d.used == len(d.batches) {
			d.batches = append(d.batches, new(engine.Batch))
		}
		d.used++
	}
	return d.batches[d.used-1]
}

// Batches returns those with anything in them.
func (d *dataBatches) Batches() []*engine.Batch { return d.batches[:d.used] }

func (d *dataBatches) reset() {
	for _, b := range d.batches[:d.used] {
		b.Reset()
	}
	d.used = 0
}

func (w *Work) answer(id uint64, err error, term uint64) {
	if err != nil {
		term = 0
	}
	w.Answers = append(w.Answers, Answer{ID: id, Err: err, Term: term})
}

func (w *Work) answerRead(id uint64, err error, term uint64) {
	w.Answers = append(w.Answers, Answer{ID: id, Read: true, Err: err, Term: term})
}

// Reset empties the work and keeps the memory that may be used again.
func (w *Work) Reset() {
	log, data := w.Log, w.Data
	log.Reset()
	data.reset()
	*w = Work{Log: log, Data: data}
}
