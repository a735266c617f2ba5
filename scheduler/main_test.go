// The scheduler as a process. This test binary is the program, if the environment says so.

package main

import (
	"bytes"
	"context"
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

	"tinykv/scheduler/client"
)

const asProgram = "SCHEDULER_TEST_AS_PROGRAM"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
}

// process is a scheduler's process and what it has written to its log.
type process struct {
	*exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(text)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stderr = p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTimestampsGoOnAfterKillAndAfterAGracefulStop(t *testing.T) {
	dir, last := t.TempDir(), uint64(0)
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		p := launch(t, "--data-dir", dir, "--addr", "127.0.0.1:0")
		serves := regexp.MustCompile(`scheduler serves" addr=(\S+)`)
		for deadline := time.Now().Add(30 * time.Second); !serves.MatchString(p.text()); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not serve:\n" + p.text())
			}
		}
		pd, err := client.New(client.Options{Addrs: []string{serves.FindStringSubmatch(p.text())[1]}})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			ts, err := pd.Timestamp(t.Context())
			if err != nil || ts.Uint64() <= last {
				t.Fatalf("%d after %d: %v", ts.Uint64(), last, err)
			}
			last = ts.Uint64()
		}
		_ = pd.Close()
		if err := p.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); (err != nil) != (end == syscall.SIGKILL) {
			t.Errorf("%v: %v\n%s", end, err, p.text())
		}
	}
}

func TestWhatCannotStartSaysWhyInOneLineAndChangesNothing(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	foreign, untouched := t.TempDir(), filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no directory":      {nil, "--data-dir"},
		"port in use":       {[]string{"--data-dir", untouched, "--addr", lis.Addr().String()}, "address already in use"},
		"every interface":   {[]string{"--data-dir", untouched, "--addr", "0.0.0.0:0"}, "--advertise-addr"},
		"foreign":           {[]string{"--data-dir", foreign, "--addr", "127.0.0.1:0"}, "thesis.tex"},
		"unknown flag":      {[]string{"--datadir", untouched}, "unknown flag"},
		"an argument":       {[]string{"serve"}, "serve"},
		"below a file":      {[]string{"--data-dir", filepath.Join(foreign, "thesis.tex", "x"), "--addr", "127.0.0.1:0"}, "choose another"},
		"no such address":   {[]string{"--data-dir", untouched, "--addr", "nonsense"}, "--addr"},
		"port out of range": {[]string{"--data-dir", untouched, "--addr", "127.0.0.1:99999"}, "--addr"},
	} {
		p := launch(t, c.args...)
		_ = p.Wait()
		if text := p.text(); p.ProcessState.ExitCode() != 1 || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: status %d, want one line with %q\n%s", name, p.ProcessState.ExitCode(), c.want, text)
		}
	}
	if _, err := os.Stat(untouched); !os.IsNotExist(err) {
		t.Errorf("%s was made", untouched)
	}
	if left, _ := os.ReadDir(foreign); len(left) != 1 {
		t.Errorf("the foreign directory has %v", left)
	}
}
