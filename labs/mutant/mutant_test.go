// A corpus with one entry of each kind, run for real; and the checks of its form.

package mutant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"tinykv/labs/course"
	"tinykv/labs/grade"
	"tinykv/labs/mutant"
	"tinykv/labs/overlay"
)

var stage = course.Stage{ID: "9a", Project: 9, TestDir: "labs/tests/9a", Tests: []course.Test{
	{Name: "TestSome", Points: 1}, {Name: "TestNone", Points: 1}}}

func layOut(t *testing.T) string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/tree.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := overlay.Files{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	dir := t.TempDir()
	if err := files.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t *testing.T, root string, kind mutant.Kind) []mutant.Result {
	t.Helper()
	entries, err := mutant.Load(root, kind, stage)
	if err != nil {
		t.Fatal(err)
	}
	results, err := mutant.Run(context.Background(), mutant.Options{Root: root, Stage: stage, Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestEachEntryGetsItsVerdict(t *testing.T) {
	root := layOut(t)
	results := append(run(t, root, mutant.Mutants), run(t, root, mutant.Variants)...)
	for i, want := range []struct {
		name    string
		verdict mutant.Verdict
		test    string
		good    bool
		message string
	}{
		{"smallest", mutant.Killed, "TestSome", true, "largest of 2, 3, 1 is 1"},
		{"negative_is_zero", mutant.Survived, "", false, ""},
		{"spelling", mutant.Survived, "", true, ""},
		{"does_not_fit", mutant.Broken, "", false, "instead of once"},
		{"does_not_compile", mutant.Broken, "", false, "largest/largest.go:11:9: undefined: smallest"},
		{"by_index", mutant.Accepted, "", true, ""},
		{"panics_on_none", mutant.Rejected, "TestNone", false, "index out of range"},
	} {
		got := results[i]
		if got.Entry.Name != want.name || got.Verdict != want.verdict || got.Test != want.test || got.Good() != want.good ||
			!strings.Contains(got.Message, want.message) {
			t.Errorf("%s: %s by %q, good %v, %q\nwant %+v", got.Entry.Name, got.Verdict, got.Test, got.Good(), got.Message, want)
		}
	}
	checkTexts(t, results[:5])
}

// checkTexts looks at what is printed of the mutants' results.
func checkTexts(t *testing.T, results []mutant.Result) {
	t.Helper()
	var table, doc bytes.Buffer
	if err := mutant.Table(&table, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"✗ mutant negative_is_zero of 9a survives: begins with 0", "1 of 4 mutants killed, 1 survived, 2 broken, 1 excused",
		"mutant does_not_compile of 9a is broken",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	if strings.Contains(table.String(), "\x1b") {
		t.Error("the table has colours although it is not written to a terminal")
	}
	if err := mutant.JSON(&doc, mutant.Mutants, results); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Good    bool
		Results []struct{ Name, Verdict string }
	}
	if err := json.Unmarshal(doc.Bytes(), &parsed); err != nil || parsed.Good || len(parsed.Results) != 5 ||
		parsed.Results[0].Verdict != "killed" {
		t.Errorf("JSON %s (%v)", doc.String(), err)
	}
}

// TestAFailingReferenceIsAnError: if the reference fails, every mutant would look killed.
func TestAFailingReferenceIsAnError(t *testing.T) {
	entries := []mutant.Entry{{Kind: mutant.Mutants, Name: "any", Edits: []overlay.Edit{{File: "x"}}}}
	_, err := mutant.Run(context.Background(), mutant.Options{
		Root: t.TempDir(), Stage: stage, Entries: entries,
		Grade: func(context.Context, grade.Options) (*grade.Report, error) {
			return &grade.Report{Stages: []grade.StageResult{{Stage: stage, Tests: []grade.TestResult{
				{Stage: "9a", Test: "TestSome", Outcome: grade.Failed, Message: "no"}}}}}, nil
		},
	})
	if err == nil || !strings.Contains(err.Error(), "the reference itself fails TestSome") {
		t.Errorf("error %v; want that the reference fails", err)
	}
}

// TestAllTestsCanBeRun: with All, every test that kills is named, and those that kill nothing are found.
func TestAllTestsCanBeRun(t *testing.T) {
	root := layOut(t)
	entries := []mutant.Entry{{Kind: mutant.Mutants, Stage: "9a", Name: "wrong", Bug: "b", Consequence: "c",
		Edits: []overlay.Edit{
			{File: "largest/largest.go", Old: "return largest", New: "return largest + 1"}}}}
	for _, all := range []bool{false, true} {
		results, err := mutant.Run(t.Context(), mutant.Options{Root: root, Stage: stage, Entries: entries, All: all})
		if err != nil {
			t.Fatal(err)
		}
		if r := results[0]; r.Verdict != mutant.Killed || r.Test != "TestSome" || (len(r.Others) == 1) != all {
			t.Errorf("all %v: %s by %s and %v", all, r.Verdict, r.Test, r.Others)
		}
		if idle := mutant.Idle(stage, results); (len(idle) == 0) != all {
			t.Errorf("all %v: idle tests %v", all, idle)
		}
	}
}

// TestTheLastKillerRunsFirst saves time; the verdict is the same.
func TestTheLastKillerRunsFirst(t *testing.T) {
	root := layOut(t)
	entries, err := mutant.Load(root, mutant.Mutants, stage)
	if err != nil {
		t.Fatal(err)
	}
	var first []string
	_, err = mutant.Run(context.Background(), mutant.Options{
		Root: root, Stage: stage, Entries: entries[:1],
		LastKill: func(e mutant.Entry) string { return "TestNone" },
		Grade: func(_ context.Context, opts grade.Options) (*grade.Report, error) {
			if opts.First != nil {
				for _, test := range opts.Stages[0].Tests {
					if opts.First("9a", test.Name) {
						first = append(first, test.Name)
					}
				}
			}
			return &grade.Report{}, nil
		},
	})
	if err != nil || len(first) != 1 || first[0] != "TestNone" {
		t.Errorf("tests to run first %v (%v), want TestNone", first, err)
	}
}

func TestTheFormOfTheCorpusIsChecked(t *testing.T) {
	const good = "[[mutant]]\nname = \"a_b\"\nbug = \"b\"\nconsequence = \"c\"\n" +
		"[[mutant.edit]]\nfile = \"f\"\nold = \"o\"\nnew = \"n\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"sound":          {good, ""},
		"wrong key":      {strings.ReplaceAll(good, "mutant", "variant"), "instead of [[mutant]]"},
		"unknown field":  {strings.Replace(good, "bug", "bugs", 1), "unknown key"},
		"no consequence": {strings.Replace(good, "consequence = \"c\"", "", 1), "say the bug and its consequence"},
		"bad name":       {strings.Replace(good, "a_b", "A-b", 1), "snake_case"},
		"no edits":       {good[:strings.Index(good, "[[mutant.edit")], "no edits"},
		"twice":          {good + good, "two of the name"},
		"no toml":        {"[[mutant", "labs/mutants/9a.toml"},
	} {
		root := t.TempDir()
		file := filepath.Join(root, "labs", "mutants", "9a.toml")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := mutant.Load(root, mutant.Mutants, stage)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}
