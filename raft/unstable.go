package raft

// unstable is the part of the log that is not known to be durable: a snapshot that was received, and the entries after
// what Storage has.
//
//	          Storage            |  unstable.entries
//	1 2 3 ... stable             |  offset ... offered | ... last
//	                                handed out to be   | not handed out
//	                                persisted          |
//
// Invariants:
//
//	U1. entries[i].Index == offset+i; what is durable ends at offset-1.
//	U2. offset-1 <= offered <= last: entries up to offered were handed out by a Ready.
//	U3. A slot of the array of entries is written once. Ready and messages hold parts of that array, so a truncation
//	    goes on in a new array: what was handed out never changes.
type unstable struct {
	snapshot        *Snapshot // received, not yet known to be durable; or nil
	snapshotOffered bool      // a Ready has handed it out

	entries []Entry
	offset  uint64
	offered uint64

	// writes are the Readies whose writes are not known to be durable, oldest first. They are told apart by number and
	// not by what they wrote: an entry that is truncated and comes back is the same entry, but another write.
	writes []write

	chunk       int    // how many entries the next array has room for
	pinnedBytes uint64 // payload that the present array keeps alive, including entries long durable
}

const (
	// An array begins small, for most groups are idle, and doubles up to a size where its cost is spread thinly.
	minChunkEntries = 8
	maxChunkEntries = 128
	// maxPinnedBytes is how much durable payload an array may keep alive before a new one is begun.
	maxPinnedBytes = 256 << 10
)

// last is the index of the last entry, unstable or not.
func (u *unstable) last() uint64 { return u.offset + uint64(len(u.entries)) - 1 }

// push adds one entry after the last.
func (u *unstable) push(e Entry) {
	if len(u.entries) == cap(u.entries) {
		u.grow()
	}
	u.entries = append(u.entries, e)
	u.pinnedBytes += e.size()
}

// grow moves the live entries to a new array with room for more: growing by chunks makes the cost of an entry a
// fraction of an allocation, even if each is made durable before the next comes.
func (u *unstable) grow() {
	u.chunk = min(max(2*u.chunk, minChunkEntries), maxChunkEntries)
	entries := make([]Entry, len(u.entries), len(u.entries)+max(u.chunk, len(u.entries)))
	copy(entries, u.entries)
	u.entries = entries
	u.pinnedBytes = 0
}

// release gives the array of a log without unstable entries back; called now and then, so that an idle group keeps
// nothing.
func (u *unstable) release() {
	if len(u.entries) == 0 && u.entries != nil {
		u.entries, u.pinnedBytes = nil, 0
		u.chunk /= 4
	}
}

// truncate forgets the entries from index on, those that are durable included (Storage drops them when their
// replacements are written).
func (u *unstable) truncate(index uint64) {
	if index <= u.offset {
		u.entries, u.offset = nil, index
	} else {
		n := index - u.offset
		u.entries = u.entries[:n:n] // U3: without spare capacity the next push takes a new array
	}
	u.offered = min(u.offered, index-1)
	u.clipWrites(index - 1)
}

// clipWrites notes that writes on their way make nothing after last durable: it was replaced.
func (u *unstable) clipWrites(last uint64) {
	for i := range u.writes {
		u.writes[i].last = min(u.writes[i].last, last)
	}
}

// stableTo notes that everything up to index is durable.
func (u *unstable) stableTo(index uint64) {
	if index < u.offset {
		return
	}
	u.entries = u.entries[index+1-u.offset:]
	u.offset = index + 1
	if len(u.entries) == 0 && u.pinnedBytes > maxPinnedBytes {
		u.entries, u.pinnedBytes = nil, 0
	}
}

// restore replaces everything by a snapshot that no Ready has offered yet: no entries, and the next one comes after it.
// The writes that are on their way stay in the list, but make no entry durable any more ([unstable.clipWrites]).
func (u *unstable) restore(s *Snapshot) {
	u.clipWrites(0)
	*u = unstable{snapshot: s, offset: s.Metadata.Index + 1, offered: s.Metadata.Index, writes: u.writes}
}

// slice returns entries [lo, hi), which lie in unstable, as far as they fit into maxBytes.
func (u *unstable) slice(lo, hi, maxBytes uint64) []Entry {
	return firstBytes(u.entries[lo-u.offset:hi-u.offset], maxBytes)
}
