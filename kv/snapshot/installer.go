// Installer: the batches that replace a region's data by a snapshot.
//
//	old data ──► delete ranges ──► pairs ──► pairs + records
//	             │                           │
//	             a crash from here on ...    ... until here: the position in the data store is still the old one,
//	                                         so the installation is begun anew

package snapshot

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"tinykv/kv/engine"
)

// BatchBytes is the size of the batches of an Installer. It bounds how long others wait behind one, and how much memory it
// takes.
const BatchBytes = 1 << 20

// Installer turns a spool into the batches that install it. It belongs to one goroutine.
type Installer struct {
	file     *bufio.Reader
	head     Head
	data     engine.Snapshot
	records  *engine.Batch
	limit    int // BatchBytes, except in tests
	verifier verifier

	family int    // index into families: the one whose old data is being deleted
	from   []byte // where to go on deleting in it
	rest   pairs  // of the present chunk, those that are in no batch yet
	done   bool
	batch  engine.Batch // the one that was handed out last
}

// NewInstaller makes an Installer of the snapshot that was received with head h and whose spool is read from file. data is a
// state of the engine that was taken after everything of this region was written (the writes of an earlier attempt, too):
// what is found there is what is deleted. records are the operations that make the snapshot the applied state. File and
// data stay open until the installation ends and are closed by their owner.
func NewInstaller(file io.Reader, h Head, data engine.Snapshot, records *engine.Batch) *Installer {
	return &Installer{file: bufio.NewReader(file), head: h, data: data, records: records, limit: BatchBytes,
		from: h.Region.Range.Start}
}

// Next returns the next batch to be written, and io.EOF behind the last one. The batch is valid until the next call of Next.
// The batches, written in this order, Buffered, leave exactly the snapshot's pairs in the region's range of the families
// default, lock and write; nothing else is touched but by the records.
//
//   - First come batches that delete what data has there. Each deletes keys of BatchBytes, give or take one key, by ranges,
//     since not every engine can delete more at once; a family that has nothing to delete is left alone.
//   - Then the pairs, in batches of at most BatchBytes (by engine.Batch.Size), unless a single pair is larger.
//   - The last batch, which may have no pairs, ends with the records. It comes only when the whole spool is verified.
//
// After io.EOF the caller makes all of it durable by an empty Synced batch. If an installation does not come to its end, it
// is begun anew with a new Installer and a new data: the outcome is the same, whatever was written before. If the records are
// found after a crash, it has come to its end, and must not be begun anew: they would be a lie while it lasts.
//
// Other errors: ErrCorrupt, ErrNewer, ErrOutOfOrder, ErrOutside, ErrTooLarge if the spool is not what was received, ErrForeign
// if it is of another head; those of file and data. The Installer is of no more use then, and the region is neither old nor
// new: it must not be served.
//
// How it goes on from call to call: the first one reads the head ([Installer.begin]). As long as Installer.delete adds
// something to in.batch, which was emptied, that is the batch. Then chunks are read ([Installer.read]) and their pairs
// moved to it ([Installer.put] takes them from in.rest, see openPairs), until it is full or the end is read (in.done).
func (in *Installer) Next() (*engine.Batch, error) {
	if in.done {
		return nil, io.EOF
	}
	in.batch.Reset()
	if in.verifier.totals.chunks == 0 {
		if err := in.begin(); err != nil {
			return nil, err
		}
	}
	if err := in.delete(); err != nil || in.batch.Len() > 0 {
		return &in.batch, err
	}
	for in.put() {
		k, body, err := in.read()
		if err != nil {
			return nil, err
		}
		if k == kindEnd {
			in.done = true
			in.batch.Append(in.records)
			break
		}
		if in.rest, err = openPairs(body); err != nil {
			return nil, err
		}
	}
	return &in.batch, nil
}

// begin reads the head.
func (in *Installer) begin() error {
	_, body, err := in.read()
	if err != nil {
		return err
	}
	want, err := EncodeHead(in.head)
	if err == nil && !bytes.Equal(body, want) {
		err = fmt.Errorf("%w: the spool is of region %d for peer %d up to index %d", ErrForeign, in.verifier.head.RegionID,
			in.verifier.head.To.ID, in.verifier.head.Position.Index)
	}
	return err
}

// read returns the next chunk of the spool, verified. Behind the end it must not be called.
func (in *Installer) read() (kind, []byte, error) {
	chunk, err := readChunk(in.file)
	if err == io.EOF {
		err = fmt.Errorf("%w: cut off before its end", ErrCorrupt)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read a spool: %w", err)
	}
	k, body, err := in.verifier.verify(chunk)
	if err == nil && k == kindEnd {
		err = in.nothingLeft()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read a spool: %w", err)
	}
	return k, body, nil
}

// nothingLeft tells whether the spool ends with the end of the stream.
func (in *Installer) nothingLeft() error {
	switch _, err := in.file.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: bytes after the end", ErrCorrupt)
	default:
		return err
	}
}

// delete adds to the batch deletes of as much old data as one batch may delete (in.limit, as Installer.measure counts); none
// if there is no more. It goes through the families in their order (in.family), in each through the region's range from
// in.from on, and adds one range of keys after the other until the batch has no more room; where there is nothing, it adds
// nothing. A family is done when all up to the end of the range is measured; the next one begins at the start of the range.
// No key outside of the range is touched. Errors are those of data.
func (in *Installer) delete() error {
	keys := in.head.Region.Range
	room := in.limit
	for in.family < len(families) && room > 0 {
		cf := families[in.family]
		size, end, err := in.measure(cf, room)
		if err != nil {
			return fmt.Errorf("read the old data: %w", err)
		}
		if size > 0 {
			in.batch.DeleteRange(cf, in.from, end)
		}
		room -= size
		if in.from = end; bytes.Equal(end, keys.End) {
			in.family, in.from = in.family+1, keys.Start
		}
	}
	return nil
}

// measure finds how far, from in.from on, keys of cf may be deleted at once: their size, as a batch would count single deletes,
// is at most room, or that of one key; end is the first key beyond, or the end of the region.
func (in *Installer) measure(cf engine.CF, room int) (size int, end []byte, err error) {
	end = in.head.Region.Range.End
	it, err := in.data.Iterator(cf, engine.IterOptions{Lower: in.from, Upper: end})
	if err != nil {
		return 0, nil, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		cost := len(it.Key()) + engine.OpOverhead
		if size > 0 && size+cost > room {
			return size, bytes.Clone(it.Key()), nil
		}
		size += cost
	}
	return size, end, it.Err()
}

// put moves pairs of the present chunk to the batch. It returns false when the batch is full, and true when the chunk is
// used up.
func (in *Installer) put() bool {
	for in.rest.more() {
		before := in.rest
		key, value, err := in.rest.next()
		if err != nil {
			panic("snapshot: a verified chunk does not decode: " + err.Error())
		}
		size := len(key) + len(value) + engine.OpOverhead
		if in.batch.Len() > 0 && in.batch.Size()+size > in.limit {
			in.rest = before
			return false
		}
		in.batch.Take(engine.Op{Kind: engine.OpPut, CF: in.rest.cf, Key: key, Value: value})
	}
	return true
}
