// How the tests get at the engine: the only place that names it.

package stage1a_test

import (
	"testing"

	"tinykv/kv/engine"
	"tinykv/kv/engine/badger"
)

// needEngine leaves a test out where the engine can't be built. A test that is left out earns no points.
func needEngine(t *testing.T) {
	t.Helper()
	if !badger.Built {
		t.Skip("left out: badger needs a C compiler; install one and build with CGO_ENABLED=1")
	}
}

func openEngine(dir string) (engine.Engine, error) {
	return badger.Open(dir, badger.Options{NoCompaction: true})
}
