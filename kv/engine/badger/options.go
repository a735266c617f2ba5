// What a caller may choose, with or without cgo.

package badger

import (
	"errors"
	"fmt"
	"log/slog"
)

// Options are what a caller may choose. The zero value is right for a server.
type Options struct {
	Logger *slog.Logger // where messages go; nil: nowhere

	// Advice ends the errors about a damaged store: what whoever reads them can do. Empty: that there may be a backup.
	Advice string

	// VerifyBytes bounds how much of the files Open reads to check them before it changes anything; 0 means 256
	// MiB. Of what is beyond, only the sizes are checked, and values whenever they are read.
	VerifyBytes int64

	// NoCompaction keeps badger from compacting tables in the background. It is for tests with small stores:
	// badger's compactor begins with a sleep of up to a second that nothing can end, so Close takes that long with
	// it. Reads get slower with each table.
	NoCompaction bool
}

// ErrNoCgo is what Open answers in a program that was built without cgo: badger needs a C compiler for its
// compression. Install one and build with CGO_ENABLED=1, or choose another engine.
var ErrNoCgo = errors.New(
	"badger: built without cgo: install a C compiler and build with CGO_ENABLED=1, or use --engine pebble")

func noCgo(dir string) error { return fmt.Errorf("open %s: %w", dir, ErrNoCgo) }
