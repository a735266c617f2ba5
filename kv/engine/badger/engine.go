//go:build cgo

package badger

import (
	"errors"

	"tinykv/kv/engine"
)

// Engine is being written.
type Engine struct{ engine.Engine }

// Open is being written.
func Open(dir string, _ Options) (*Engine, error) { return nil, errors.New("badger: not yet") }
