//go:build cgo

// Sums of new tables are noted while the store is open, so that after a crash nearly all tables can be checked. And
// what the newest log begins with, so that it can't be removed or emptied unseen.

package badger

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if err != nil {
		return
	}
	d, log := sums.OSDir(e.dir), newestLog(e.dir)
	if info.Size() == e.notes.manifest && e.tables.Has(log) {
		return
	}
	m, err := verifyManifest(e.dir)
	if err != nil || m == nil {
		return
	}
	var tables sums.Sums
	for name := range tablesOf(m) {
		_ = tables.Add(d, name, e.tables) // one that was just removed has an error, and is not in use after a crash
	}
	for _, name := range e.tables.Names() {
		if isLog(name) {
			_ = tables.Add(d, name, e.tables)
		}
	}
	if content, err := os.ReadFile(d.Path(log)); err == nil {
		content = content[:wholeTransactions(content)] // no write is under way; what follows will be written over
		tables.Begin(log, crc32.Checksum(content, castagnoli), int64(len(content)))
	}
	if tables.Write(d) == nil {
		e.tables, e.notes.manifest = tables, info.Size()
	}
}

func isLog(name string) bool { return strings.HasSuffix(name, ".vlog") }

// newestLog names the log that is being written.
func newestLog(dir string) string {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if len(logs) == 0 {
		return ""
	}
	return filepath.Base(slices.Max(logs))
}

// needsLog tells whether a log is replayed when the store is opened; older ones badger removes.
func needsLog(m *badger.Manifest, name string) bool {
	var first, number uint32
	if m.Head != nil {
		first = m.Head.LogID
	}
	_, err := fmt.Sscanf(name, "%d.vlog", &number)
	return isLog(name) && err == nil && number >= first
}
