// Edits: small replacements in a file, of which mutants and variants are made. Pristine: the tests as they were
// handed out.

package overlay

import (
	"bytes"
	"fmt"
)

// Edit replaces a text in a file. The text must occur there exactly once.
type Edit struct {
	File string `toml:"file"`
	Old  string `toml:"old"`
	New  string `toml:"new"`
}

// Apply returns the files of tree that the edits change, one edit after the other. An edit whose file does not
// exist, whose text does not occur exactly once, or that changes nothing, is an error that names it.
func Apply(tree Files, edits []Edit) (Files, error) {
	changed := Files{}
	for _, e := range edits {
		content := changed[e.File]
		if content == nil {
			content = tree[e.File]
		}
		if content == nil {
			return nil, fmt.Errorf("edit of %s: there is no such file", e.File)
		}
		if n := bytes.Count(content, []byte(e.Old)); n != 1 || e.Old == "" {
			return nil, fmt.Errorf("edit of %s: the text occurs %d times instead of once: %q",
				e.File, n, firstLine(e.Old))
		}
		if e.Old == e.New {
			return nil, fmt.Errorf("edit of %s: old and new are the same: %q", e.File, firstLine(e.Old))
		}
		changed[e.File] = bytes.Replace(content, []byte(e.Old), []byte(e.New), 1)
	}
	return changed, nil
}

func firstLine(text string) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace([]byte(text)), []byte("\n"))
	return string(line)
}

// Pristine returns what must be laid over a learner's tree so that the files below the given directories are those
// of the reference: edited ones are put back, missing ones appear, added ones are gone.
func Pristine(reference, learner Files, dirs ...string) Files {
	changes := Files{}
	for _, dir := range dirs {
		want := reference.Under(dir)
		have := learner.Under(dir)
		for p, content := range want.Changes(have) {
			changes[p] = content
		}
	}
	return changes
}
