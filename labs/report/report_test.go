// One report, told in every format: each keeps to its schema, and all of them add up to the same.

package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/report"
)

// sample has every outcome, a stage that does not compile, a hidden stage, and text that each format must quote.
func sample() *grade.Report {
	result := func(stage, test string, max int, o grade.Outcome, message string) grade.TestResult {
		r := grade.TestResult{Stage: stage, Test: test, MaxPoints: max, Outcome: o, Message: message,
			Duration: 120 * time.Millisecond, Replay: "go run ./labs test " + stage + " --run " + test,
			PlainReplay: "go test -count=1 -run '^" + test + "$' ./labs/tests/" + stage, Output: message + "\n<&>]]>\x00 “ü”"}
		if o == grade.Passed {
			r.Points = max
		}
		return r
	}
	hole := result("1a", "TestHole", 2, grade.NotWritten, "not written yet: Engine.Write in kv/engine/badger/write.go")
	hole.Holes = []string{"Engine.Write in kv/engine/badger/write.go"}
	failed := result("1a", "TestWrong", 4, grade.Failed, "got <nil> & 3\nwant 4\nat labs/tests/1a/get_test.go:12")
	failed.TestReplays = []string{"go run ./labs test 1a --run TestWrong --seed 7"}
	return &grade.Report{
		Duration: 3 * time.Second, Interrupted: true, Notices: []string{"not used: go.mod"},
		Stages: []grade.StageResult{
			{Stage: course.Stage{ID: "1a", Title: "The engine", Project: 1}, Hang: "at x.go:3",
				Unwritten: []string{"Engine.Get in kv/engine/badger/read.go", "Engine.Write in kv/engine/badger/write.go"},
				Tests: []grade.TestResult{
					result("1a", "TestRight", 5, grade.Passed, ""), failed, hole,
					result("1a", "TestLate", 1, grade.TimedOut, "still running after 10s, so it was stopped"),
					result("1a", "TestBoom", 1, grade.Crashed, "panic: boom"),
					result("1a", "TestAsleep", 0, grade.NeverBegan, "not run: the program hangs before any test begins"),
					result("1a", "TestNever", 3, grade.NotRun, "the run was interrupted before this test's result was known"),
				}},
			{Stage: course.Stage{ID: "1b", Title: "The raw service", Project: 1},
				BuildError: "kv/raw/get.go:3:1: syntax error <here>",
				Tests:      []grade.TestResult{result("1b", "TestGet", 6, grade.NotBuilt, "the stage's tests do not compile")}},
			{Stage: course.Stage{ID: "midterm/1a", Title: "hidden tests of 1a"}, Hidden: true,
				Tests: []grade.TestResult{result("midterm/1a", "TestUnseen", 7, grade.Passed, "")}},
		},
	}
}

func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := report.Schemas.ReadFile("schema/" + name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("tinykv:labs/"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("tinykv:labs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, write func(io.Writer, *grade.Report) error, r *grade.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSONKeepsToItsSchemas(t *testing.T) {
	empty := &grade.Report{}
	for _, c := range []struct {
		schema, required string
		write            func(io.Writer, *grade.Report) error
	}{
		{"report.schema.json", `"outcome"`, report.JSON},
		{"gradescope.schema.json", `"visibility"`, report.Gradescope},
	} {
		s := schema(t, c.schema)
		for _, r := range []*grade.Report{sample(), empty} {
			doc := text(t, c.write, r)
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
			if err == nil {
				err = s.Validate(value)
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", c.schema, err, doc)
			}
		}
		// The schema is worth something: a document with a field of another name is refused.
		broken := strings.Replace(text(t, c.write, sample()), c.required, `"renamed"`, 1)
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(broken))
		if err != nil || s.Validate(value) == nil {
			t.Errorf("%s accepts a document without %s (%v)", c.schema, c.required, err)
		}
	}
}

// junit is the part of JUnit's format that CI systems agree on. Decoding is strict: see checkJUnitNames.
type junit struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Suites   []struct {
		Name       string     `xml:"name,attr"`
		Properties []property `xml:"properties>property"`
		Cases      []struct {
			Name       string     `xml:"name,attr"`
			Properties []property `xml:"properties>property"`
			Failure    *problem   `xml:"failure"`
			Error      *problem   `xml:"error"`
			Skipped    *problem   `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type problem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
}

// junitNames lists, for each element, its parent and the attributes it may have.
var junitNames = map[string]struct {
	parents    []string
	attributes []string
}{
	"testsuites": {[]string{""}, []string{"tests", "failures", "errors", "skipped", "time"}},
	"testsuite":  {[]string{"testsuites"}, []string{"name", "tests", "failures", "errors", "skipped", "time"}},
	"properties": {[]string{"testsuite", "testcase"}, nil},
	"property":   {[]string{"properties"}, []string{"name", "value"}},
	"testcase":   {[]string{"testsuite"}, []string{"classname", "name", "time"}},
	"failure":    {[]string{"testcase"}, []string{"message", "type"}},
	"error":      {[]string{"testcase"}, []string{"message", "type"}},
	"skipped":    {[]string{"testcase"}, []string{"message"}},
	"system-out": {[]string{"testcase"}, nil},
}

// checkJUnitNames refuses every element and attribute that the format does not have, or has elsewhere.
func checkJUnitNames(t *testing.T, doc string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	open := []string{""}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch e := token.(type) {
		case xml.StartElement:
			rule, known := junitNames[e.Name.Local]
			if !known || !slices.Contains(rule.parents, open[len(open)-1]) {
				t.Errorf("element %s in %q", e.Name.Local, open[len(open)-1])
			}
			for _, a := range e.Attr {
				if !slices.Contains(rule.attributes, a.Name.Local) {
					t.Errorf("attribute %s of %s", a.Name.Local, e.Name.Local)
				}
			}
			open = append(open, e.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

func TestJUnitIsWhatCISystemsRead(t *testing.T) {
	doc := text(t, report.JUnit, sample())
	checkJUnitNames(t, doc)
	var j junit
	if err := xml.Unmarshal([]byte(doc), &j); err != nil {
		t.Fatal(err)
	}
	if j.Tests != 9 || j.Failures != 3 || j.Errors != 3 || j.Skipped != 1 {
		t.Errorf("%d tests, %d failures, %d errors, %d skipped; want 9, 3, 3, 1", j.Tests, j.Failures, j.Errors, j.Skipped)
	}
	wrong := j.Suites[0].Cases[1]
	if wrong.Failure == nil || wrong.Failure.Message != "got <nil> & 3\nwant 4\nat labs/tests/1a/get_test.go:12" {
		t.Errorf("the failure of TestWrong is %+v", wrong.Failure)
	}
	if c := j.Suites[0].Cases[0]; c.Failure != nil || c.Error != nil || c.Skipped != nil {
		t.Errorf("TestRight passed, and has a problem: %+v", c)
	}
}

// TestThePointsAreTheSameEverywhere adds up the points of single tests in each format and reads the sums that it
// states.
func TestThePointsAreTheSameEverywhere(t *testing.T) {
	r := sample()
	sums := map[string][2]float64{}
	var ours struct {
		Points    float64
		MaxPoints float64 `json:"max_points"`
		Stages    []struct {
			Tests []struct {
				Points    float64
				MaxPoints float64 `json:"max_points"`
			}
		}
	}
	decode(t, text(t, report.JSON, r), &ours)
	sums["json, stated"] = [2]float64{ours.Points, ours.MaxPoints}
	sum := [2]float64{}
	for _, s := range ours.Stages {
		for _, test := range s.Tests {
			sum[0], sum[1] = sum[0]+test.Points, sum[1]+test.MaxPoints
		}
	}
	sums["json"] = sum

	var scope struct {
		Score float64
		Tests []struct {
			Score    float64
			MaxScore float64 `json:"max_score"`
		}
	}
	decode(t, text(t, report.Gradescope, r), &scope)
	sum = [2]float64{}
	for _, test := range scope.Tests {
		sum[0], sum[1] = sum[0]+test.Score, sum[1]+test.MaxScore
	}
	sums["gradescope"] = sum
	sums["gradescope, stated"] = [2]float64{scope.Score, sum[1]}

	var j junit
	if err := xml.Unmarshal([]byte(text(t, report.JUnit, r)), &j); err != nil {
		t.Fatal(err)
	}
	suites, cases := [2]float64{}, [2]float64{}
	for _, s := range j.Suites {
		suites = add(t, suites, s.Properties)
		for _, c := range s.Cases {
			cases = add(t, cases, c.Properties)
		}
	}
	sums["junit, suites"], sums["junit, cases"] = suites, cases

	summary := text(t, report.Summary, r)
	for name, pattern := range map[string]string{"board": `all +│ +(\d+)/(\d+)`, "last line": `(\d+) of (\d+) points`} {
		m := regexp.MustCompile(pattern).FindStringSubmatch(summary)
		if m == nil {
			t.Fatalf("no %s in\n%s", name, summary)
		}
		sums[name] = [2]float64{number(t, m[1]), number(t, m[2])}
	}
	for name, got := range sums {
		if want := [2]float64{12, 29}; got != want {
			t.Errorf("%s: %v points, want %v", name, got, want)
		}
	}
}

func decode(t *testing.T, doc string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), into); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
}

func add(t *testing.T, sum [2]float64, properties []property) [2]float64 {
	t.Helper()
	for _, p := range properties {
		switch p.Name {
		case "points":
			sum[0] += number(t, p.Value)
		case "max_points":
			sum[1] += number(t, p.Value)
		}
	}
	return sum
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestGradescopeHidesWhatIsHidden(t *testing.T) {
	var scope struct {
		Output string
		Tests  []struct{ Name, Visibility, Status string }
	}
	r := sample()
	r.Stages[2].BuildError = "secret_test.go:1:1: no"
	decode(t, text(t, report.Gradescope, r), &scope)
	for _, test := range scope.Tests {
		want := "visible"
		if strings.HasPrefix(test.Name, "midterm/") {
			want = "hidden"
		}
		if test.Visibility != want {
			t.Errorf("%s is %s, want %s", test.Name, test.Visibility, want)
		}
	}
	if strings.Contains(scope.Output, "secret") || strings.Contains(scope.Output, "not used") ||
		!strings.Contains(scope.Output, "kv/raw/get.go:3:1: syntax error <here>") {
		t.Errorf("the text above the tests is %q; want the learner's own compile error and nothing for staff", scope.Output)
	}
}
