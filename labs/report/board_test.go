// The board: how wide it is, and what it counts.

package report

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func draw(t *testing.T, lines []Line, columns int) string {
	t.Helper()
	var out bytes.Buffer
	if err := boardWithin(&out, lines, columns); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheBoardFitsItsTerminal(t *testing.T) {
	lines := []Line{
		{Stage: "1a", Title: "The engine: column families, batch, snapshot, iterator", Points: 97, MaxPoints: 100, Passed: 31,
			Tests: 32, State: "31 of 32 tests", Note: "edited since"},
		{Stage: "1b", Title: "The raw service, nöch länger äls die Spalte ist", MaxPoints: 100, Tests: 32, State: "not run yet"},
	}
	for _, columns := range []int{200, 100, 80, 70} {
		board := draw(t, lines, columns)
		for line := range strings.Lines(board) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%d columns in a terminal of %d:\n%s", n, columns, board)
				break
			}
		}
		if cut := strings.Contains(board, "…"); cut != (columns < 200) {
			t.Errorf("a title is cut: %v, in %d columns\n%s", cut, columns, board)
		}
		if !strings.Contains(board, "31 of 32 tests, edited since") || !strings.Contains(board, "97/200") {
			t.Errorf("in %d columns there is missing what matters:\n%s", columns, board)
		}
	}
	if board := draw(t, lines, 5); !strings.Contains(board, "The engin") {
		t.Errorf("in no room at all:\n%s", board)
	}
}

func TestAStageFromTheReferenceCountsOnlyWhatWasEarned(t *testing.T) {
	lines := func() []Line {
		return []Line{
			{Stage: "1a", Title: "The engine", MaxPoints: 100, Tests: 32, State: "not run yet", Note: "edited since"},
			{Stage: "1b", Title: "The raw service", MaxPoints: 100, Tests: 32, State: "not run yet"},
		}
	}
	given := func(stage string) bool { return stage == "1a" }
	never := lines()
	Give(never, given)
	if board := draw(t, never, 80); !strings.Contains(board, "from the reference") || strings.Contains(board, "200") ||
		strings.Contains(board, "edited") || !strings.Contains(board, "0/100") {
		t.Errorf("never tested:\n%s", board)
	}
	if never[0].Open() || !never[1].Open() {
		t.Errorf("what is to be done next: %v, %v; want the second", never[0].Open(), never[1].Open())
	}
	earned := lines()
	earned[0].Points, earned[0].Passed = 30, 9
	Give(earned, given)
	if board := draw(t, earned, 80); !strings.Contains(board, "30/100") || !strings.Contains(board, "30/200") {
		t.Errorf("30 points earned before:\n%s", board)
	}
}

func TestATextIsBrokenIntoLinesBetweenWords(t *testing.T) {
	text := "How do I walk in both directions without writing everything twice?"
	for _, columns := range []int{20, 61, 66, 200} {
		lines := Wrap(text, columns)
		for _, line := range lines {
			if len(line) > columns {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
		if strings.Join(lines, " ") != text || len(lines) > 1 != (columns < len(text)) {
			t.Errorf("%d columns: %q", columns, lines)
		}
	}
}
