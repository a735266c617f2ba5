// Package process runs `kv serve` as a process of its own, as users do: built from the sources, on ports that the
// system chooses, in a directory that the caller gives.
//
//	binary, err := process.Build(ctx, dir)                     // once
//	server, err := process.Start(ctx, binary, process.Options{Dir: data})
//	client, err := rawkv.NewClientWithOpts(ctx, []string{server.Scheduler})
//	err = server.Stop()                                        // or Kill, and Start again
//
// # Invariants
//
//  1. Start returns when the server serves, or with an error that has the server's own last words.
//  2. After Stop or Kill the process is gone; its directory is left as it is.
//  3. A process that was started ends with its context at the latest; on Linux also with the process that started it.
package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second // opening a store takes less than one; a loaded machine takes longer
	stopLimit  = 30 * time.Second // a graceful stop waits for requests and flushes
	anyPort    = "127.0.0.1:0"
)

// Options say how to start a server. Only Dir must be set.
type Options struct {
	Dir    string // data directory; made if it is missing
	Engine string // "pebble" or "badger"; empty means the server's default

	// Where to listen, host:port. Empty means a free port of the loopback interface. A server that is started again
	// for clients which already know it gets the addresses that it had.
	Store, Scheduler, Status string
}

// A Server is a running process.
type Server struct {
	Store     string // address of the store, host:port
	Scheduler string // address of the placement driver, host:port: what clients are given
	Status    string // address of metrics and profiles, host:port

	command *exec.Cmd
	log     *tail
	exited  chan struct{} // closed when the process has ended; then err is set
	err     error
}

// Build compiles the server of this tree into dir and returns the path of the program.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "kv")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "tinykv/kv")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server in %s: %w\n%s", root, err, output)
	}
	return binary, nil
}

// moduleRoot is the directory of the module tinykv: two above this module's.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find this module (run inside kv/interop): %w", err)
	}
	here := filepath.Dir(strings.TrimSpace(string(output)))
	root := filepath.Join(here, "..", "..")
	if _, err := os.Stat(filepath.Join(root, "kv", "interop", "go.mod")); err != nil {
		return "", fmt.Errorf("run this inside kv/interop: %w", err)
	}
	return root, nil
}

// Start runs the program and waits until it serves. The process is killed when ctx ends.
func Start(ctx context.Context, binary string, o Options) (*Server, error) {
	arguments := []string{
		"serve", "--data-dir", o.Dir,
		"--addr", orAny(o.Store), "--scheduler-addr", orAny(o.Scheduler), "--status-addr", orAny(o.Status),
	}
	if o.Engine != "" {
		arguments = append(arguments, "--engine", o.Engine)
	}
	s := &Server{
		command: exec.CommandContext(ctx, binary, arguments...),
		log:     &tail{},
		exited:  make(chan struct{}),
	}
	endWithParent(s.command)
	s.command.Stderr = s.log
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	ready := make(chan string, 1)
	go s.watch(stdout, ready)

	select {
	case line := <-ready:
		if err := s.parse(line); err != nil {
			s.Kill()
			return nil, err
		}
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("the server ended before it was ready (%v):\n%s", s.err, s.Log())
	case <-time.After(startLimit):
		s.Kill()
		return nil, fmt.Errorf("the server was not ready after %v:\n%s", startLimit, s.Log())
	}
}

func orAny(address string) string {
	if address == "" {
		return anyPort
	}
	return address
}

// watch reads what the server prints, hands on the line that says that it is ready, and notes its end.
func (s *Server) watch(stdout io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(s.log, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready ") {
			select {
			case ready <- lines.Text():
			default:
			}
		}
	}
	s.err = s.command.Wait()
	close(s.exited)
}

// parse takes the addresses out of "ready store=HOST:PORT scheduler=HOST:PORT status=HOST:PORT ...".
func (s *Server) parse(line string) error {
	for _, field := range strings.Fields(line) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "store":
			s.Store = value
		case "scheduler":
			s.Scheduler = value
		case "status":
			s.Status = value
		}
	}
	if s.Store == "" || s.Scheduler == "" {
		return fmt.Errorf("the server does not say where it listens: %q", line)
	}
	return nil
}

// Stop asks the server to end and waits until it has. An exit status other than 0 is an error.
func (s *Server) Stop() error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	select {
	case <-s.exited:
	case <-time.After(stopLimit):
		s.Kill()
		return fmt.Errorf("the server had not stopped after %v:\n%s", stopLimit, s.Log())
	}
	if s.err != nil {
		return fmt.Errorf("the server stopped with %w:\n%s", s.err, s.Log())
	}
	return nil
}

// Kill ends the process as a power cut would, without a chance to save anything, and waits until it is gone.
// It may be called on a server that has ended.
func (s *Server) Kill() {
	s.command.Process.Kill() // an error means that it is gone already
	<-s.exited
}

// Usage tells what the process has used; only after Stop or Kill.
func (s *Server) Usage() (cpu time.Duration, maxMemoryKiB int64) {
	state := s.command.ProcessState
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		maxMemoryKiB = usage.Maxrss
	}
	return state.UserTime() + state.SystemTime(), maxMemoryKiB
}

// Log returns the end of what the server has printed.
func (s *Server) Log() string { return s.log.String() }

// tail keeps the last bytes that are written to it.
type tail struct {
	mu    sync.Mutex
	bytes []byte
}

const tailBytes = 8 << 10 // enough for the story of a failed start

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	if extra := len(t.bytes) - tailBytes; extra > 0 {
		t.bytes = bytes.Clone(t.bytes[extra:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.bytes)
}
