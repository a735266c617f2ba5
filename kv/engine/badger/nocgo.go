//go:build !cgo

// Without a C compiler: the package builds, and Open says what is missing.

package badger

import "tinykv/kv/engine"

// Built tells whether this program has the engine: not without a C compiler.
const Built = false

// Engine can't be made without cgo.
type Engine struct{ engine.Engine }

// Open answers ErrNoCgo.
func Open(dir string, _ Options) (*Engine, error) { return nil, noCgo(dir) }
