// Opening a data directory, and joining a cluster.

package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	identityName  = "IDENTITY"
	engineName    = "engine"
	schedulerName = "scheduler"
	raftName      = "raft"
	snapshotsName = "snapshots"
	tempName      = identityName + ".tmp" // what a crash leaves while IDENTITY is replaced; the next replacement takes it
)

// Errors of Open. The text around them names the directory and says what to do.
var (
	// ErrForeign: the directory holds something that no store has put there.
	ErrForeign = errors.New("not a TinyKV data directory")
	// ErrNewer: a newer version of this program wrote it.
	ErrNewer = errors.New("written by a newer version")
	// ErrEngine: another engine than the one asked for wrote it.
	ErrEngine = errors.New("written by another engine")
	// ErrKind: it is that of another kind of store.
	ErrKind = errors.New("that of another kind of store")
	// ErrStore: it is that of another store of a cluster.
	ErrStore = errors.New("that of another store")
	// ErrDamaged: IDENTITY is not what was written.
	ErrDamaged = errors.New("damaged")
)

var errDamaged = fmt.Errorf("%w: it is cut off or was changed", ErrDamaged)

// Dir is an opened data directory.
type Dir struct {
	path     string
	identity Identity
}

// Wanted is what a directory should be.
type Wanted struct {
	Kind    Kind
	Engine  string
	StoreID uint64 // of a replicated store
}

// Open opens the data directory at path, or makes a new one if there is nothing or an empty directory. Errors, each of one
// line that says what to do: ErrForeign, ErrNewer, ErrEngine, ErrKind, ErrStore, ErrDamaged, or that of the file system.
// With an error nothing was changed.
func Open(path string, want Wanted) (*Dir, error) {
	d := &Dir{path: path}
	data, err := os.ReadFile(d.file(identityName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.create(want)
	case err != nil:
		return nil, fmt.Errorf("cannot read the data directory: %w; choose another one", err)
	}
	d.identity, err = decodeIdentity(data)
	switch {
	case errors.Is(err, ErrNewer):
		return nil, fmt.Errorf("data directory %s was %w: run that version, or choose another directory", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s is %w; restore this file from a backup, or choose another directory", d.file(identityName), err)
	}
	if err := d.identity.is(want); err != nil {
		return nil, fmt.Errorf("data directory %s %w, or choose another directory", path, err)
	}
	return d, nil
}

// is tells whether this is the identity that is wanted. The errors complete the sentence "the directory ...".
func (id Identity) is(want Wanted) error {
	switch {
	case id.Kind == Standalone && want.Kind == Replicated:
		return fmt.Errorf("is %w, a standalone one: start it without --peers and --store-id", ErrKind)
	case id.Kind == Replicated && want.Kind == Standalone:
		return fmt.Errorf("is %w, a replicated one: start it with --peers and --store-id %d", ErrKind, id.StoreID)
	case id.Engine != want.Engine:
		return fmt.Errorf("was %w, %s: start with --engine %s", ErrEngine, id.Engine, id.Engine)
	case id.Kind == Replicated && id.StoreID != want.StoreID:
		return fmt.Errorf("is %w, number %d, and not of %d: start with --store-id %d", ErrStore, id.StoreID, want.StoreID,
			id.StoreID)
	}
	return nil
}

// create makes a new data directory, provided that nobody's data is there.
func (d *Dir) create(want Wanted) (*Dir, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the data directory: %w; choose another one", err)
	}
	if isMissing(entries) {
		return nil, fmt.Errorf("%s is missing, without which nobody knows whose data this is: restore it from a backup, "+
			"or choose another directory (%w)", d.file(identityName), ErrDamaged)
	}
	for _, e := range entries {
		if e.Name() != tempName {
			return nil, fmt.Errorf("%s is %w, it holds %s: choose another one, or an empty one",
				d.path, ErrForeign, e.Name())
		}
	}
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w; choose another one", err)
	}
	id := Identity{Kind: want.Kind, Engine: want.Engine}
	if want.Kind == Replicated {
		id.StoreID, id.Nonce = want.StoreID, fmt.Sprintf("%016x", rand.Uint64())
	}
	if err := d.save(id); err != nil {
		if len(entries) == 0 {
			_ = os.Remove(d.path) // it is as it was, or as good: an empty directory
		}
		return nil, err
	}
	return d, nil
}

// isMissing tells whether these are the files of a store that has lost its IDENTITY.
func isMissing(entries []fs.DirEntry) bool {
	ours := map[string]bool{}
	for _, e := range entries {
		ours[e.Name()] = e.IsDir()
	}
	return ours[engineName] && (ours[schedulerName] || ours[raftName])
}

// Identity says what the directory is.
func (d *Dir) Identity() Identity { return d.identity }

// Engine is the directory of the engine's files. It may not exist yet.
func (d *Dir) Engine() string { return d.file(engineName) }

// Scheduler is the directory of the scheduler that runs in the same process. It may not exist yet.
func (d *Dir) Scheduler() string { return d.file(schedulerName) }

// Raft is the directory of the raft log of a replicated store. It may not exist yet.
func (d *Dir) Raft() string { return d.file(raftName) }

// Snapshots is the directory of the snapshots that a replicated store receives. It may not exist yet.
func (d *Dir) Snapshots() string { return d.file(snapshotsName) }

// Join makes the ids durable that the store was given. Call it before anyone else hears of them.
// Error: that of the file system, and then the directory is as it was.
func (d *Dir) Join(ids IDs) error {
	id := d.identity
	id.IDs = ids
	return d.save(id)
}

// Begin makes it durable that the first state of the store is in its logs (invariant 4). Call it after that is so.
// Error: that of the file system, and then the directory is as it was.
func (d *Dir) Begin() error {
	id := d.identity
	id.Begun = true
	return d.save(id)
}

// save replaces IDENTITY: write beside it, sync, rename over it, sync the directory.
func (d *Dir) save(id Identity) error {
	temp := d.file(tempName)
	err := writeSynced(temp, id.encode())
	if err == nil {
		err = os.Rename(temp, d.file(identityName))
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		_ = os.Remove(temp) // what could not be written is of no use
		return fmt.Errorf("cannot write the data directory: %w; see to the disk, or choose another directory", err)
	}
	d.identity = id
	return nil
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
