// The note: while the store is open, SUMS says what the manifest, the logs and the OPTIONS began with when it was
// written, so that after a crash a file that was cut off or removed is told from one that was torn.
//
//	pebble ──► file ──► sync ──► note: "000018.log begins with 4096 bytes of this sum"
//
// It is written behind the sync of what it says, and before a file that it names is removed or used again. So a
// crash at any time leaves a note that is true. It costs two syncs when the manifest changes, when a log gets its
// first record, and else at most once in noteEvery: what was acknowledged longer ago than that can't be cut off
// unseen.

package pebble

import (
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tinykv/kv/engine/internal/sums"
)

const noteEvery = time.Second

// note is the list, and where it is kept.
type note struct {
	dir vfsDir

	mu      sync.Mutex
	sums    sums.Sums
	written time.Time
}

// newNote begins with what is known of the files that are there.
func newNote(dir vfsDir, known sums.Sums) (*note, error) {
	n := &note{dir: dir, sums: known.Only(func(name string) bool { return isNoted(name) || isOptions(name) })}
	n.sums.Clean = false
	return n, n.write()
}

func isNoted(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-")
}

func isOptions(name string) bool { return strings.HasPrefix(name, "OPTIONS-") }

// write is called with mu held, or by the only one who has n.
func (n *note) write() error {
	n.written = time.Now()
	return n.sums.Write(n.dir)
}

// synced says that a file durably begins with size bytes of this sum.
func (n *note) synced(name string, sum uint32, size int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	due := !n.sums.Has(name) || !strings.HasSuffix(name, ".log") || time.Since(n.written) >= noteEvery
	if n.sums.Begin(name, sum, size); !due {
		return nil
	}
	return n.write()
}

// drop says that a file is about to be removed or used for something else.
func (n *note) drop(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.sums.Has(name) {
		return nil
	}
	n.sums.Drop(name)
	return n.write()
}

// addOptions notes the OPTIONS, which pebble writes when it opens and never changes.
func (n *note) addOptions() error {
	names, err := n.dir.fs.List(n.dir.path)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	newest := ""
	for _, name := range names {
		if isOptions(name) && (len(name) > len(newest) || name > newest) {
			newest = name // the others are being removed
		}
	}
	if err := n.sums.Add(n.dir, newest, sums.Sums{}); err != nil {
		return err
	}
	return n.write()
}

// notedFile is a log or a manifest: it tells the note how far it is durable.
type notedFile struct {
	vfs.File
	name string // base name
	fuse *fuse

	mu   sync.Mutex
	sum  uint32
	size int64
}

func (f *notedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := crc32.Update(f.sum, castagnoli, p) // before the write, which may leave anything in p
	n, err := f.File.Write(p)
	if err == nil {
		f.sum, f.size = sum, f.size+int64(n) // after a failed write nothing is told any more
	}
	return n, err
}

func (f *notedFile) Sync() error { return f.synced(f.File.Sync) }

func (f *notedFile) SyncData() error { return f.synced(f.File.SyncData) }

func (f *notedFile) SyncTo(length int64) (fullSync bool, err error) {
	sum, size := f.written()
	if fullSync, err = f.File.SyncTo(length); err == nil && fullSync {
		f.tell(sum, size)
	}
	return fullSync, err
}

func (f *notedFile) synced(sync func() error) error {
	sum, size := f.written()
	err := sync()
	if err == nil {
		f.tell(sum, size)
	}
	return err
}

func (f *notedFile) written() (uint32, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum, f.size
}

// tell hands on what is durable: nothing if the fuse blew, as syncs succeed then that never happened.
func (f *notedFile) tell(sum uint32, size int64) {
	if f.fuse.err() != nil || size == 0 {
		return
	}
	if err := f.fuse.note.synced(f.name, sum, size); err != nil {
		f.fuse.blow(err)
	}
}
