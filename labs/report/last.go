// Last: what the last runs said of each test, kept in .labs/results.json, so that labs status knows without running
// anything and labs watch begins with what failed.
//
//	{"format": 1, "tests": {"1a": {"TestGet": {"points": 5, "max_points": 5, "outcome": "passed", "seconds": 0.1,
//	                                           "sources": "0f3a…", "at": "2026-01-02T15:04:05Z"}}}}

package report

import (
	"fmt"
	"path/filepath"
	"time"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/jsonfile"
)

// LastFile is where results are kept, relative to the root of the tree.
const LastFile = ".labs/results.json"

const lastFormat = 1

// Last holds the last result of each test.
type Last struct {
	Format int                            `json:"format"`
	Tests  map[string]map[string]LastTest `json:"tests"` // by stage and name
}

// LastTest is the last result of one test.
type LastTest struct {
	Points    int           `json:"points"`
	MaxPoints int           `json:"max_points"`
	Outcome   grade.Outcome `json:"outcome"`
	Seconds   float64       `json:"seconds"`
	Sources   string        `json:"sources"` // grade.Fingerprint of the stage's files as they were tested
	At        time.Time     `json:"at"`
}

// ReadLast reads the results of the tree at root. If there are none yet, it returns none. A file that can't be
// understood is an error that says to remove it; nothing but the memory of past runs is lost by that.
func ReadLast(root string) (*Last, error) {
	last := &Last{Format: lastFormat, Tests: map[string]map[string]LastTest{}}
	_, err := jsonfile.Read(filepath.Join(root, filepath.FromSlash(LastFile)), last)
	if err == nil && last.Format != lastFormat {
		err = fmt.Errorf("it has format %d", last.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("read the last results in %s: %w: remove the file and run the tests again", LastFile, err)
	}
	if last.Tests == nil {
		last.Tests = map[string]map[string]LastTest{}
	}
	return last, nil
}

// Add records the results of a run. sources is the fingerprint of each stage's files, taken before the run. A test
// that was not run keeps its older result.
func (l *Last) Add(r *grade.Report, sources map[string]string, now time.Time) {
	for s, t := range r.Each {
		if t.Outcome == grade.NotRun || s.Hidden {
			continue
		}
		if l.Tests[t.Stage] == nil {
			l.Tests[t.Stage] = map[string]LastTest{}
		}
		l.Tests[t.Stage][t.Test] = LastTest{
			Points: t.Points, MaxPoints: t.MaxPoints, Outcome: t.Outcome, Seconds: seconds(t.Duration),
			Sources: sources[t.Stage], At: now.UTC().Truncate(time.Second),
		}
	}
}

// Write stores the results in the tree at root: all of them or, if it fails, the older ones.
func (l *Last) Write(root string) error {
	if err := jsonfile.Write(filepath.Join(root, filepath.FromSlash(LastFile)), l); err != nil {
		return fmt.Errorf("keep the results in %s: %w", LastFile, err)
	}
	return nil
}

// Failed says that the test's last result is known and was not a pass.
func (l *Last) Failed(stage, test string) bool {
	t, known := l.Tests[stage][test]
	return known && t.Outcome != grade.Passed
}

// Lines makes a line of the board for each stage. sources gives the fingerprint of a stage's files as they are now.
func (l *Last) Lines(stages []course.Stage, sources func(course.Stage) string) []Line {
	var lines []Line
	for _, s := range stages {
		line := Line{Stage: s.ID, Title: s.Title, MaxPoints: s.Points(), Tests: len(s.Tests)}
		result := grade.StageResult{Stage: s}
		now, known, stale := sources(s), 0, false
		for _, t := range s.Tests {
			r, ok := l.Tests[s.ID][t.Name]
			if !ok {
				result.Tests = append(result.Tests, grade.TestResult{Outcome: grade.NotRun})
				continue
			}
			known++
			stale = stale || r.Sources != now
			if r.Outcome == grade.Passed {
				line.Points += t.Points // the table's, should it have changed since
			}
			took := time.Duration(r.Seconds * float64(time.Second)).Round(time.Microsecond)
			result.Tests = append(result.Tests, grade.TestResult{Outcome: r.Outcome, Duration: took})
		}
		line.Passed, line.State, line.Duration = result.PassedTests(), state(result), result.Duration()
		switch {
		case known == 0:
			line.State = "not run yet"
		case stale:
			line.Note = "edited since"
		}
		lines = append(lines, line)
	}
	return lines
}
