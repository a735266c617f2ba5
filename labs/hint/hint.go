// Package hint reads the hints of a handout, three tiers for each question, and remembers which tiers a learner has
// seen.
//
// In the handout, below the heading "## Hints":
//
//	### Hint 1a.1: the question of a person who is stuck
//
//	<details><summary>Nudge</summary>
//	A question back, or the place to look at.
//	</details>
//
//	<details><summary>Idea</summary> … </details>
//	<details><summary>Way</summary> … </details>
//
// What always holds:
//
//  1. A hint has exactly the three tiers Nudge, Idea and Way, in this order, none of them empty.
//  2. Ids are STAGE.N and count from 1 without a gap.
//  3. A handout that breaks the form is an error with its line, not a hint that is silently missing.
//
// What it leaves out: it does not judge how many hints were used, and grades know nothing of them.
package hint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Tiers names the tiers from the least that is given away to the most.
var Tiers = [3]string{"Nudge", "Idea", "Way"}

// Hint is the answer to one question, in three tiers.
type Hint struct {
	Stage    string
	Number   int // from 1
	Question string
	Tiers    [3]string // Markdown
}

// ID is what a person asks for: "1a.2".
func (h Hint) ID() string { return h.Stage + "." + strconv.Itoa(h.Number) }

var (
	section = regexp.MustCompile(`^## `)
	heading = regexp.MustCompile(`^### Hint ([0-9][a-z]*)\.([0-9]+): *(\S.*?)\s*$`)
	opening = regexp.MustCompile(`^<details>\s*<summary>\s*([^<]*?)\s*</summary>\s*(.*)$`)
	fence   = regexp.MustCompile("^ {0,3}```")
)

// Parse returns the hints of a stage's handout. A handout without the section has none. An error names the line.
func Parse(stage, handout string) ([]Hint, error) {
	p := parser{stage: stage}
	for i, line := range strings.Split(handout, "\n") {
		if err := p.take(strings.TrimRight(line, "\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("at the end: %w", err)
	}
	return p.hints, nil
}

// parser reads a handout line by line.
type parser struct {
	stage  string
	inside bool // below ## Hints
	fenced bool // in a block of code, where nothing is a heading
	hints  []Hint
	tiers  int              // of the last hint, complete
	body   *strings.Builder // of the tier that is open
}

func (p *parser) take(line string) error {
	if fence.MatchString(line) {
		p.fenced = !p.fenced
	}
	switch {
	case p.fenced || !p.inside && !section.MatchString(line):
		return p.text(line)
	case section.MatchString(line):
		p.inside = strings.TrimSpace(line[3:]) == "Hints"
		return p.complete()
	case strings.HasPrefix(line, "### "):
		return p.begin(line)
	}
	if m := opening.FindStringSubmatch(line); m != nil {
		return p.open(m[1], m[2])
	}
	return p.text(line)
}

// begin takes the heading of a hint.
func (p *parser) begin(line string) error {
	if err := p.complete(); err != nil {
		return err
	}
	m := heading.FindStringSubmatch(line)
	want := len(p.hints) + 1
	if m == nil || m[1] != p.stage || m[2] != strconv.Itoa(want) {
		return fmt.Errorf("%q: want a heading like ### Hint %s.%d: question", line, p.stage, want)
	}
	p.hints = append(p.hints, Hint{Stage: p.stage, Number: want, Question: m[3]})
	p.tiers = 0
	return nil
}

// open takes the beginning of a tier.
func (p *parser) open(name, rest string) error {
	switch {
	case len(p.hints) == 0:
		return fmt.Errorf("%s stands before the first hint", name)
	case p.body != nil:
		return fmt.Errorf("%s begins before the one above it ends with </details>", name)
	case p.tiers == len(Tiers) || name != Tiers[p.tiers]:
		return fmt.Errorf("%q: the tiers are %s, in this order", name, strings.Join(Tiers[:], ", "))
	}
	p.body = &strings.Builder{}
	return p.text(rest)
}

// text takes a line of a tier, or one outside of any.
func (p *parser) text(line string) error {
	if p.body == nil {
		return nil
	}
	before, _, closed := strings.Cut(line, "</details>")
	if p.fenced {
		before, closed = line, false
	}
	p.body.WriteString(before + "\n")
	if !closed {
		return nil
	}
	h := &p.hints[len(p.hints)-1]
	h.Tiers[p.tiers] = strings.TrimSpace(p.body.String())
	if h.Tiers[p.tiers] == "" {
		return fmt.Errorf("the %s of hint %s is empty", Tiers[p.tiers], h.ID())
	}
	p.body = nil
	p.tiers++
	return nil
}

// complete checks that the hint above has all its tiers.
func (p *parser) complete() error {
	if p.body != nil || len(p.hints) > 0 && p.tiers < len(Tiers) {
		return fmt.Errorf("hint %s does not have the tiers %s, each closed by </details>",
			p.hints[len(p.hints)-1].ID(), strings.Join(Tiers[:], ", "))
	}
	return nil
}

func (p *parser) end() error {
	if p.fenced {
		return fmt.Errorf("a block of code is not closed")
	}
	return p.complete()
}
