// Package process runs our servers as processes of their own, as users do: built from the sources, on free ports, in
// directories that the caller gives.
//
//	programs, err := process.Build(ctx, dir)                       // once
//	server, err := process.Start(ctx, programs, process.Options{Dir: data})
//	client, err := rawkv.NewClientWithOpts(ctx, []string{server.Scheduler})
//	err = server.Stop()                                            // or Kill, and Start again
//
//	cluster, err := process.StartCluster(ctx, programs, process.ClusterOptions{Dir: data})
//	client, err = rawkv.NewClientWithOpts(ctx, []string{cluster.Scheduler})
//	leader, err := cluster.Leader(ctx)
//	cluster.Kill(leader)
//	err = cluster.StartStores(leader)
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

// Programs are the paths of what can be started.
type Programs struct{ Server, Scheduler string }

// In returns the programs of a directory, where Build has put them.
func In(dir string) Programs {
	return Programs{Server: filepath.Join(dir, "kv"), Scheduler: filepath.Join(dir, "scheduler")}
}

// Build compiles the programs of this tree into dir.
func Build(ctx context.Context, dir string) (Programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return Programs{}, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "tinykv/kv", "tinykv/scheduler")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("build the servers in %s: %w\n%s", root, err, output)
	}
	return In(dir), nil
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

// child is a process that runs, or has run.
type child struct {
	what    string // for errors
	command *exec.Cmd
	log     *tail
	exited  chan struct{} // closed when the process has ended; then err is set
	err     error
}

// launch runs a program and waits until it says that it is ready. It returns what it says there of itself, by name. The
// process is killed when ctx ends.
func launch(ctx context.Context, what, program string, arguments ...string) (*child, map[string]string, error) {
	c := &child{
		what: what, command: exec.CommandContext(ctx, program, arguments...), log: &tail{}, exited: make(chan struct{}),
	}
	endWithParent(c.command)
	c.command.Stderr = c.log
	stdout, err := c.command.StdoutPipe()
	if err == nil {
		err = c.command.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", what, err)
	}
	ready := make(chan string, 1)
	go c.watch(stdout, ready)
	select {
	case line := <-ready:
		return c, fieldsOf(line), nil
	case <-c.exited:
		return nil, nil, fmt.Errorf("%s ended before it was ready (%v):\n%s", what, c.err, c.Log())
	case <-time.After(startLimit):
		c.Kill()
		return nil, nil, fmt.Errorf("%s was not ready after %v:\n%s", what, startLimit, c.Log())
	}
}

// watch reads what the process prints, hands on the line that says that it is ready, and notes its end.
func (c *child) watch(stdout io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(c.log, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready ") {
			select {
			case ready <- lines.Text():
			default:
			}
		}
	}
	c.err = c.command.Wait()
	close(c.exited)
}

// fieldsOf takes apart "ready store=HOST:PORT scheduler=HOST:PORT ...".
func fieldsOf(line string) map[string]string {
	fields := map[string]string{}
	for _, field := range strings.Fields(line) {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields
}

// Stop asks the process to end and waits until it has. An exit status other than 0 is an error.
func (c *child) Stop() error {
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", c.what, err)
	}
	select {
	case <-c.exited:
	case <-time.After(stopLimit):
		c.Kill()
		return fmt.Errorf("%s had not stopped after %v:\n%s", c.what, stopLimit, c.Log())
	}
	if c.err != nil {
		return fmt.Errorf("%s stopped with %w:\n%s", c.what, c.err, c.Log())
	}
	return nil
}

// Kill ends the process as a power cut would, without a chance to save anything, and waits until it is gone.
// It may be called on one that has ended.
func (c *child) Kill() {
	c.command.Process.Kill() // an error means that it is gone already
	<-c.exited
}

// Usage tells what the process has used; only after Stop or Kill.
func (c *child) Usage() (cpu time.Duration, maxMemoryKiB int64) {
	state := c.command.ProcessState
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		maxMemoryKiB = usage.Maxrss
	}
	return state.UserTime() + state.SystemTime(), maxMemoryKiB
}

// Log returns the end of what the process has printed.
func (c *child) Log() string { return c.log.String() }

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
