// Results: what a command answers, as text for people and as JSON for programs. Keys and values are escaped in both.

package shell

import (
	"fmt"
	"strings"

	"tinykv/kv/client"
)

// result is marshalled for --json; its text is for everybody else and has no line break at its end.
type result interface {
	text() string
}

// done is the result of a command that has nothing to tell but that it worked.
type done struct {
	OK bool `json:"ok"`
}

func (done) text() string { return "OK" }

// message is free text.
type message struct {
	Text string `json:"text"`
}

func (m message) text() string { return m.Text }

// value is one value, or none.
type value struct {
	Found bool    `json:"found"`
	Value *string `json:"value,omitempty"`
}

func newValue(b []byte, found bool) value {
	if !found {
		return value{}
	}
	text := Quote(b)
	return value{Found: true, Value: &text}
}

func (v value) text() string {
	if !v.Found {
		return "(not found)"
	}
	return *v.Value
}

// pair is a key with its value; without one it was not found, or not asked for.
type pair struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

func newPair(p client.Pair, keyOnly bool) pair {
	shown := pair{Key: Quote(p.Key)}
	if !keyOnly {
		text := Quote(p.Value)
		shown.Value = &text
	}
	return shown
}

// pairs is the result of a scan.
type pairs struct {
	Pairs []pair `json:"pairs"`
	More  bool   `json:"more"` // the limit was reached
	next  string // how to go on, if there may be more
}

func (p pairs) text() string {
	rows := make([][]string, 0, len(p.Pairs))
	for _, row := range p.Pairs {
		cells := []string{row.Key}
		if row.Value != nil {
			cells = append(cells, *row.Value)
		}
		rows = append(rows, cells)
	}
	count := plural(len(p.Pairs), "pair")
	if p.More {
		count += ", there may be more: " + p.next
	}
	return join(columns(rows), "("+count+")")
}

// values is the result of asking for several keys.
type values struct {
	Values []pair `json:"values"`
}

func (v values) text() string {
	var rows [][]string
	for _, p := range v.Values {
		shown := "(not found)"
		if p.Value != nil {
			shown = *p.Value
		}
		rows = append(rows, []string{p.Key, shown})
	}
	return columns(rows)
}

// wideCell is the width beyond which a cell pushes only its own row aside: one long key must not pad all others.
const wideCell = 64

// columns lines cells up.
func columns(rows [][]string) string {
	var widths []int
	for _, cells := range rows {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			// the last cell of a row pushes nothing aside
			if i+1 < len(cells) && len(cell) <= wideCell {
				widths[i] = max(widths[i], len(cell))
			}
		}
	}
	var lines []string
	for _, cells := range rows {
		var line strings.Builder
		for i, cell := range cells {
			if i+1 == len(cells) {
				line.WriteString(cell)
			} else {
				fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return strings.Join(lines, "\n")
}

// join puts the parts that are not empty below each other.
func join(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "\n")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
