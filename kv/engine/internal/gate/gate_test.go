package gate

import (
	"errors"
	"testing"
	"testing/synctest"

	"tinykv/kv/engine"
)

func TestShutWaitsForAllInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		if err := errors.Join(g.Enter(), g.Enter()); err != nil {
			t.Fatal(err)
		}
		shut := false
		go func() {
			if err := g.Shut(); err != nil {
				t.Error(err)
			}
			shut = true
		}()
		synctest.Wait()
		if err := g.Enter(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Enter while Shut waits: got %v, want ErrClosed", err)
		}
		if err := g.Shut(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("second Shut while the first waits: got %v, want ErrClosed", err)
		}
		g.Leave()
		synctest.Wait()
		if shut {
			t.Error("Shut returned while one was inside")
		}
		g.Leave()
		synctest.Wait()
		if !shut {
			t.Error("Shut did not return when all had left")
		}
	})
}

func TestShutOfAnEmptyGate(t *testing.T) {
	var g Gate
	if err := g.Shut(); err != nil {
		t.Fatal(err)
	}
	if err := g.Enter(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Enter after Shut: got %v, want ErrClosed", err)
	}
}
