// Sending snapshots: a state of the engine is held under a ticket until the stream that carries it ends.
//
//	raft: a follower's next entry is gone
//	  ──► Storage.Snapshot: engine.Snapshot, a ticket; raft gets position and configuration, and the ticket as data
//	  ──► Ready: MsgSnap with the ticket ──► Work.Streams
//	  ──► the driver streams it, and reports: SnapshotSent ──► raft goes on with that follower

package replica

import (
	"encoding/binary"
	"fmt"

	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// Tickets are the snapshots that a store holds to be sent: a bounded number, because each keeps old data in the engine
// from being reclaimed. The zero value holds none and has no room: see NewTickets.
type Tickets struct {
	limit int
	last  uint64
	live  []ticket
}

// ticket is one snapshot, from when it is made until its stream has ended.
type ticket struct {
	number   uint64
	regionID uint64
	to       uint64 // the peer it is sent to; 0: raft has not sent it yet
	source   engine.Snapshot
	record   Record
}

// NewTickets makes room for a number of snapshots at once.
func NewTickets(limit int) *Tickets { return &Tickets{limit: limit} }

// add takes a snapshot over.
func (t *Tickets) add(regionID uint64, source engine.Snapshot, rec Record) uint64 {
	t.last++
	t.live = append(t.live, ticket{number: t.last, regionID: regionID, source: source, record: rec})
	return t.last
}

// find returns the ticket with this number; nil if there is none.
func (t *Tickets) find(number uint64) *ticket {
	for i := range t.live {
		if t.live[i].number == number {
			return &t.live[i]
		}
	}
	return nil
}

// End takes a ticket back: its stream has ended. It returns the region and the peer it was for; false if there is no
// such ticket.
func (t *Tickets) End(number uint64) (regionID, to uint64, ok bool) {
	for i := range t.live {
		if held := t.live[i]; held.number == number {
			t.live = append(t.live[:i], t.live[i+1:]...)
			return held.regionID, held.to, true
		}
	}
	return 0, 0, false
}

// Release closes the snapshots that no stream has taken over: the store is about to end.
func (t *Tickets) Release() {
	for i := range t.live {
		if t.live[i].to == raft.None {
			t.live[i].source.Close()
		}
	}
	t.live = nil
}

// makeSnapshot is raft's Storage.Snapshot: a state of the data store (Config.Data), with the position and the
// configuration that are read from that same state (readState), so that they belong together whatever is being
// applied: this peer's own (applied, region, conf) may be ahead of it. The state and the record that was read in it
// are held under a new ticket (Tickets.add). Raft gets the position as Index and Term, the configuration, and the
// number of the ticket as Data (8 bytes, big endian); no pair is read here.
//
// There is no snapshot now (raft.ErrSnapshotTemporarilyUnavailable, before anything is opened) if all tickets are out,
// or if this peer has no whole state itself: it waits for its first snapshot, or is installing one, or was removed.
// Other errors are the data store's, and ErrCorrupt. A state that can't be read is closed again, and takes no ticket.
func (r *Replica) makeSnapshot() (raft.Snapshot, error) {
	tickets := r.cfg.Tickets
	if len(tickets.live) >= tickets.limit || r.installing() || !r.Initialized() || r.removed != nil {
		return raft.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	source, err := r.cfg.Data.Snapshot()
	if err != nil {
		return raft.Snapshot{}, err
	}
	applied, rec, err := readState(source, r.id)
	if err != nil {
		source.Close()
		return raft.Snapshot{}, err
	}
	number := tickets.add(r.id, source, rec)
	return raft.Snapshot{
		Data:     binary.BigEndian.AppendUint64(nil, number),
		Metadata: raft.SnapshotMetadata{Index: applied.Index, Term: applied.Term, ConfState: rec.ConfState},
	}, nil
}

// readState reads what a state of the engine says about a region that it must know.
func readState(s engine.Snapshot, id uint64) (raftlog.Position, Record, error) {
	applied, ok, err := ReadApplied(s, id)
	if err != nil {
		return applied, Record{}, err
	}
	rec, found, err := ReadRecord(s, id)
	if err == nil && !(ok && found) {
		err = fmt.Errorf("%w: region %d has no record in the data store", ErrCorrupt, id)
	}
	return applied, rec, err
}

// stream turns raft's message into a stream (Work.Streams) of the snapshot whose ticket it bears (Snapshot.Data, 8
// bytes, big endian). The ticket notes for which peer it is (its to): so it is known whom its end concerns, and that
// the state is the driver's to close from now on. The head says all that the message would have: the cluster, from and
// to whom, its term, position and configuration, and the region as it was recorded in that state (the ticket's record).
//
// to is the zero Peer if nobody knows where the peer is. Then it has failed at once: the state is closed, the ticket
// comes back (Tickets.End), raft is told (ReportSnapshot), and nothing is streamed. A message whose ticket is unknown
// is dropped.
func (r *Replica) stream(m *raft.Message, to region.Peer, w *Work) {
	t := r.cfg.Tickets.find(binary.BigEndian.Uint64(m.Snapshot.Data))
	if t == nil {
		return
	}
	t.to = m.To
	if to.ID == raft.None {
		t.source.Close()
		r.cfg.Tickets.End(t.number)
		r.node.ReportSnapshot(m.To, raft.SnapshotFailure)
		return
	}
	meta := m.Snapshot.Metadata
	w.Streams = append(w.Streams, Stream{Ticket: t.number, Source: t.source, Head: snapshot.Head{
		ClusterID: r.cfg.ClusterID, RegionID: r.id, From: r.peer, To: to, Region: t.record.Region,
		Position: raftlog.Position{Index: meta.Index, Term: meta.Term}, ConfState: meta.ConfState, Term: m.Term,
	}})
}

// SnapshotSent says how a stream to a peer ended: ok if the whole snapshot is there. Raft, which sends that peer nothing
// else until it hears of it, is told (ReportSnapshot): raft.SnapshotFinish if ok, or else raft.SnapshotFailure, and
// another snapshot will be made. Whether it was installed, the peer itself will tell.
func (r *Replica) SnapshotSent(to uint64, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	r.node.ReportSnapshot(to, status)
}
