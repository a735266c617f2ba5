// The four parts of a failure, and how bytes are shown in it.

package explain

import (
	"fmt"
	"strings"
	"testing"
)

// Rule is one numbered invariant of a handout.
type Rule struct {
	ID   string // "INV-1a.3"
	Says string // the rule in one sentence, without a full stop
}

// Broken ends the test: rule does not hold. did tells what the test did, in calls; want and got are what was expected
// and what came. Notes are further lines, such as a replay command or a guess at the cause.
func (r Rule) Broken(t testing.TB, did, want, got string, notes ...string) {
	t.Helper()
	t.Fatal(r.Message(did, want, got, notes...))
}

// Interrupted ends the test: something happened that no test of the rule can go on from, whether the rule itself is broken
// or something that all of the stage depends on. what says it in one sentence, without a full stop.
func (r Rule) Interrupted(t testing.TB, what, did, want, got string) {
	t.Helper()
	t.Fatal(message(fmt.Sprintf("%s, in a test of %s: %s.", what, r.ID, r.Says), did, want, got))
}

// Message is the text that Broken prints.
func (r Rule) Message(did, want, got string, notes ...string) string {
	return message(fmt.Sprintf("%s is broken: %s.", r.ID, r.Says), did, want, got, notes...)
}

func message(head, did, want, got string, notes ...string) string {
	var b strings.Builder
	b.WriteString(head + "\n")
	part(&b, "done:", did)
	part(&b, "expected:", want)
	part(&b, "got:", got)
	for _, n := range notes {
		if n == "" {
			continue
		}
		if head, rest, ok := strings.Cut(n, ": "); ok && len(head) < 9 && !strings.Contains(head, " ") {
			part(&b, head+":", rest)
		} else {
			part(&b, "note:", n)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// part writes one labelled part; the lines after the first are indented to the first one.
func part(b *strings.Builder, label, text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(b, "    %-9s %s\n", label, line)
	}
}

// Bytes shows a key or a value: quoted, shortened, nil told from empty.
func Bytes(p []byte) string {
	switch {
	case p == nil:
		return "nil"
	case len(p) > 40:
		return fmt.Sprintf("%q… (%d bytes)", p[:16], len(p))
	}
	return fmt.Sprintf("%q", p)
}

// Error shows an error, or that there was none.
func Error(err error) string {
	if err == nil {
		return "no error"
	}
	return "error: " + err.Error()
}

// Value shows what a read returned.
func Value(v []byte, err error) string {
	if err != nil {
		return Error(err)
	}
	return "the value " + Bytes(v)
}
