// What a person and a program read of a corpus that was run.

package mutant

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// Table draws the results, and below it what is wrong with those that are not as they should be. The only error is w's.
func Table(w io.Writer, results []Result) error {
	if len(results) == 0 {
		_, err := fmt.Fprintln(w, "the corpus is empty")
		return err
	}
	renderer := lipgloss.NewRenderer(w)
	noun := results[0].Entry.Kind.noun
	t := table.New().Border(lipgloss.RoundedBorder()).Headers("stage", noun, "verdict", "by", "time").
		StyleFunc(func(row, col int) lipgloss.Style {
			cell := renderer.NewStyle().Padding(0, 1)
			switch {
			case row == table.HeaderRow:
				return cell.Bold(true)
			case col == 2 && results[row].Good():
				return cell.Foreground(lipgloss.Color("2"))
			case col == 2:
				return cell.Foreground(lipgloss.Color("1"))
			case col == 4:
				return cell.AlignHorizontal(lipgloss.Right)
			}
			return cell
		})
	for _, r := range results {
		by := r.Test
		if r.Outcome != "" && r.Outcome != "failed" {
			by += " (" + string(r.Outcome) + ")"
		}
		if len(r.Others) > 0 {
			by += fmt.Sprintf(" and %d more", len(r.Others))
		}
		t.Row(r.Entry.Stage, r.Entry.Name, verdictText(r), by, fmt.Sprintf("%.1f s", r.Duration.Seconds()))
	}
	var b strings.Builder
	b.WriteString(t.Render() + "\n")
	for _, r := range results {
		b.WriteString(complaint(r))
	}
	b.WriteString(Score(results) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictText(r Result) string {
	if r.Verdict == Survived && r.Entry.Survives != "" {
		return "survived, excused"
	}
	return string(r.Verdict)
}

// complaint explains a verdict that is not as it should be, and a reason that is out of date.
func complaint(r Result) string {
	name := fmt.Sprintf("%s %s of %s", r.Entry.Kind.noun, r.Entry.Name, r.Entry.Stage)
	indent := func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") + "\n" }
	switch {
	case r.Verdict == Survived && r.Entry.Survives == "":
		return fmt.Sprintf("✗ %s survives: %s\n  so %s\n", name, r.Entry.Bug, r.Entry.Consequence)
	case r.Verdict == Killed && r.Entry.Survives != "":
		return fmt.Sprintf("! %s is killed by %s although the corpus excuses it (%s): take the excuse out\n", name, r.Test,
			r.Entry.Survives)
	case r.Verdict == Rejected:
		return fmt.Sprintf("✗ %s is rejected by %s, though it is right: %s\n%s", name, r.Test, r.Entry.Why, indent(r.Message))
	case r.Verdict == Broken:
		return fmt.Sprintf("✗ %s is broken, which is an error of the corpus:\n%s", name, indent(r.Message))
	}
	return ""
}

// Good says that every result is as it should be.
func Good(results []Result) bool {
	for _, r := range results {
		if !r.Good() {
			return false
		}
	}
	return true
}

// Score sums the results up in one line.
func Score(results []Result) string {
	count := map[Verdict]int{}
	excused := 0
	for _, r := range results {
		if r.Verdict == Survived && r.Entry.Survives != "" {
			excused++
			continue
		}
		count[r.Verdict]++
	}
	parts := []string{}
	if len(results) > 0 && results[0].Entry.Kind == Variants {
		parts = append(parts, fmt.Sprintf("%d of %d variants accepted", count[Accepted], len(results)))
	} else {
		parts = append(parts, fmt.Sprintf("%d of %d mutants killed", count[Killed], len(results)-excused))
	}
	for _, v := range []Verdict{Survived, Rejected, Broken, NotRun} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	if excused > 0 {
		parts = append(parts, fmt.Sprintf("%d excused", excused))
	}
	return strings.Join(parts, ", ")
}

// jsonResult is one entry as JSON writes it.
type jsonResult struct {
	Stage   string   `json:"stage"`
	Name    string   `json:"name"`
	Verdict Verdict  `json:"verdict"`
	Good    bool     `json:"good"`              // as it should be
	Test    string   `json:"test,omitempty"`    // the first test that failed
	Outcome string   `json:"outcome,omitempty"` // how: failed, crashed, timed out, …
	Others  []string `json:"others,omitempty"`  // with --all: the other tests that failed
	Message string   `json:"message,omitempty"`
	Seconds float64  `json:"duration_seconds"`
}

// JSON writes {"format": 1, "kind": "mutant", "good": true, "score": "…", "results": […]}. The only error is w's.
func JSON(w io.Writer, kind Kind, results []Result) error {
	out := struct {
		Format  int          `json:"format"`
		Kind    string       `json:"kind"`
		Good    bool         `json:"good"`
		Score   string       `json:"score"`
		Results []jsonResult `json:"results"`
	}{Format: 1, Kind: kind.noun, Good: Good(results), Score: Score(results), Results: []jsonResult{}}
	for _, r := range results {
		out.Results = append(out.Results, jsonResult{
			r.Entry.Stage, r.Entry.Name, r.Verdict, r.Good(), r.Test, string(r.Outcome), r.Others, r.Message,
			r.Duration.Seconds(),
		})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
