// Our own JSON: everything that is known of a run. Its schema is schema/report.schema.json.

package report

import (
	"embed"
	"encoding/json"
	"io"
	"time"

	"tinykv/labs/grade"
)

// Schemas holds report.schema.json and gradescope.schema.json, for programs that read what labs writes.
//
//go:embed schema/*.json
var Schemas embed.FS

// jsonFormat is the version of the format. A change that could break a reader makes it larger.
const jsonFormat = 1

type jsonReport struct {
	Format      int         `json:"format"`
	Points      int         `json:"points"`
	MaxPoints   int         `json:"max_points"`
	Passed      bool        `json:"passed"`
	Interrupted bool        `json:"interrupted"`
	Seconds     float64     `json:"duration_seconds"`
	Notices     []string    `json:"notices,omitempty"`
	Stages      []jsonStage `json:"stages"`
}

type jsonStage struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Hidden     bool       `json:"hidden"`
	Points     int        `json:"points"`
	MaxPoints  int        `json:"max_points"`
	Passed     bool       `json:"passed"`
	Unwritten  []string   `json:"unwritten,omitempty"`
	BuildError string     `json:"build_error,omitempty"`
	Hang       string     `json:"hang,omitempty"`
	Seconds    float64    `json:"duration_seconds"`
	Tests      []jsonTest `json:"tests"`
}

type jsonTest struct {
	Name        string        `json:"name"`
	Points      int           `json:"points"`
	MaxPoints   int           `json:"max_points"`
	Outcome     grade.Outcome `json:"outcome"`
	Message     string        `json:"message,omitempty"`
	Holes       []string      `json:"holes,omitempty"`
	Output      string        `json:"output,omitempty"`
	Seconds     float64       `json:"duration_seconds"`
	Replay      string        `json:"replay"`
	PlainReplay string        `json:"plain_replay,omitempty"`
	TestReplays []string      `json:"test_replays,omitempty"`
}

// JSON writes the report as report.schema.json describes it. The only error is w's.
func JSON(w io.Writer, r *grade.Report) error {
	out := jsonReport{
		Format: jsonFormat, Points: r.Points(), MaxPoints: r.MaxPoints(), Passed: r.Passed(), Interrupted: r.Interrupted,
		Seconds: seconds(r.Duration), Notices: r.Notices, Stages: []jsonStage{},
	}
	for _, s := range r.Stages {
		stage := jsonStage{
			ID: s.Stage.ID, Title: s.Stage.Title, Hidden: s.Hidden, Points: s.Points(), MaxPoints: s.MaxPoints(),
			Passed: s.Passed(), Unwritten: s.Unwritten, BuildError: s.BuildError, Hang: s.Hang,
			Seconds: seconds(s.Duration()), Tests: []jsonTest{},
		}
		for _, t := range s.Tests {
			stage.Tests = append(stage.Tests, jsonTest{
				t.Test, t.Points, t.MaxPoints, t.Outcome, t.Message, t.Holes, t.Output, seconds(t.Duration), t.Replay,
				t.PlainReplay, t.TestReplays,
			})
		}
		out.Stages = append(out.Stages, stage)
	}
	return encode(w, out)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// seconds rounds to milliseconds: more digits say nothing and make reports hard to compare.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
