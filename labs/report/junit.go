// JUnit's XML, which every CI system draws. Points are properties, since JUnit knows only passed and failed.

package report

import (
	"encoding/xml"
	"io"
	"strconv"

	"tinykv/labs/grade"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class      string          `xml:"classname,attr"`
	Name       string          `xml:"name,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Failure    *junitProblem   `xml:"failure"`
	Error      *junitProblem   `xml:"error"`
	Skipped    *junitProblem   `xml:"skipped"`
	Output     string          `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit's XML: a suite per stage, a case per test, with the properties points and
// max_points on both. A test that failed, is not written yet or timed out is a failure; one that crashed, never
// began or was not built an error; one that was not run is skipped. The only error is w's.
func JUnit(w io.Writer, r *grade.Report) error {
	out := junitSuites{Time: junitSeconds(seconds(r.Duration))}
	for _, s := range r.Stages {
		suite := junitSuite{
			Name: s.Stage.ID, Time: junitSeconds(seconds(s.Duration())), Properties: junitPoints(s.Points(), s.MaxPoints()),
		}
		for _, t := range s.Tests {
			c := junitCase{
				Class: "labs." + s.Stage.ID, Name: t.Test, Time: junitSeconds(seconds(t.Duration)),
				Properties: junitPoints(t.Points, t.MaxPoints), Output: t.Output,
			}
			problem := &junitProblem{Message: t.Message, Type: string(t.Outcome), Text: t.Message}
			suite.Tests++
			switch t.Outcome {
			case grade.Passed:
			case grade.NotRun:
				suite.Skipped++
				c.Skipped = &junitProblem{Message: t.Message}
			case grade.Crashed, grade.NeverBegan:
				suite.Errors++
				c.Error = problem
			case grade.NotBuilt:
				suite.Errors++
				problem.Text = s.BuildError
				c.Error = problem
			default:
				suite.Failures++
				c.Failure = problem
			}
			suite.Cases = append(suite.Cases, c)
		}
		out.Tests += suite.Tests
		out.Failures += suite.Failures
		out.Errors += suite.Errors
		out.Skipped += suite.Skipped
		out.Suites = append(out.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitPoints(points, maximum int) []junitProperty {
	return []junitProperty{{"points", strconv.Itoa(points)}, {"max_points", strconv.Itoa(maximum)}}
}

func junitSeconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }
