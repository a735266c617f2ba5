// start, solution, catchup and overlay as a person types them, one after the other in one workspace of the real course.

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
	"tinykv/labs/overlay"
)

// typed runs a command with the words and answers that a person types, and returns what it printed.
func typed(t *testing.T, command *cobra.Command, answers string, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command.SetArgs(words)
	command.SetIn(strings.NewReader(answers))
	command.SetOut(&out)
	command.SetErr(&out)
	command.SilenceUsage, command.SilenceErrors = true, true
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func snapshot(t *testing.T) overlay.Files {
	t.Helper()
	files, err := overlay.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestALearnersDay(t *testing.T) {
	stages := course.Stages()
	first, last := stages[0], stages[len(stages)-1]
	dir := filepath.Join(t.TempDir(), "my-tinykv")

	for _, wrong := range [][]string{{}, {"--dir", dir, "--from", "9z"}, {"--dir", "."}, {"--dir", dir, "1a"}} {
		if out, err := typed(t, startCommand(), "", wrong...); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("start %v: error %v, want one line\n%s", wrong, err, out)
		}
	}
	out, err := typed(t, startCommand(), "", "--dir", dir, "--from", first.ID[:1])
	if err != nil || !strings.Contains(out, "make project"+first.ID) || !strings.Contains(out, first.Handout) {
		t.Fatalf("start: %v\n%s", err, out)
	}
	t.Chdir(dir)
	begin := snapshot(t)

	if out, err := typed(t, solutionCommand(), "", "--show", first.ID, first.Holes[0].Func); err != nil ||
		!strings.Contains(out, "// "+first.Holes[0].File) || strings.Contains(out, "is yours to write") {
		t.Errorf("solution --show: %v\n%s", err, out)
	}
	for _, answer := range []string{"", "\n", "n\n", "yess\n"} {
		out, err := typed(t, solutionCommand(), answer, first.ID)
		if err == nil || !strings.Contains(out, first.Holes[0].File) {
			t.Errorf("the answer %q was taken for a yes: %v\n%s", answer, err, out)
		}
	}
	if changed := snapshot(t).Changes(begin); len(changed) > 0 {
		t.Errorf("without a yes, %v changed", changed.Paths())
	}

	if len(stages) > 1 {
		out, err := typed(t, catchupCommand(), "", last.ID)
		if err != nil || !strings.Contains(out, "From the reference from now on: "+first.ID) {
			t.Errorf("catchup: %v\n%s", err, out)
		}
		checkOverlay(t, first.Holes[0].File)
		out, err = typed(t, statusCommand(), "")
		if err != nil || !strings.Contains(out, "from the reference") || strings.Contains(out, "written yet in "+first.ID) ||
			!strings.Contains(out, "next: go run ./labs test "+last.ID) {
			t.Errorf("status after catchup: %v\n%s", err, out)
		}
		if changed := snapshot(t).Changes(begin); len(changed) > 0 {
			t.Errorf("catching up touched %v", changed.Paths())
		}
	}
	for _, wrong := range [][]string{{}, {"9z"}, {first.ID, "--off"}} {
		if out, err := typed(t, catchupCommand(), "", wrong...); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("catchup %v: error %v, want one line\n%s", wrong, err, out)
		}
	}
	if out, err := typed(t, catchupCommand(), "", "--off"); err != nil {
		t.Errorf("catchup --off: %v\n%s", err, out)
	}
	checkOverlay(t, "")

	if len(stages) > 1 { // a yes for the first stage alone
		out, err := typed(t, solutionCommand(), "y\nn\n", first.ID[:1])
		if err == nil || strings.Count(out, "[y/N]") != 2 || !strings.Contains(out, "Done.") {
			t.Errorf("a yes and a no: %v\n%s", err, out)
		}
		if err := begin.WriteTo("."); err != nil {
			t.Fatal(err)
		}
	}
	out, err = typed(t, solutionCommand(), "y\n", first.ID)
	if err != nil || !strings.Contains(out, ".labs/backup/"+first.ID+"-2") {
		t.Errorf("solution: %v\n%s", err, out)
	}
	text, err := os.ReadFile(first.Holes[0].File)
	if err != nil || bytes.Contains(text, []byte(course.PanicText(first.ID, first.Holes[0].Func))) {
		t.Errorf("%s is not solved: %v", first.Holes[0].File, err)
	}
	if out, err := typed(t, solutionCommand(), "", "--yes", first.ID); err != nil || !strings.Contains(out, "already") {
		t.Errorf("a second solution: %v\n%s", err, out)
	}
}

// checkOverlay asks for the overlay and holds that it replaces the file, or nothing.
func checkOverlay(t *testing.T, file string) {
	t.Helper()
	out, err := typed(t, overlayCommand(), "")
	if err != nil {
		t.Fatal(err, out)
	}
	text, err := os.ReadFile(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	found := false
	for path := range parsed.Replace {
		found = found || strings.HasSuffix(filepath.ToSlash(path), file)
	}
	if found != (file != "") || file == "" && len(parsed.Replace) > 0 {
		t.Errorf("the overlay replaces %v", parsed.Replace)
	}
}
