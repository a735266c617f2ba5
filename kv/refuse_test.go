// What the program refuses, as its user sees it: one line that says what and what to do, exit status 1, and not one
// byte of the disk changed.

package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/datadir"
	"tinykv/kv/engine/open"
)

// refused runs the program and insists on the line, the status, and the untouched directory.
func refused(t *testing.T, dir, says string, args ...string) {
	t.Helper()
	before := fingerprint(t, dir)
	p := run(t, args...)
	if status := p.awaitExit(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	text := p.stderr()
	if line, ended := strings.CutSuffix(text, "\n"); !ended || strings.Contains(line, "\n") || !strings.Contains(line, says) {
		t.Errorf("it said %q, want one line with %q", text, says)
	}
	if fingerprint(t, dir) != before {
		t.Errorf("it changed the directory")
	}
}

// fingerprint is the names, sizes and contents of everything below dir, which may be missing.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			fmt.Fprintln(hash, path)
			return nil // it is missing
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%s %d %s\n", path, len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(hash.Sum(nil))
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"no directory", "--data-dir", []string{"serve"}},
		{"unknown flag", "see kv serve --help", []string{"serve", "--speed", "9"}},
		{"unknown command", "sevre", []string{"sevre"}},
		{"an argument too many", "pebble", []string{"serve", "pebble"}},
		{"unknown engine", "use one of pebble, badger", []string{"serve", "--data-dir", "x", "--engine", "rocks"}},
		{"unknown level", "debug, info", []string{"serve", "--data-dir", "x", "--log-level", "loud"}},
		{"unknown form", "text, json", []string{"serve", "--data-dir", "x", "--log-format", "xml"}},
		{"no address", "--addr", []string{"serve", "--data-dir", "x", "--addr", "nonsense"}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, "x", c.says, c.args...) })
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("a directory was made for wrong arguments")
	}
}

func TestAPortInUseIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"--addr", "--scheduler-addr", "--status-addr"} {
		dir := filepath.Join(t.TempDir(), "data")
		refused(t, dir, name, append(serveArgs(dir, "pebble"), name, taken.Addr().String())...)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the data directory was made although the port was taken", name)
		}
	}
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serveProcess(t, dir, "pebble")
	p := run(t, serveArgs(dir, "pebble")...)
	if status := p.awaitExit(); status != 1 || strings.Count(p.stderr(), "\n") != 1 || !strings.Contains(p.stderr(), "in use") {
		t.Errorf("status %d and %q, want status 1 and one line about a directory in use", status, p.stderr())
	}
}

// used makes a data directory with some data in it, and returns it.
func used(t *testing.T, engine string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, engine)
	c := connect(t, p)
	defer c.Close()
	for i := range 20 {
		err := c.Raw().BatchPut(within(t, verifyLimit), []client.Pair{
			{Key: fmt.Appendf(nil, "key%d", i), Value: make([]byte, 1000)},
			{Key: fmt.Appendf(nil, "other%d", i), Value: fmt.Append(nil, i)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	return dir
}

func TestADirectoryThatCannotBeTrustedIsRefused(t *testing.T) {
	good := used(t, "pebble")
	for _, c := range []struct {
		name, says string
		spoil      func(t *testing.T, dir string)
	}{
		{"identity lost", "IDENTITY is missing", func(t *testing.T, dir string) { replace(t, dir, "IDENTITY", nil) }},
		{"newer", "newer version", func(t *testing.T, dir string) { put(t, dir, "IDENTITY", "format = 99\n") }},
		{"identity cut off", "IDENTITY", func(t *testing.T, dir string) {
			replace(t, dir, "IDENTITY", func(b []byte) []byte { return b[:len(b)/2] })
		}},
		{"identity flipped", "IDENTITY", func(t *testing.T, dir string) {
			replace(t, dir, "IDENTITY", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}},
		{"record of the scheduler cut off", "cluster", func(t *testing.T, dir string) {
			replace(t, dir, "scheduler/cluster", func(b []byte) []byte { return b[:len(b)/2] })
		}},
		{"record of the scheduler flipped", "ids", func(t *testing.T, dir string) {
			replace(t, dir, "scheduler/ids", func(b []byte) []byte { b[len(b)-2] ^= 1; return b })
		}},
		{"ids of the scheduler lost", "ids", func(t *testing.T, dir string) { replace(t, dir, "scheduler/ids", nil) }},
		{"cluster of the scheduler lost", "cluster", func(t *testing.T, dir string) {
			replace(t, dir, "scheduler/cluster", nil)
		}},
		{"scheduler's records lost", "they are missing", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "scheduler")); err != nil {
				t.Fatal(err)
			}
		}},
		{"manifest cut off", "engine", func(t *testing.T, dir string) {
			replace(t, dir, "engine/MANIFEST-*", func(b []byte) []byte { return b[:len(b)/2] })
		}},
		{"manifest flipped", "engine", func(t *testing.T, dir string) {
			replace(t, dir, "engine/MANIFEST-*", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}},
		{"log flipped", "engine", func(t *testing.T, dir string) {
			replace(t, dir, "engine/*.log", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			refused(t, dir, c.says, serveArgs(dir, "pebble")...)
		})
	}
	t.Run("other engine", func(t *testing.T) { refused(t, good, "--engine pebble", serveArgs(good, "badger")...) })
	t.Run("foreign files", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "letter.txt", "dear")
		refused(t, dir, "letter.txt", serveArgs(dir, "pebble")...)
	})
	t.Run("below a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		put(t, filepath.Dir(file), "file", "content")
		refused(t, file, "file", serveArgs(filepath.Join(file, "data"), "pebble")...)
	})
	t.Run("and the good one is not", func(t *testing.T) { serveProcess(t, good, "pebble").stop() })
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace changes the content of the one file that matches the pattern, or removes it if change is nil.
func replace(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %s in %s (%v)", pattern, dir, err)
	}
	data, err := os.ReadFile(files[0])
	if err == nil && change == nil {
		err = os.Remove(files[0])
	} else if err == nil {
		err = os.WriteFile(files[0], change(data), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAGracefulStopKeepsEverythingAndAnswersWhatIsInFlight(t *testing.T) {
	for _, engine := range open.Names {
		t.Run(engine, func(t *testing.T) {
			skipWithoutEngine(t, engine)
			dir := filepath.Join(t.TempDir(), "data")
			p := serveProcess(t, dir, engine)
			c := connect(t, p)
			if err := c.Raw().Put(within(t, verifyLimit), []byte("k"), []byte("v")); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			p.stop() // with the client still connected
			if took := time.Since(begin); took > stopLimit/2 {
				t.Errorf("an idle server took %v to stop", took)
			}
			c.Close()
			identity, err := datadir.Open(dir, datadir.Wanted{Engine: engine})
			if err != nil || !identity.Identity().Joined() {
				t.Errorf("after the stop the directory is %+v, %v", identity, err)
			}
			p = serveProcess(t, dir, engine)
			c = connect(t, p)
			defer c.Close()
			if v, found, err := c.Raw().Get(within(t, verifyLimit), []byte("k")); err != nil || !found || string(v) != "v" {
				t.Errorf("after the restart k is %q, %v, %v", v, found, err)
			}
		})
	}
}
