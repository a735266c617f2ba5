//go:build !cgo

package badger

import (
	"errors"
	"testing"
)

func TestEverythingIsLeftOut(t *testing.T) {
	if e, err := Open(t.TempDir(), Options{}); !errors.Is(err, ErrNoCgo) || e != nil {
		t.Errorf("open without cgo: got %v and %v, want ErrNoCgo", e, err)
	}
	t.Skip("the tests of badger were left out: this build has no cgo (install a C compiler, build with CGO_ENABLED=1)")
}
