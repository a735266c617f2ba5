// What is not written yet: found in the sources, so it is known without a test that runs into it.

package grade

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"tinykv/labs/course"
)

// Unwritten lists the holes of a stage that are still as they were handed out, in the order of the table:
// "snapshot.Get in kv/engine/badger/read.go". The reference has none.
func Unwritten(root string, s course.Stage) []string {
	var all []string
	sources := map[string]string{}
	for _, h := range s.Holes {
		source, read := sources[h.File]
		if !read {
			// one that can't be read won't compile either
			content, _ := os.ReadFile(filepath.Join(root, filepath.FromSlash(h.File)))
			source = string(content)
			sources[h.File] = source
		}
		for _, name := range panicsIn(source, s.ID) {
			if h.Func == "" || h.Func == name {
				all = append(all, course.Hole{File: h.File, Func: name}.String())
			}
		}
	}
	return all
}

var panicCall = regexp.MustCompile(`(?m)^\s*panic\(("[^"\n]*")\)`)

// panicsIn returns the names in the panics of a stage's holes.
func panicsIn(source, stage string) []string {
	var names []string
	for _, m := range panicCall.FindAllStringSubmatch(source, -1) {
		text, err := strconv.Unquote(m[1])
		if err != nil {
			continue
		}
		if id, name, ok := course.ParsePanicText(text); ok && id == stage {
			names = append(names, name)
		}
	}
	return names
}
