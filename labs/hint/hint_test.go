// The form of hints in a handout, and the memory of what was shown.

package hint_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tinykv/labs/hint"
)

const handout = `# The engine

## Tasks
<details><summary>Nudge</summary> not a hint, it is in another section </details>

## Hints

Try for ten minutes first.

### Hint 1a.1: Why do I read an old value?

<details><summary>Nudge</summary>

Which snapshot?

</details>
<details><summary>Idea</summary>One per request.</details>
<details><summary>Way</summary>

` + "```go\n## Hints\n// </details>\nsnap := e.Snapshot()\n```" + `
</details>

### Hint 1a.2: Why does it hang?

<details><summary>Nudge</summary>a</details>
<details><summary>Idea</summary>b</details>
<details><summary>Way</summary>c</details>

## Questions

### Not a hint
`

func TestHintsAreParsed(t *testing.T) {
	hints, err := hint.Parse("1a", handout)
	if err != nil {
		t.Fatal(err)
	}
	if len(hints) != 2 || hints[0].ID() != "1a.1" || hints[0].Question != "Why do I read an old value?" ||
		hints[1].ID() != "1a.2" {
		t.Fatalf("hints %+v", hints)
	}
	want := [3]string{"Which snapshot?", "One per request.", "```go\n## Hints\n// </details>\nsnap := e.Snapshot()\n```"}
	if hints[0].Tiers != want {
		t.Errorf("tiers %q, want %q", hints[0].Tiers, want)
	}
}

func TestAHandoutWithoutHintsHasNone(t *testing.T) {
	if hints, err := hint.Parse("1a", "# The engine\n"); err != nil || len(hints) != 0 {
		t.Errorf("%v, %v; want no hints", hints, err)
	}
}

func TestBrokenHintsAreErrorsWithTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"gap in numbers":  {"Hint 1a.2", "Hint 1a.3", "line 27"},
		"other stage":     {"Hint 1a.1", "Hint 1b.1", "line 10"},
		"no question":     {"1a.1: Why do I read an old value?", "1a.1:", "line 10"},
		"wrong tier":      {"<summary>Idea", "<summary>Thought", `"Thought": the tiers are Nudge, Idea, Way`},
		"missing tier":    {"<details><summary>Way</summary>c</details>\n", "", "hint 1a.2 does not have the tiers"},
		"tier not closed": {"One per request.</details>", "One per request.", "Way begins before the one above it ends"},
		"empty tier":      {"One per request.", "", "the Idea of hint 1a.1 is empty"},
		"fence left open": {"snapshot()\n```", "snapshot()\n", ""},
	} {
		_, err := hint.Parse("1a", strings.Replace(strings.Replace(handout, "Snapshot()", "snapshot()", 1), c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestSeenTiersAreRemembered(t *testing.T) {
	root := t.TempDir()
	seen, err := hint.ReadSeen(root)
	if err != nil || len(seen) != 0 {
		t.Fatalf("%v, %v; want nothing seen", seen, err)
	}
	for _, tier := range []int{1, 2, 1} {
		if err := seen.Show(root, "1a.1", tier); err != nil {
			t.Fatal(err)
		}
	}
	if seen, err = hint.ReadSeen(root); err != nil || seen["1a.1"] != 2 {
		t.Errorf("seen %v (%v), want tier 2: looking at a lower tier again forgets nothing", seen, err)
	}
	if err := os.WriteFile(filepath.Join(root, hint.SeenFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hint.ReadSeen(root); err == nil || !strings.Contains(err.Error(), "remove "+hint.SeenFile) {
		t.Errorf("error %v, want what to do about a damaged file", err)
	}
}
