// Package gate lets an engine close only when nobody is inside any more: Close of an engine waits for its readers
// and writers.
//
//	        Enter            Leave
//	open ──────────► inside ───────► ...        Shut: Enter is refused from now on, and Shut returns when all have left
package gate

import (
	"sync"

	"tinykv/kv/engine"
)

// Gate counts who is inside. The zero value is open and empty.
type Gate struct {
	mu     sync.Mutex
	inside int
	empty  chan struct{} // not nil once Shut was called; closed when the last one has left
}

// Enter lets the caller in, who must Leave. Error: engine.ErrClosed once Shut was called.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return engine.ErrClosed
	}
	g.inside++
	return nil
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
	}
}

// Shut refuses everybody from now on and waits until all who are inside have left. Error: engine.ErrClosed if it
// was called before; then it does not wait.
func (g *Gate) Shut() error {
	g.mu.Lock()
	if g.empty != nil {
		g.mu.Unlock()
		return engine.ErrClosed
	}
	g.empty = make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return nil
}
