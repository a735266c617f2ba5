// The corpus: wrong and right programs as TOML files.

package mutant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/BurntSushi/toml"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

// Kind says what the entries of a corpus are.
type Kind struct {
	dir  string // where the files are
	noun string // what an entry is called, and its key in the file
}

// The kinds.
var (
	Mutants  = Kind{"labs/mutants", "mutant"}
	Variants = Kind{"labs/variants", "variant"}
)

// Entry is one wrong program, or one right one.
type Entry struct {
	Kind        Kind           `toml:"-"`
	Stage       string         `toml:"-"`
	Name        string         `toml:"name"`
	Bug         string         `toml:"bug"`         // mutant: what is wrong
	Consequence string         `toml:"consequence"` // mutant: what it does to the system
	Survives    string         `toml:"survives"`    // mutant: why no test can see it; empty: one must
	Why         string         `toml:"why"`         // variant: why this is right as well
	Edits       []overlay.Edit `toml:"edit"`
}

var entryName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Load reads the entries of a stage and checks their form. A stage without a file has none. Whether the edits fit is
// seen when they are applied.
func Load(root string, kind Kind, stage course.Stage) ([]Entry, error) {
	name := path.Join(kind.dir, stage.ID+".toml")
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	var corpus map[string][]Entry
	meta, err := toml.Decode(string(data), &corpus)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown key %s", name, unknown[0])
	}
	seen := map[string]bool{}
	for key := range corpus {
		if key != kind.noun {
			return nil, fmt.Errorf("%s: %q instead of [[%s]]", name, key, kind.noun)
		}
	}
	entries := corpus[kind.noun]
	for i := range entries {
		e := &entries[i]
		e.Kind, e.Stage = kind, stage.ID
		if problem := e.check(); problem != "" {
			return nil, fmt.Errorf("%s: %s %d, %q: %s", name, kind.noun, i+1, e.Name, problem)
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("%s: there are two of the name %q", name, e.Name)
		}
		seen[e.Name] = true
	}
	return entries, nil
}

func (e *Entry) check() string {
	switch {
	case !entryName.MatchString(e.Name):
		return "the name is not in snake_case"
	case e.Kind == Mutants && (e.Bug == "" || e.Consequence == ""):
		return "say the bug and its consequence"
	case e.Kind == Mutants && e.Why != "":
		return "why is for variants"
	case e.Kind == Variants && e.Why == "":
		return "say why it is right as well"
	case e.Kind == Variants && (e.Bug != "" || e.Consequence != "" || e.Survives != ""):
		return "bug, consequence and survives are for mutants"
	case len(e.Edits) == 0:
		return "it has no edits"
	}
	return ""
}
