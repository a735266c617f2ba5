// Package open opens an engine by its name, for programs that let their user choose.
//
//	e, err := open.Open("pebble", dir, open.Options{Logger: log})
//
// It is a package of its own because the contract (kv/engine) can't import those who keep it. The simulated disk
// (kv/engine/mem) is not among the names: it does not live in a directory.
package open

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
	"tinykv/kv/engine/inparts"
	"tinykv/kv/engine/pebble"
)

// Default is the engine of a server whose user does not choose.
const Default = "pebble"

// Names lists what Open knows.
var Names = []string{"pebble", "badger"}

// Check tells, without touching any disk, whether Open can open this engine at all: an unknown name, badger.ErrNoCgo in a program
// built without a C compiler, or nil.
func Check(name string) error {
	switch {
	case !slices.Contains(Names, name):
		return fmt.Errorf("unknown engine %q: use one of %s", name, strings.Join(Names, ", "))
	case name == "badger" && !badger.Built:
		return badger.ErrNoCgo
	}
	return nil
}

// Options are common to all engines.
type Options struct {
	Logger *slog.Logger // where the engine's own messages go; nil: nowhere

	// Unlogged lets an engine leave out its own log, for data that can be written again from elsewhere: see
	// pebble.Options. Badger has no such mode. It deletes ranges of any length then, the longest ones not as one over
	// a crash (see package inparts).
	Unlogged bool

	// ShortLived says that what is written will soon be deleted again, oldest first, as in a raft log: see pebble.Options.
	// Badger takes no notice.
	ShortLived bool

	// Advice ends the errors about a damaged store: what whoever reads them can do. Empty: that there may be a backup.
	Advice string
}

// Open opens the engine called name in dir, which it makes if it is missing (its parent must exist). Errors, each
// of one line: an unknown name; engine.ErrInUse; engine.ErrCorrupt; badger.ErrNoCgo in a program built without a C
// compiler; or what the file system says. None of them changed what was on disk.
func Open(name, dir string, opts Options) (engine.Engine, error) {
	switch name {
	case "pebble":
		return ptr(pebble.Open(dir, pebble.Options{
			Logger: opts.Logger, Unlogged: opts.Unlogged, ShortLived: opts.ShortLived, Advice: opts.Advice,
		}))
	case "badger":
		e, err := ptr(badger.Open(dir, badger.Options{Logger: opts.Logger, Advice: opts.Advice}))
		if err == nil && opts.Unlogged {
			e = inparts.New(e)
		}
		return e, err
	}
	return nil, fmt.Errorf("unknown engine %q: use one of %s", name, strings.Join(Names, ", "))
}

// ptr keeps a nil pointer from becoming an interface that is not nil.
func ptr[E interface {
	engine.Engine
	comparable
}](e E, err error) (engine.Engine, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}
