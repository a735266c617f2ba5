// Colours, widths and numbers, the same everywhere. Without a terminal, or with NO_COLOR set, there are no colours.

package report

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"

	"tinykv/labs/grade"
)

// style paints for one writer: lipgloss asks the writer whether it is a terminal, and the environment for NO_COLOR.
type style struct {
	bold, faint, good, bad, todo lipgloss.Style
	renderer                     *lipgloss.Renderer
}

func newStyle(w io.Writer) style {
	r := lipgloss.NewRenderer(w)
	return style{
		renderer: r,
		bold:     r.NewStyle().Bold(true),
		faint:    r.NewStyle().Faint(true),
		good:     r.NewStyle().Foreground(lipgloss.Color("2")),
		bad:      r.NewStyle().Foreground(lipgloss.Color("1")),
		todo:     r.NewStyle().Foreground(lipgloss.Color("3")),
	}
}

// plainColumns is the width of whatever is no terminal, or does not tell its width.
const plainColumns = 80

// Columns is how wide what is written to w should be.
func Columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return plainColumns
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return plainColumns
	}
	return columns
}

// Wrap breaks a text into lines of at most so many columns, but no word.
func Wrap(text string, columns int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= columns:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// Note writes something that a person should know, as wide as w at most.
func Note(w io.Writer, text string) error {
	const mark, margin = "note: ", "      "
	lines := Wrap(text, Columns(w)-len(margin))
	_, err := fmt.Fprintln(w, newStyle(w).todo.Render(strings.TrimSpace(mark))+" "+strings.Join(lines, "\n"+margin))
	return err
}

// Cut shortens a text to so many columns.
func Cut(text string, columns int) string {
	if runes := []rune(text); len(runes) > columns {
		return strings.TrimRight(string(runes[:max(columns-1, 0)]), " ,:") + "…"
	}
	return text
}

// mark is the sign before a test: it is readable without colours.
func (s style) mark(o grade.Outcome) string {
	switch o {
	case grade.Passed:
		return s.good.Render("✓")
	case grade.NotWritten:
		return s.todo.Render("○")
	case grade.NotRun:
		return s.faint.Render("·")
	}
	return s.bad.Render("✗")
}

// shortTime writes a duration with as many digits as a person wants.
func shortTime(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return "<0.01 s"
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}

func indent(text, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+prefix)
}

// fold keeps the beginning and the end of a text, where the rule that is broken and what was expected and seen stand.
func fold(text string, head, tail int) string {
	all := strings.Split(text, "\n")
	for i, line := range all {
		if runes := []rune(line); len(runes) > maxColumns {
			all[i] = string(runes[:maxColumns-1]) + "…"
		}
	}
	if left := len(all) - head - tail; left > 1 {
		all = slices.Concat(all[:head], []string{fmt.Sprintf("… %d more lines", left)}, all[len(all)-tail:])
	}
	return strings.Join(all, "\n")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
