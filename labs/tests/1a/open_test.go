// How the tests get at the engine: the only place that names it.

package stage1a_test

import (
	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
)

func openEngine(dir string) (engine.Engine, error) {
	return badger.Open(dir, badger.Options{NoCompaction: true})
}
