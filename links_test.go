// Links: what the pages point to is there.

package tinykv_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link finds the target of a Markdown link, without what follows a '#'.
var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, pattern := range []string{"*.md", "doc/*.md", "labs/handouts/*.md", "kv/*/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range link.FindAllStringSubmatch(string(text), -1) {
				target := found[1]
				if strings.Contains(target, "://") {
					continue // what is elsewhere is not ours to keep
				}
				checked++
				if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(target))); err != nil {
					t.Errorf("%s links to %s, which is not there", page, target)
				}
			}
		}
	}
	if checked < 10 {
		t.Fatalf("found only %d links: the search is broken", checked)
	}
}
