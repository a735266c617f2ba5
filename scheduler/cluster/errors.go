// Errors: the kinds of refusal. The server translates them for the wire in one place.

package cluster

import "errors"

// Why something is refused. Test with errors.Is; the text around them says what was attempted.
var (
	// ErrNotBootstrapped: there is no cluster yet. The first store creates it with Bootstrap; everybody else retries.
	ErrNotBootstrapped = errors.New("the cluster is not bootstrapped: no store has joined yet, start one")
	// ErrBootstrapped: somebody was first. Join what is there: PutStore.
	ErrBootstrapped = errors.New("the cluster is bootstrapped already")
	// ErrUnknownStore: no store has this id. A store that hears this about itself talks to the wrong scheduler, or
	// never called PutStore.
	ErrUnknownStore = errors.New("store not found")
	// ErrTombstone: the store was removed for good. Its process should end; its id is never used again.
	ErrTombstone = errors.New("store was removed from the cluster")
	// ErrInvalid: the value breaks a rule that its text names. A bug of the sender's.
	ErrInvalid = errors.New("invalid")
	// ErrStale: the news are older than what is known. Nothing to do; the newer state is kept.
	ErrStale = errors.New("stale")
)
