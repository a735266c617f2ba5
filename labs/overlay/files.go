// Files: a tree, or changes to one, as a value.

package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Files holds contents by path. Paths are relative to the root of the tree and written with slashes. A nil content
// means that there is no such file: as part of a change, that it is deleted. An empty file is []byte{}. Contents are
// never modified.
type Files map[string][]byte

// Delete records that there is no file at path.
func (f Files) Delete(path string) { f[path] = nil }

// Has tells whether there is a file at path.
func (f Files) Has(path string) bool { return f[path] != nil }

// Paths returns the paths in order, those of deleted files among them.
func (f Files) Paths() []string { return slices.Sorted(maps.Keys(f)) }

// Over returns what results when f is laid over base. Both stay as they are. A deletion stays recorded, so the
// result can be laid over a third tree.
func (f Files) Over(base Files) Files {
	result := maps.Clone(base)
	if result == nil {
		result = Files{}
	}
	maps.Copy(result, f)
	return result
}

// Changes returns what must be laid over base to get f.
func (f Files) Changes(base Files) Files {
	changes := Files{}
	for p, content := range f {
		if old := base[p]; (old == nil) != (content == nil) || !bytes.Equal(old, content) {
			changes[p] = content
		}
	}
	for p, old := range base {
		if _, mentioned := f[p]; !mentioned && old != nil {
			changes.Delete(p)
		}
	}
	return changes
}

// Dir returns the files directly in dir, by their names. "." is the root.
func (f Files) Dir(dir string) Files {
	inDir := Files{}
	for p, content := range f {
		if path.Dir(p) == dir && content != nil {
			inDir[path.Base(p)] = content
		}
	}
	return inDir
}

// Under returns the files below dir at any depth, with their whole paths.
func (f Files) Under(dir string) Files {
	under := Files{}
	for p, content := range f {
		if strings.HasPrefix(p, dir+"/") && content != nil {
			under[p] = content
		}
	}
	return under
}

// WriteTo writes the files below dir, which is made if need be, and removes those that are recorded as deleted. It
// refuses a path that would leave dir.
func (f Files) WriteTo(dir string) error {
	for _, p := range f.Paths() {
		if !fs.ValidPath(p) {
			return fmt.Errorf("write files to %s: %q is not a path inside a tree", dir, p)
		}
		target := filepath.Join(dir, filepath.FromSlash(p))
		if !f.Has(p) {
			if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, f[p], modeOf(f[p])); err != nil {
			return err
		}
	}
	return nil
}

// modeOf makes a script executable; a tree needs no other distinction.
func modeOf(content []byte) fs.FileMode {
	if bytes.HasPrefix(content, []byte("#!")) {
		return 0o755
	}
	return 0o644
}

// Read returns the files of the tree at root, as they are on disk. It leaves out what is no source: hidden
// directories (.git and .labs among them), bin, modules within the module, and all that is neither a regular file
// nor below maxSourceBytes.
func Read(root string) (Files, error) {
	files := Files{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			return skipDir(p, rel, d.Name())
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > maxSourceBytes {
			return ignoreVanished(err)
		}
		content, err := os.ReadFile(p)
		if err == nil {
			files[filepath.ToSlash(rel)] = append([]byte{}, content...)
		}
		return ignoreVanished(err)
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree at %s: %w", root, err)
	}
	return files, nil
}

// ReadFiles returns those of the named files of the tree at root that exist, whatever Read would leave out.
func ReadFiles(root string, names []string) (Files, error) {
	files := Files{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		switch {
		case err == nil:
			files[name] = append([]byte{}, content...)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read the tree at %s: %w", root, err)
		}
	}
	return files, nil
}

// ReadDirs returns the regular files directly in the named directories of the tree at root. A directory that does
// not exist has none.
func ReadDirs(root string, dirs []string) (Files, error) {
	var names []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the tree at %s: %w", root, err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
	}
	return ReadFiles(root, names)
}

// maxSourceBytes tells a source file from a binary that a build left behind.
const maxSourceBytes = 4 << 20

func skipDir(p, rel, name string) error {
	if strings.HasPrefix(name, ".") && name != ".ci" || rel == "bin" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// ignoreVanished forgives that a file went away while the tree was read: editors write through temporary files.
func ignoreVanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
