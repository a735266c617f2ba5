// The board: all stages with their points, and the lines that end a run.

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"

	"tinykv/labs/grade"
)

// Line is one stage on a board.
type Line struct {
	Stage, Title      string
	Given             bool // it comes from the reference: there is nothing to earn, unless points were earned before
	Points, MaxPoints int
	Passed, Tests     int // tests that passed, and all
	Duration          time.Duration
	State             string // "passed", "3 of 8 tests", "does not compile", "never gets to a test", "not run yet", …
	Note              string // "edited since", or empty
}

// Lines makes the lines of a report's stages.
func Lines(r *grade.Report) []Line {
	var lines []Line
	for _, s := range r.Stages {
		lines = append(lines, Line{
			Stage: s.Stage.ID, Title: s.Stage.Title, Points: s.Points(), MaxPoints: s.MaxPoints(),
			Passed: s.PassedTests(), Tests: len(s.Tests), Duration: s.Duration(), State: state(s),
		})
	}
	return lines
}

func state(s grade.StageResult) string {
	outcomes := map[grade.Outcome]int{}
	for _, t := range s.Tests {
		outcomes[t.Outcome]++
	}
	switch {
	case s.Passed():
		return "passed"
	case outcomes[grade.NotBuilt] == len(s.Tests) && len(s.Tests) > 0:
		return "does not compile"
	case len(s.Tests) == 0:
		return "no tests"
	case outcomes[grade.NeverBegan] == len(s.Tests):
		return "never gets to a test"
	case outcomes[grade.NotRun] == len(s.Tests):
		return "not run"
	case s.PassedTests() == 0 && outcomes[grade.NotWritten] > 0:
		return "not written yet"
	}
	return fmt.Sprintf("%d of %d tests", s.PassedTests(), len(s.Tests))
}

// fromReference is the state of a stage that the learner need not write.
const fromReference = "from the reference"

// Give marks the lines of the stages that come from the reference.
func Give(lines []Line, given func(stage string) bool) {
	for i := range lines {
		if l := &lines[i]; given(l.Stage) {
			l.Given, l.State, l.Note = true, fromReference, ""
		}
	}
}

// Open tells whether there is something left to do about the stage: to write, or to test again.
func (l Line) Open() bool { return !l.Given && (l.Passed < l.Tests || l.Note != "") }

// counts tells whether the line's points belong to the sum.
func (l Line) counts() bool { return !l.Given || l.Points > 0 }

// Board draws a table of stages with a line of sums below, as wide as w at most: titles that are too long are cut.
// The only error is w's.
func Board(w io.Writer, lines []Line) error { return boardWithin(w, lines, Columns(w)) }

func boardWithin(w io.Writer, lines []Line, columns int) error {
	st := newStyle(w)
	t := table.New().Border(lipgloss.RoundedBorder()).BorderRow(false).
		Headers("stage", "", "points", "time", "").
		StyleFunc(func(row, col int) lipgloss.Style {
			cell := st.renderer.NewStyle().Padding(0, 1)
			switch {
			case row == table.HeaderRow || row == len(lines):
				return cell.Bold(true).AlignHorizontal(align(col))
			case lines[row].Given && col != 1, col == 4 && lines[row].Note != "":
				return cell.Faint(true).AlignHorizontal(align(col))
			case col == 2 || col == 4:
				return cell.Foreground(st.stateColour(lines[row]).GetForeground()).AlignHorizontal(align(col))
			}
			return cell.AlignHorizontal(align(col))
		})
	rows := boardRows(lines)
	cutTitles(rows, columns)
	for _, row := range rows {
		t.Row(row...)
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// boardRows are the cells of the lines, and those of the line of sums.
func boardRows(lines []Line) [][]string {
	var rows [][]string
	points, maxPoints, total := 0, 0, time.Duration(0)
	for _, l := range lines {
		note := l.State
		if l.Note != "" {
			note += ", " + l.Note
		}
		if !l.counts() {
			rows = append(rows, []string{l.Stage, l.Title, "—", "—", note})
			continue
		}
		rows = append(rows, []string{
			l.Stage, l.Title, fmt.Sprintf("%d/%d", l.Points, l.MaxPoints), boardTime(l.Duration), note,
		})
		points, maxPoints, total = points+l.Points, maxPoints+l.MaxPoints, total+l.Duration
	}
	return append(rows, []string{"", "all", fmt.Sprintf("%d/%d", points, maxPoints), boardTime(total), ""})
}

// leastTitle is how much of a title stays, however narrow the terminal.
const leastTitle = 10

// cutTitles shortens the titles so that the table is no wider than columns.
func cutTitles(rows [][]string, columns int) {
	widths := []int{len("stage"), 0, len("points"), len("time"), 0}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	room := columns - 1 // the border at the left
	for i, width := range widths {
		room -= 3 // a blank before the cell, one behind it, and a border
		if i != 1 {
			room -= width
		}
	}
	room = max(room, leastTitle)
	for _, row := range rows {
		row[1] = Cut(row[1], room)
	}
}

func boardTime(d time.Duration) string {
	if d == 0 {
		return "—"
	}
	return shortTime(d)
}

func align(col int) lipgloss.Position {
	if col == 2 || col == 3 {
		return lipgloss.Right
	}
	return lipgloss.Left
}

func (s style) stateColour(l Line) lipgloss.Style {
	switch {
	case l.Tests > 0 && l.Passed == l.Tests:
		return s.good
	case l.Passed > 0 || l.State == "not written yet" || strings.HasPrefix(l.State, "not run"):
		return s.todo
	}
	return s.bad
}

// Summary ends a run: what is not written yet, the board if there is more than one stage, the points.
func Summary(w io.Writer, r *grade.Report) error {
	st := newStyle(w)
	var b strings.Builder
	if holes, tests := holesOf(r); len(holes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", st.bold.Render("Not written yet"))
		for _, h := range holes {
			line := st.todo.Render("○") + " " + h
			if n := tests[h]; n > 0 {
				line += st.faint.Render(stopHere(n, Columns(w)-markColumns-utf8.RuneCountInString(h)))
			}
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	b.WriteString("\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if err := notes(w, r.Notices); err != nil {
		return err
	}
	if len(r.Stages) > 1 {
		if err := Board(w, Lines(r)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, st.total(r))
	return err
}

// total is the last line of a run.
func (s style) total(r *grade.Report) string {
	passed, tests := 0, 0
	for _, stage := range r.Stages {
		passed += stage.PassedTests()
		tests += len(stage.Tests)
	}
	line := fmt.Sprintf("%d of %d points, %d of %s, %s", r.Points(), r.MaxPoints(), passed, plural(tests, "test"),
		shortTime(r.Duration))
	if r.Interrupted {
		line += ", interrupted"
	}
	if r.Passed() {
		return s.good.Bold(true).Render("✓ " + line)
	}
	return s.bad.Bold(true).Render("✗ " + line)
}

// holesOf lists what is not written yet in the order of the course, then holes of other stages that tests ran into,
// and says how many tests each of them stopped.
func holesOf(r *grade.Report) (holes []string, tests map[string]int) {
	tests = map[string]int{}
	for _, s := range r.Stages {
		for _, h := range s.Unwritten {
			if !slices.Contains(holes, h) {
				holes = append(holes, h)
			}
		}
	}
	for _, t := range r.Each {
		for _, h := range t.Holes {
			if !slices.Contains(holes, h) {
				holes = append(holes, h)
			}
			tests[h]++
		}
	}
	return holes, tests
}

// stopHere says how many tests a hole stopped, in no more columns than there are.
func stopHere(tests, columns int) string {
	text := fmt.Sprintf(" — %d tests stop here", tests)
	if tests == 1 {
		text = " — 1 test stops here"
	}
	if utf8.RuneCountInString(text) > columns {
		return fmt.Sprintf(" — %d", tests)
	}
	return text
}

// notes writes the notices of a report, and an empty line behind them.
func notes(w io.Writer, all []string) error {
	for _, notice := range all {
		if err := Note(w, notice); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w)
	return err
}
