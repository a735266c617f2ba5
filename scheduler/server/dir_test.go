// What the directory of a scheduler survives, and what it refuses.

package server_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tinykv/scheduler/server"
)

func openDir(t *testing.T, dir string) *server.DirStorage {
	t.Helper()
	d, err := server.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestARecordIsFoundAgainAfterReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	d := openDir(t, dir)
	if _, err := d.Load(t.Context(), "cluster"); !errors.Is(err, server.ErrNoRecord) {
		t.Errorf("a record that was never saved: %v", err)
	}
	for _, value := range []string{"one\ntwo\n", "", "three"} {
		if err := d.Save(t.Context(), "cluster", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = openDir(t, dir)
		if got, err := d.Load(t.Context(), "cluster"); err != nil || string(got) != value {
			t.Errorf("%q, %v, want %q", got, err, value)
		}
	}
}

func TestACrashDuringASaveLeavesTheOldRecord(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	if err := d.Save(t.Context(), "cluster", []byte("old")); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	if err := os.WriteFile(filepath.Join(dir, "cluster.tmp"), []byte("tinykv sched"), 0o644); err != nil { // torn
		t.Fatal(err)
	}
	d = openDir(t, dir)
	if got, err := d.Load(t.Context(), "cluster"); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if err := d.Save(t.Context(), "cluster", []byte("new")); err != nil {
		t.Error(err)
	}
}

func TestADirectoryIsUsedByOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	refuses(t, dir, "in use")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(t.Context(), "cluster", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
	openDir(t, dir)
}

// refuses checks that dir cannot be opened, that the error is one line with the words, and that nothing in dir has
// changed.
func refuses(t *testing.T, dir string, words ...string) {
	t.Helper()
	before := contents(t, dir)
	d, err := server.OpenDir(dir)
	if err == nil {
		_ = d.Close()
		t.Errorf("it was opened, want an error with %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%q is not one line that names the directory", err)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("the directory was changed from\n%s\nto\n%s", before, after)
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(data) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestADamagedRecordIsRefusedWithTheFileAndTheRemedy(t *testing.T) {
	good := func(t *testing.T, name string) string {
		dir := t.TempDir()
		d := openDir(t, dir)
		if err := d.Save(t.Context(), name, []byte(`{"Bound":5}`)); err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, damage := range map[string]func(string) string{
		"empty":                 func(string) string { return "" },
		"cut in the first line": func(s string) string { return s[:40] },
		"cut in the value":      func(s string) string { return s[:len(s)-1] },
		"longer":                func(s string) string { return s + "x" },
		"a flipped bit":         func(s string) string { return s[:len(s)-3] + "4" + s[len(s)-2:] },
		"zeros":                 func(s string) string { return strings.Repeat("\x00", len(s)) },
		"another checksum":      func(s string) string { return strings.Replace(s, "crc32c ", "crc32c 1", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "timestamp")
			if err := os.WriteFile(path, []byte(damage(good(t, "timestamp"))), 0o644); err != nil {
				t.Fatal(err)
			}
			refuses(t, dir, path, "damaged", "backup")
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "regions"), []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, "delete this file")
}

func TestWhatIsNewerForeignOrNoDirectoryIsRefused(t *testing.T) {
	newer := t.TempDir()
	text := "tinykv scheduler record, format 2, sha256 abc\n{}"
	if err := os.WriteFile(filepath.Join(newer, "cluster"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, newer, "newer version", "format 2")

	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, foreign, "thesis.tex", "choose another")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, file, "choose another")
	if _, err := server.OpenDir(filepath.Join(file, "below")); err == nil {
		t.Error("a directory below a file was opened")
	}
}
