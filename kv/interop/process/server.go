// One server: a store that is a cluster by itself.

package process

import (
	"context"
	"fmt"
)

// Options say how to start a server. Only Dir must be set.
type Options struct {
	Dir    string // data directory; made if it is missing
	Engine string // "pebble" or "badger"; empty means the server's default

	// Where to listen, host:port. Empty means a free port of the loopback interface. A server that is started again
	// for clients which already know it gets the addresses that it had.
	Store, Scheduler, Status string
}

// A Server is a store that runs, with its scheduler beside it in the same process.
type Server struct {
	*child
	Store     string // address of the store, host:port
	Scheduler string // address of the placement driver, host:port: what clients are given
	Status    string // address of metrics and profiles, host:port
}

// Start runs a server and waits until it serves. The process is killed when ctx ends.
func Start(ctx context.Context, p Programs, o Options) (*Server, error) {
	arguments := []string{
		"serve", "--data-dir", o.Dir,
		"--addr", orAny(o.Store), "--scheduler-addr", orAny(o.Scheduler), "--status-addr", orAny(o.Status),
	}
	if o.Engine != "" {
		arguments = append(arguments, "--engine", o.Engine)
	}
	c, says, err := launch(ctx, "the server", p.Server, arguments...)
	if err != nil {
		return nil, err
	}
	s := &Server{child: c, Store: says["store"], Scheduler: says["scheduler"], Status: says["status"]}
	if s.Store == "" || s.Scheduler == "" {
		s.Kill()
		return nil, fmt.Errorf("the server does not say where it listens: %v", says)
	}
	return s, nil
}

// Close kills the server if it runs.
func (s *Server) Close() { s.Kill() }

func orAny(address string) string {
	if address == "" {
		return anyPort
	}
	return address
}
