package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelpFits asks every command for help, on terminals of two widths.
func TestHelpFits(t *testing.T) {
	columns := 0
	fitHelp(root, func() int { return columns })
	words := [][]string{{"--help"}}
	for _, c := range root.Commands() {
		words = append(words, []string{c.Name(), "--help"})
	}
	for _, columns = range []int{80, 100} {
		for _, w := range words {
			out, err := typed(t, root, "", w...)
			if err != nil || !strings.Contains(out, "Usage:") {
				t.Fatalf("labs %v: %v\n%s", w, err, out)
			}
			for line := range strings.Lines(out) {
				if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > columns {
					t.Errorf("labs %v on %d columns has a line of %d:\n%s", w, columns, utf8.RuneCountInString(line), line)
				}
			}
		}
	}
}
