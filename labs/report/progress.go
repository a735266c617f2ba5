// Progress: what a person sees while tests run. Results appear in the order of the course, each as soon as it and all
// before it are known; on a terminal a line below them says what is going on.

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

const (
	liveEvery   = 100 * time.Millisecond // how often the line below is redrawn
	liveColumns = 78                     // its width: the narrowest terminal in use
	maxColumns  = 200                    // of a line of a message
	messageHead = 6                      // lines of a failure that are shown, from its beginning
	messageTail = 8                      // and from its end; the rest is in the full output
	buildLines  = 20                     // of the compiler's messages
	// of a row: a mark with blanks around it, and the points
	markColumns, pointsColumns = 4, 8
	clearLine                  = "\r\x1b[2K"
)

// ProgressOptions say how progress is shown.
type ProgressOptions struct {
	Live    bool // w is a terminal: keep a line that moves
	Verbose bool // print all that a failing test printed
	// keeps a failing test's output in a file; may be nil
	Saved func(stage, test string, r grade.TestResult) (path string)
	// these are shown before the others, as grade.Options.First runs them; may be nil
	First func(stage, test string) bool
}

// Progress prints results as they come. Hand its Observe to grade.Options, call Finish with the report.
type Progress struct {
	opts  ProgressOptions
	style style
	names int // columns for the names of tests
	room  int // columns behind the points

	mu      sync.Mutex // guards all below, and the writer
	w       io.Writer
	rows    []row
	printed int               // rows[:printed] are on the screen
	heading string            // the stage under whose heading the last result stands
	failed  map[string]string // by stage, the compiler's messages
	hangs   map[string]string // by stage, how the program hangs before any test begins
	running []string
	status  string
	began   time.Time
	stop    chan struct{}
	stopped sync.WaitGroup
}

// row is one test in the order of the report.
type row struct {
	stage  course.Stage
	test   string
	result *grade.TestResult
}

// NewProgress begins to show a run over these tests. selected says which tests take part; nil means all.
func NewProgress(w io.Writer, stages []course.Stage, selected func(string) bool, opts ProgressOptions) *Progress {
	p := &Progress{
		opts: opts, style: newStyle(w), w: w, failed: map[string]string{}, hangs: map[string]string{},
		began: time.Now(), stop: make(chan struct{}),
	}
	for _, s := range stages {
		for _, t := range s.Tests {
			if selected == nil || selected(t.Name) {
				p.rows = append(p.rows, row{stage: s, test: t.Name})
			}
		}
	}
	for _, r := range p.rows {
		p.names = max(p.names, len(r.test))
	}
	p.room = Columns(w) - markColumns - p.names - pointsColumns
	if opts.First != nil {
		slices.SortStableFunc(p.rows, func(a, b row) int {
			switch first := opts.First(a.stage.ID, a.test); {
			case first == opts.First(b.stage.ID, b.test):
				return 0
			case first:
				return -1
			}
			return 1
		})
	}
	if opts.Live {
		p.stopped.Go(p.redraw)
	}
	return p
}

// redraw keeps the clock of the live line going.
func (p *Progress) redraw() {
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.mu.Lock()
			p.live()
			p.mu.Unlock()
		}
	}
}

// Observe takes one event of the grader.
func (p *Progress) Observe(e grade.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Building:
		p.status = "building the tests of " + e.Stage
	case e.Built:
		p.status = ""
		if e.Err != "" {
			p.failed[e.Stage] = e.Err
		}
	case e.Hangs != "":
		p.hangs[e.Stage] = e.Hangs
	case e.Started != "":
		p.running = append(p.running, e.Started)
	case e.Done != nil:
		p.done(e.Done)
	}
	p.live()
}

func (p *Progress) done(r *grade.TestResult) {
	for i, name := range p.running {
		if name == r.Test {
			p.running = append(p.running[:i:i], p.running[i+1:]...)
			break
		}
	}
	for i := range p.rows {
		if p.rows[i].stage.ID == r.Stage && p.rows[i].test == r.Test {
			p.rows[i].result = r
		}
	}
	for p.printed < len(p.rows) && p.rows[p.printed].result != nil {
		p.print(p.rows[p.printed])
		p.printed++
	}
}

// Finish prints what is still open, the rest of an interrupted run, and ends the live line.
func (p *Progress) Finish(r *grade.Report) {
	if p.opts.Live {
		close(p.stop)
		p.stopped.Wait()
		io.WriteString(p.w, clearLine)
	}
	p.opts.Live = false
	p.mu.Lock()
	defer p.mu.Unlock()
	results := map[string]grade.TestResult{}
	for s, t := range r.Each {
		results[s.Stage.ID+" "+t.Test] = t
		if s.BuildError != "" {
			p.failed[s.Stage.ID] = s.BuildError
		}
		if s.Hang != "" {
			p.hangs[s.Stage.ID] = s.Hang
		}
	}
	notRun := 0
	for ; p.printed < len(p.rows); p.printed++ {
		next := p.rows[p.printed]
		result, ok := results[next.stage.ID+" "+next.test]
		switch {
		case ok && result.Outcome == grade.NotRun:
			notRun++
		case ok:
			next.result = &result
			p.print(next)
		}
	}
	if notRun > 0 {
		fmt.Fprintf(p.w, "  %s %s not run\n", p.style.mark(grade.NotRun), plural(notRun, "test"))
	}
}

// live draws the line below the results.
func (p *Progress) live() {
	if !p.opts.Live {
		return
	}
	now := p.status
	if now == "" {
		now = strings.Join(p.running, ", ")
	}
	line := []rune(fmt.Sprintf("  %d/%d  %s  %s", p.printed, len(p.rows),
		shortTime(time.Since(p.began).Truncate(liveEvery)), now))
	if len(line) > liveColumns {
		line = append(line[:liveColumns-1], '…')
	}
	io.WriteString(p.w, clearLine+p.style.faint.Render(string(line)))
}

// print writes one result.
func (p *Progress) print(r row) {
	var b strings.Builder
	if p.opts.Live {
		b.WriteString(clearLine)
	}
	if p.heading != r.stage.ID {
		p.heading = r.stage.ID
		fmt.Fprintf(&b, "%s  %s\n", p.style.bold.Render(r.stage.ID), r.stage.Title)
		p.printTrouble(&b, "it does not compile", p.failed[r.stage.ID])
		p.printTrouble(&b, "it never gets to a test", p.hangs[r.stage.ID])
	}
	switch { // what holds for the whole stage is told once
	case p.failed[r.stage.ID] != "" && r.result.Outcome == grade.NotBuilt:
	case p.hangs[r.stage.ID] != "" && r.result.Outcome == grade.NeverBegan:
	default:
		p.printTest(&b, *r.result)
	}
	io.WriteString(p.w, b.String())
}

// printTrouble tells why a whole stage earns nothing; no message is no trouble.
func (p *Progress) printTrouble(b *strings.Builder, what, message string) {
	if message != "" {
		fmt.Fprintf(b, "  %s %s, so it earns 0 points:\n%s\n", p.style.bad.Render("✗"), what,
			indent(fold(message, buildLines, 0), "    "))
	}
}

func (p *Progress) printTest(b *strings.Builder, t grade.TestResult) {
	points := fmt.Sprintf("%d/%d", t.Points, t.MaxPoints)
	if t.Outcome == grade.NotWritten {
		// One line is enough: it is clear what to do, and at the beginning all tests look like this.
		fmt.Fprintf(b, "  %s %-*s %5s  %s\n", p.style.mark(t.Outcome), p.names, t.Test, points,
			p.style.todo.Render(shortHoles(t, p.room)))
		if p.opts.Verbose {
			fmt.Fprintf(b, "      %s %s\n", p.style.faint.Render("again: "), t.Replay)
		}
		return
	}
	fmt.Fprintf(b, "  %s %-*s %5s  %s\n", p.style.mark(t.Outcome), p.names, t.Test, points,
		p.style.faint.Render(fmt.Sprintf("%7s", shortTime(t.Duration))))
	if t.Outcome == grade.Passed || t.Outcome == grade.NotRun {
		return
	}
	message := t.Message
	if t.Outcome != grade.Failed && t.Outcome != grade.NotBuilt {
		message = string(t.Outcome) + ": " + message
	}
	b.WriteString(indent(fold(message, messageHead, messageTail), "      ") + "\n")
	faint := func(label, text string) {
		fmt.Fprintf(b, "      %s %s\n", p.style.faint.Render(label), text)
	}
	for _, replay := range t.TestReplays {
		if !strings.Contains(t.Message, replay) {
			faint("replay:", replay)
		}
	}
	if len(t.TestReplays) == 0 { // else the test itself knows better: its command has the seed
		if t.Replay != "" {
			faint("again: ", t.Replay)
		}
		if t.PlainReplay != "" {
			faint("or:    ", t.PlainReplay)
		}
	}
	switch {
	case p.opts.Verbose && t.Output != "":
		b.WriteString(indent(t.Output, "      | ") + "\n")
	case p.opts.Saved != nil && t.Output != "":
		if path := p.opts.Saved(t.Stage, t.Test, t); path != "" {
			faint("output:", path)
		}
	}
}

// shortHoles says which functions a test misses, in so many columns. The files stand below the results, in any case.
func shortHoles(t grade.TestResult, columns int) string {
	var names []string
	for _, hole := range t.Holes {
		name, _, _ := strings.Cut(hole, " in ")
		names = append(names, name)
	}
	missing := strings.Join(names, ", ")
	for _, text := range []string{t.Message, "not written yet: " + missing, "needs " + missing} {
		if utf8.RuneCountInString(text) <= columns {
			return text
		}
	}
	return Cut("needs "+missing, max(columns, leastTitle))
}
