// Mount: Files as the go command wants them, replacements in a temporary directory and a JSON file that names them.

package overlay

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"tinykv/labs/scratch"
)

// Mounted is a set of changes that the go command can build with, until it is closed.
type Mounted struct {
	JSON    string   // path of the overlay file
	NewDirs []string // directories that only the overlay has: go test -c works there, go vet and go test do not

	remove func() error
	origin *regexp.Regexp
}

// Mount lays changes over the tree at root. Run the go command in root, as it was given here: an overlay goes by the
// names of files, so another name of the same directory would miss it. Close removes what was written.
func Mount(root string, changes Files) (*Mounted, error) {
	dir, err := scratch.Make("overlay")
	if err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	m, err := MountIn(filepath.Join(dir.Path, filepath.Base(dir.Path)), root, changes)
	if err != nil {
		dir.Remove()
		return nil, err
	}
	m.remove = dir.Remove
	return m, nil
}

// MountIn is Mount into a directory that the caller provides, which is emptied first and which Close removes.
func MountIn(dir, root string, changes Files) (*Mounted, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	m := &Mounted{
		JSON:   filepath.Join(dir, "overlay.json"),
		remove: func() error { return os.RemoveAll(dir) },
		// The go command prints a name relative to where it runs if that is shorter: the last part of dir is in either.
		origin: regexp.MustCompile(`[^\s:"]*` + regexp.QuoteMeta(filepath.Base(dir)+string(filepath.Separator)+"tree"+
			string(filepath.Separator))),
	}
	replace := map[string]string{}
	present := Files{}
	for p, content := range changes {
		if !fs.ValidPath(p) {
			return nil, fmt.Errorf("mount an overlay: %q is not a path inside a tree", p)
		}
		at := filepath.Join(root, filepath.FromSlash(p))
		replace[at] = "" // the go command's way to say that the file is deleted
		if content != nil {
			replace[at] = filepath.Join(dir, "tree", filepath.FromSlash(p))
			present[p] = content
			m.noteNewDir(root, path.Dir(p))
		}
	}
	slices.Sort(m.NewDirs)
	if err := present.WriteTo(filepath.Join(dir, "tree")); err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	if err := os.WriteFile(m.JSON, text, 0o644); err != nil {
		return nil, fmt.Errorf("mount an overlay: %w", err)
	}
	return m, nil
}

func (m *Mounted) noteNewDir(root, dir string) {
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); err != nil && !slices.Contains(m.NewDirs, dir) {
		m.NewDirs = append(m.NewDirs, dir)
	}
}

// Flag is the flag for go build, go test and go vet.
func (m *Mounted) Flag() string { return "-overlay=" + m.JSON }

// Origin rewrites what the go command printed, so that it names files by their path in the tree and not the
// temporary copies.
func (m *Mounted) Origin(output string) string { return m.origin.ReplaceAllString(output, "") }

// Close removes everything that Mount wrote.
func (m *Mounted) Close() error { return m.remove() }
