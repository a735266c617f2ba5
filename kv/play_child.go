// Processes that play starts, and how they are spoken to.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// orderLimit bounds a question or an order to a store's status address.
const orderLimit = time.Second

// launcher starts processes from one thread, which lives as long as they should: where the system can, it ends them when
// that thread is gone (see bindToParent).
type launcher struct {
	program string
	work    chan func()
	once    sync.Once
}

func newLauncher() (*launcher, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to start it again: %w", err)
	}
	l := &launcher{program: program, work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for start := range l.work {
			start()
		}
	}()
	return l, nil
}

func (l *launcher) close() { l.once.Do(func() { close(l.work) }) }

// child is a process of ours.
type child struct {
	cmd    *exec.Cmd
	log    string      // the file with its log
	ready  chan string // gets the line that says that it serves; closed at the end of its output
	exited chan struct{}

	mu    sync.Mutex // guards input
	input io.WriteCloser
}

// start runs this program with arguments. Its log goes to a file.
func (l *launcher) start(log string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(l.program, args...), log: log, ready: make(chan string, 1), exited: make(chan struct{})}
	bindToParent(c.cmd)
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c.cmd.Stderr = file
	if c.input, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	l.work <- func() { started <- c.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start a process: %w", err)
	}
	go c.listen(out)
	return c, nil
}

// listen waits for the line that says that it serves, and for the end.
func (c *child) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for said := false; lines.Scan(); {
		if !said && strings.HasPrefix(lines.Text(), "ready ") {
			said = true
			c.ready <- lines.Text()
		}
	}
	_ = c.cmd.Wait() // how it ended does not matter
	close(c.exited)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// awaitReady waits until the process serves, and returns what it says of itself: name=value.
func (c *child) awaitReady(ctx context.Context) (map[string]string, error) {
	limit := time.NewTimer(playReadyLimit)
	defer limit.Stop()
	select {
	case line := <-c.ready:
		facts := map[string]string{}
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			facts[name] = value
		}
		return facts, nil
	case <-c.exited:
		return nil, errors.New(c.lastWords())
	case <-limit.C:
		return nil, fmt.Errorf("it is not ready after %v", playReadyLimit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runs tells whether the process has not ended.
func (c *child) runs() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// kill ends the process as kill -9 does, and waits for its end.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // an error means that it is gone already
	<-c.exited
}

// awaitExit waits until the process ends by itself, and ends it when it does not.
func (c *child) awaitExit(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.exited:
	case <-timer.C:
		c.kill()
	}
}

// say writes a line to the process.
func (c *child) say(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintln(c.input, line) // an error means that it is gone
}

// lastWords is what it logged last.
func (c *child) lastWords() string { return lastWords(c.log) }

// ask asks a store how it is.
func (s *playStore) ask(ctx context.Context) (facts serverStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderLimit)
	defer cancel()
	err = s.call(ctx, http.MethodGet, "/status", func(body io.Reader) error { return json.NewDecoder(body).Decode(&facts) })
	return facts, err
}

// order gives a store an order about another one.
func (s *playStore) order(ctx context.Context, path string, about uint64) error {
	ctx, cancel := context.WithTimeout(ctx, orderLimit)
	defer cancel()
	err := s.call(ctx, http.MethodPost, fmt.Sprintf("%s?store=%d", path, about), func(io.Reader) error { return nil })
	if err != nil {
		return fmt.Errorf("store %d: %w", s.id, err)
	}
	return nil
}

func (s *playStore) call(ctx context.Context, method, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.status+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return errors.New(strings.TrimSpace(string(text)))
	}
	return read(resp.Body)
}
