// Later: what is laid over a learner's tree when one stage is tested. The stages after it are the reference's, so that
// its tests may use the whole system and speak of this stage alone.

package graft

import (
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

// Later returns what must be laid over the learner's tree when the stage's tests are built: c.Take, and all stages of
// c.Hollow that come after the stage in the table, come from the reference. Packages that the stage's tests do not
// depend on are left alone. Notes and error are those of Over.
func Later(learner overlay.Files, c Course, table []course.Stage, stage course.Stage) (
	changes overlay.Files, notes []string, err error,
) {
	after := course.After(table, stage.ID)
	for _, s := range c.keep() {
		if slices.ContainsFunc(after, func(a course.Stage) bool { return a.ID == s.ID }) {
			c.Take = append(slices.Clone(c.Take), s)
		}
	}
	if len(c.Take) == 0 {
		return overlay.Files{}, nil, nil
	}
	module, err := starter.Module(c.Reference)
	if err != nil {
		return nil, nil, err
	}
	needed := packagesOf(module, stage.TestDir, c.Reference, learner)
	c.Only = func(dir string) bool { return needed[dir] }
	return Over(learner, c)
}

// packagesOf returns the directories of the module's packages that a package depends on, in any of the trees. It reads
// import clauses only, so it works on code that does not compile.
func packagesOf(module, dir string, trees ...overlay.Files) map[string]bool {
	byDir := map[string]map[string]bool{} // the imports of each directory, tests left out but for dir's own
	for _, tree := range trees {
		for name, content := range tree {
			in := path.Dir(name)
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") && in != dir {
				continue
			}
			file, _ := parser.ParseFile(token.NewFileSet(), name, content, parser.ImportsOnly)
			if file == nil {
				continue
			}
			if byDir[in] == nil {
				byDir[in] = map[string]bool{}
			}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if next, ours := strings.CutPrefix(imported, module+"/"); ours {
					byDir[in][next] = true
				}
			}
		}
	}
	needed := map[string]bool{dir: true}
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		for next := range maps.Keys(byDir[queue[0]]) {
			if !needed[next] {
				needed[next] = true
				queue = append(queue, next)
			}
		}
	}
	return needed
}
