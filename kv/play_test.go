// "play" as a process: from a pipe, on a terminal, ended by signals. This test binary is the program, if the
// environment says so.

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const asProgram = "KV_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
}

// program is a command that runs kv with a temporary directory of its own.
type program struct {
	*exec.Cmd
	tmp      string
	out, err lockedBuffer
}

func kv(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &program{Cmd: exec.CommandContext(ctx, os.Args[0], args...), tmp: t.TempDir()}
	p.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+p.tmp, "HOME="+p.tmp)
	p.Stdout, p.Stderr = &p.out, &p.err
	return p
}

// lockedBuffer can be read while a process writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts the program, and returns a way to send it lines. Its input does not end by itself.
func (p *program) start(t *testing.T) (say func(line string)) {
	t.Helper()
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return func(line string) {
		if _, err := fmt.Fprintln(in, line); err != nil {
			t.Error(err)
		}
	}
}

// leavesNothing fails if a directory of play is still there.
func (p *program) leavesNothing(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(p.tmp, "tinykv-play-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// until waits for a text in the output of a process.
func until(t *testing.T, out fmt.Stringer, text string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out.String(),
		text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q within 30 seconds in\n%s", text, out.String())
		}
	}
}

// eachSize runs a test with a standalone store and with a cluster of three.
func eachSize(t *testing.T, test func(t *testing.T, stores string)) {
	for _, stores := range []string{"1", "3"} {
		t.Run(stores+" stores", func(t *testing.T) { test(t, stores) })
	}
}

func TestPlayFromAPipeAnswersAndLeavesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	eachSize(t, func(t *testing.T, stores string) {
		p := kv(t, "play", "--stores", stores)
		p.Stdin = strings.NewReader("put a 1\nget a\nput \"hello world\" \\x00\\xff\nscan\n")
		if err := p.Run(); err != nil {
			t.Fatalf("%v\n%s", err, p.err.String())
		}
		want := "OK\n1\nOK\na              1\n\"hello world\"  \\x00\\xff\n(2 pairs)\n"
		if p.out.String() != want || p.err.String() != "" {
			t.Errorf("out\n%s\nerr\n%s", p.out.String(), p.err.String())
		}
		p.leavesNothing(t)
	})
}

func TestPlayFromAPipeTellsTheLineThatFailed(t *testing.T) {
	t.Parallel() // it mostly waits
	eachSize(t, func(t *testing.T, stores string) {
		p := kv(t, "play", "--stores", stores)
		p.Stdin = strings.NewReader("put a 1\ngte a\nget a\n")
		err := p.Run()
		if p.ProcessState.ExitCode() != 1 {
			t.Errorf("%v, want exit status 1", err)
		}
		if p.out.String() != "OK\n1\n" || !strings.Contains(p.err.String(),
			"line 2: unknown command gte: did you mean get?") {
			t.Errorf("out\n%s\nerr\n%s", p.out.String(), p.err.String())
		}
		p.leavesNothing(t)
	})
}

func TestPlayEndedByASignalLeavesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	eachSize(t, func(t *testing.T, stores string) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			p := kv(t, "play", "--stores", stores)
			say := p.start(t)
			say("put a 1")
			until(t, &p.out, "OK")
			if err := p.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = p.Wait()
			if p.ProcessState.ExitCode() != 1 || !strings.Contains(p.err.String(), "stopped by a signal") {
				t.Errorf("%v: status %d\n%s", sig, p.ProcessState.ExitCode(), p.err.String())
			}
			p.leavesNothing(t)
		}
	})
}

func TestPlayRefusesToStartNoneOrTooMany(t *testing.T) {
	for _, stores := range []string{"0", "-1", "1000"} {
		p := kv(t, "play", "--stores", stores)
		if err := p.Run(); err == nil || !strings.Contains(p.err.String(), "use 1 to 9") {
			t.Errorf("--stores %s: %v, %s", stores, err, p.err.String())
		}
		p.leavesNothing(t)
	}
}

func TestShellRunsOneCommandAndSaysWhenNobodyAnswers(t *testing.T) {
	t.Parallel() // it mostly waits
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := lis.Addr().String()
	lis.Close()
	p := kv(t, "shell", "--scheduler-addr", nobody, "--timeout", "200ms", "get", "a")
	err = p.Run()
	if text := p.err.String(); err == nil || !strings.Contains(text, "is it running") || !strings.Contains(text,
		nobody) ||
		strings.Count(text, "\n") != 1 {
		t.Errorf("%v: %s", err, text)
	}

	playing := kv(t, "play")
	say := playing.start(t)
	defer func() { say("quit"); _ = playing.Wait(); playing.leavesNothing(t) }()
	say("members")
	until(t, &playing.out, "(cluster ")
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(playing.out.String())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"put", "a b", `\xff`}, "OK\n"},
		{[]string{"get", "a b"}, "\\xff\n"},
		{[]string{"--json", "scan"}, `{"pairs":[{"key":"\"a b\"","value":"\\xff"}],"more":false}` + "\n"},
	} {
		p := kv(t, append([]string{"shell", "--scheduler-addr", addr}, c.args...)...)
		if err := p.Run(); err != nil || p.out.String() != c.want {
			t.Errorf("%q: %v, %q, %s", c.args, err, p.out.String(), p.err.String())
		}
	}
}
