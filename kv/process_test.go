// The server as a process of its own, for tests that kill it or look at its exit status. The process is this test
// binary, which becomes the program when an environment variable says so: that saves building it.

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const beProgram = "TINYKV_TEST_BE_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const (
	readyLimit = 20 * time.Second // a start takes a fifth of a second on an idle machine
	exitLimit  = 20 * time.Second
	anyPort    = "127.0.0.1:0"
)

// process is a program that runs, or has run.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	ready  chan string   // gets the line that says that it serves
	exited chan struct{} // closed at its end

	mu  sync.Mutex // guards err
	err bytes.Buffer

	scheduler, status string // addresses, once it is ready
}

// run starts the program with arguments.
func run(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, exec.CommandContext(t.Context(), os.Args[0], args...))
}

// launch starts a command that becomes the program.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ready: make(chan string, 1), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), beProgram+"=1")
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready ") {
				p.ready <- lines.Text()
			}
		}
		_ = p.cmd.Wait() // the exit status stays in p.cmd.ProcessState
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// serveProcess starts a server on free ports and waits until it serves.
func serveProcess(t *testing.T, dir, engine string) *process {
	t.Helper()
	p := run(t, serveArgs(dir, engine)...)
	p.awaitReady()
	return p
}

func serveArgs(dir, engine string) []string {
	return []string{"serve", "--data-dir", dir, "--engine", engine,
		"--addr", anyPort, "--scheduler-addr", anyPort, "--status-addr", anyPort}
}

// Write takes what the program says on its standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.Write(b)
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

func (p *process) awaitReady() {
	p.t.Helper()
	select {
	case line := <-p.ready:
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			switch name {
			case "scheduler":
				p.scheduler = value
			case "status":
				p.status = value
			}
		}
	case <-p.exited:
		p.t.Fatalf("the server ended before it was ready, %v:\n%s", p.cmd.ProcessState, p.stderr())
	case <-time.After(readyLimit):
		p.t.Fatalf("the server is not ready after %v:\n%s", readyLimit, p.stderr())
	}
}

// awaitExit returns the exit status.
func (p *process) awaitExit() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(exitLimit):
		p.kill()
		p.t.Fatalf("the process did not end within %v:\n%s", exitLimit, p.stderr())
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone already
	<-p.exited
}

// stop ends the process as a user does.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it is gone already, which the exit status tells
	if status := p.awaitExit(); status != 0 {
		p.t.Fatalf("a graceful stop ended with status %d:\n%s", status, p.stderr())
	}
}

// within bounds a step of a test.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("the step took longer than %v", d))
	t.Cleanup(cancel)
	return ctx
}
