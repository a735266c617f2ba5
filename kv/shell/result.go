// Results: what a command answers, as text for people and as JSON for programs. Keys and values are escaped in both.

package shell

import (
	"fmt"
	"strings"
	"text/tabwriter"

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

// columns lines cells up.
func columns(rows [][]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush()
	lines := strings.Split(text.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
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
