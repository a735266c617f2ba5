// Gradescope's results.json, so that a class is graded by the same program that its learners run.

package report

import (
	"fmt"
	"io"
	"strings"

	"tinykv/labs/grade"
)

type gradescopeReport struct {
	Score            float64          `json:"score"`
	ExecutionTime    float64          `json:"execution_time"`
	Output           string           `json:"output"`
	OutputFormat     string           `json:"output_format"`
	Visibility       string           `json:"visibility"`
	StdoutVisibility string           `json:"stdout_visibility"`
	Tests            []gradescopeTest `json:"tests"`
}

type gradescopeTest struct {
	Name         string   `json:"name"`
	NameFormat   string   `json:"name_format"`
	Number       string   `json:"number"`
	Score        float64  `json:"score"`
	MaxScore     float64  `json:"max_score"`
	Status       string   `json:"status"`
	Output       string   `json:"output"`
	OutputFormat string   `json:"output_format"`
	Visibility   string   `json:"visibility"`
	Tags         []string `json:"tags"`
}

// Gradescope writes the report as results.json for Gradescope's autograder (gradescope.schema.json). Tests of a hidden
// pack are there with visibility "hidden", and nothing that learners see tells of them. The only error is w's.
func Gradescope(w io.Writer, r *grade.Report) error {
	out := gradescopeReport{
		Score: float64(r.Points()), ExecutionTime: seconds(r.Duration), Output: gradescopeOutput(r), OutputFormat: "text",
		Visibility: "visible", StdoutVisibility: "hidden", Tests: []gradescopeTest{},
	}
	for i, s := range r.Stages {
		for j, t := range s.Tests {
			out.Tests = append(out.Tests, gradescopeTest{
				Name: s.Stage.ID + " " + t.Test, NameFormat: "text", Number: fmt.Sprintf("%d.%d", i+1, j+1),
				Score: float64(t.Points), MaxScore: float64(t.MaxPoints), Status: gradescopeStatus(t),
				Output: gradescopeTestOutput(t), OutputFormat: "text", Visibility: gradescopeVisibility(s),
				Tags: []string{s.Stage.ID, string(t.Outcome)},
			})
		}
	}
	return encode(w, out)
}

func gradescopeStatus(t grade.TestResult) string {
	if t.Outcome == grade.Passed {
		return "passed"
	}
	return "failed"
}

func gradescopeVisibility(s grade.StageResult) string {
	if s.Hidden {
		return "hidden"
	}
	return "visible"
}

// gradescopeOutput is what stands above the tests. Notices are for staff and stay out.
func gradescopeOutput(r *grade.Report) string {
	var b strings.Builder
	if r.Interrupted {
		b.WriteString("The run was interrupted; tests that did not run earned nothing.\n")
	}
	for _, s := range r.Stages {
		if s.BuildError != "" && !s.Hidden {
			fmt.Fprintf(&b, "Stage %s does not compile:\n%s\n", s.Stage.ID, s.BuildError)
		}
		if s.Hang != "" && !s.Hidden {
			fmt.Fprintf(&b, "Stage %s never gets to a test:\n%s\n", s.Stage.ID, s.Hang)
		}
	}
	return b.String()
}

func gradescopeTestOutput(t grade.TestResult) string {
	if t.Outcome == grade.Passed {
		return ""
	}
	text := t.Message
	if t.Replay != "" {
		text += "\nRun it again: " + t.Replay
	}
	return text
}
