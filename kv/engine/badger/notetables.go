//go:build cgo

// Sums of new tables are noted while the store is open, so that after a crash nearly all tables can be checked.

package badger

import (
	"os"
	"path/filepath"
	"time"

	"github.com/Connor1996/badger"

	"tinykv/kv/engine/internal/sums"
)

// noteEvery is how often it is looked for new tables, when something is written.
const noteEvery = time.Second

// tableNotes is when it was looked last, and how long the manifest was then: it grows with each new table.
type tableNotes struct {
	looked   time.Time
	manifest int64
}

// noteTables adds the tables that were made since the last look to the sums on disk. It is called by the goroutine that
// commits. What goes wrong is left to the next look: a table without a sum is checked for its form.
func (e *Engine) noteTables() {
	if time.Since(e.notes.looked) < noteEvery {
		return
	}
	e.notes.looked = time.Now()
	info, err := os.Stat(filepath.Join(e.dir, badger.ManifestFilename))
	if err != nil || info.Size() == e.notes.manifest {
		return
	}
	m, err := verifyManifest(e.dir)
	if err != nil || m == nil {
		return
	}
	d, tables := sums.OSDir(e.dir), sums.Sums{}
	for name := range tablesOf(m) {
		_ = tables.Add(d, name, e.tables) // one that was just removed has an error, and is not in use after a crash
	}
	if tables.Write(d) == nil {
		e.tables, e.notes.manifest = tables, info.Size()
	}
}
