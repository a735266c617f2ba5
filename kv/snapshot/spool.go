// Spool: where snapshots are kept from their arrival until they are installed.

package snapshot

import (
	"errors"
	"fmt"
	"io"
)

// Spool keeps received snapshots under names. Its methods may be called from any goroutine. See Directory and Memory.
type Spool interface {
	// Create begins a draft, which gets the name when it is committed. Errors: fs.ErrExist if a draft or a spool of this
	// name is there already; ErrName; that of the disk.
	Create(name string) (Draft, error)

	// Open reads a complete spool. The caller closes it. Errors: fs.ErrNotExist, ErrName, that of the disk.
	Open(name string) (io.ReadCloser, error)

	// Remove removes a complete spool; if there is none, that is no error. A crash may bring it back. Errors: ErrName, that
	// of the disk; then it may still be there, and removing it may be tried again at any time.
	Remove(name string) error

	// List returns the names of all complete spools, ascending. Error: that of the disk.
	List() ([]string, error)
}

// Draft is a spool that is being written. It belongs to one goroutine. It ends with Commit or Discard, of which exactly one
// must be called, once.
type Draft interface {
	// Write appends. An error means that the draft can't be completed: Discard it.
	io.Writer

	// Commit makes the draft a complete spool that survives every crash, under its name. With an error nothing is left of
	// it, as far as the disk still obeys.
	Commit() error

	// Discard removes the draft. Nothing is left of it, unless there is an error; what is left then, the next start
	// removes.
	Discard() error
}

// ErrName: this can't be the name of a spool.
var ErrName = errors.New("snapshot: not the name of a spool: use up to 128 of a-z, 0-9 and -")

// maxNameBytes leaves room for a suffix below what file systems allow.
const maxNameBytes = 128

// checkName holds names to letters, digits and dashes, so that none leads out of a directory or looks like a draft.
func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= maxNameBytes
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%w, not %.140q", ErrName, name)
	}
	return nil
}
