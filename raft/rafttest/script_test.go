package rafttest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tinykv/raft/rafttest"
)

var rewrite = flag.Bool("rewrite", false, "write the output of the scripts anew; look at the difference")

// TestScripts plays every story in testdata and compares its output with what is kept there.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := rafttest.RunScript(string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("differs from %s: %s\n(-rewrite writes it anew)", file, firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "\n  want " + w[i] + "\n  got  " + g[i]
		}
	}
	return "one is longer"
}
