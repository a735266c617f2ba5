// labs mutants over a corpus of its own: exit, memory of killers, JSON.

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tinykv/labs/course"
	"tinykv/labs/mutant"
)

const sumMutants = `
[[mutant]]
name = "forgets_all"
bug = "always 0"
consequence = "money is lost"
  [[mutant.edit]]
  file = "sum/sum.go"
  old = "return s"
  new = "return 0"

[[mutant]]
name = "from_the_end"
bug = "none that a test could see"
consequence = "none"
  [[mutant.edit]]
  file = "sum/sum.go"
  old = "s += x"
  new = "s = x + s"
`

func TestMutantsAreRunAndTheirKillersRemembered(t *testing.T) {
	here := sumTree(t, sumRight)
	file := filepath.Join(here.Root, "labs/mutants/9a.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(sumMutants), 0o644); err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetErr(&progress)
	run := corpusRun{cmd: cmd, root: here.Root, kind: mutant.Mutants, jobs: 2, killers: readKillers(here.Root)}
	results, err := run.all([]course.Stage{sumStage})
	if err != nil {
		t.Fatal(err)
	}
	if mutant.Good(results) || mutant.Score(results) != "1 of 2 mutants killed, 1 survived" {
		t.Errorf("good %v, %s", mutant.Good(results), mutant.Score(results))
	}
	if !strings.Contains(progress.String(), "forgets_all: killed TestTwo") {
		t.Errorf("progress:\n%s", progress.String())
	}
	run.killers.write(here.Root)
	if got := readKillers(here.Root).of(results[0].Entry); got != "TestTwo" {
		t.Errorf("the killer of forgets_all is remembered as %q, want TestTwo", got)
	}

	out := filepath.Join(t.TempDir(), "mutants.json")
	if err := writeCorpusJSON(out, mutant.Mutants, results); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Good    bool
		Results []struct{ Name, Verdict, Test string }
	}
	data, err := os.ReadFile(out)
	if err != nil || json.Unmarshal(data, &doc) != nil || doc.Good || len(doc.Results) != 2 || doc.Results[0].Test != "TestTwo" {
		t.Errorf("JSON %s (%v)", data, err)
	}

	run.only = "no_such"
	if _, err := run.all([]course.Stage{sumStage}); err == nil || !strings.Contains(err.Error(), "no_such") {
		t.Errorf("--name no_such: %v, want that there is none", err)
	}
}
