// The reference as files: those that git tracks, and those of the archive that a workspace carries.

package workspace

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"tinykv/labs/overlay"
)

// tracked returns the files of the tree at root that git tracks, as they are on disk; all source files if git does
// not know the tree or is not installed.
func tracked(root string) (overlay.Files, error) {
	list := exec.Command("git", "ls-files", "-z", "--cached")
	list.Dir = root
	list.Env = withoutGit(os.Environ())
	output, err := list.Output()
	names := strings.FieldsFunc(string(output), func(r rune) bool { return r == 0 })
	if err != nil || !slices.Contains(names, "go.mod") {
		return overlay.Read(root)
	}
	for _, name := range slices.Clone(names) {
		if module := path.Dir(name); path.Base(name) == "go.mod" && module != "." {
			names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, module+"/") })
		}
	}
	return overlay.ReadFiles(root, names)
}

// pack makes an archive of files: sorted, without times and owners, so that the same files give the same bytes.
func pack(files overlay.Files) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	for _, name := range files.Paths() {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Format: tar.FormatPAX, Name: name, Size: int64(len(files[name])), Mode: 0o644,
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack the reference: %s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, fmt.Errorf("pack the reference: %s: %w", name, err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("pack the reference: %w", err)
	}
	return out.Bytes(), nil
}

// unpack reads an archive that pack made.
func unpack(file string) (overlay.Files, error) {
	damaged := func(err error) error {
		return fmt.Errorf("read the reference: %s is damaged (%w): git checkout %s puts it back",
			file, err, referenceFile)
	}
	packed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the reference: %s is gone: git checkout %s puts it back", file, referenceFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the reference: %w", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, damaged(err)
	}
	files := overlay.Files{}
	archive := tar.NewReader(zip)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged(err)
		}
		if !fs.ValidPath(header.Name) {
			return nil, damaged(fmt.Errorf("it holds the path %q", header.Name))
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, damaged(err)
		}
		files[header.Name] = append([]byte{}, content...)
	}
	if !files.Has("go.mod") {
		return nil, damaged(errors.New("it holds no go.mod"))
	}
	return files, nil
}

// handedOut tells whether a file of the reference is copied into a workspace.
func handedOut(name string) bool {
	for _, dir := range []string{"labs/mutants/", "labs/variants/", ".ci/"} {
		if strings.HasPrefix(name, dir) {
			return false
		}
	}
	// The tests of the course's own machinery show what the course is made of, mutants and solutions among it.
	if strings.HasPrefix(name, "labs/") && !strings.HasPrefix(name, "labs/tests/") {
		return !strings.HasSuffix(name, "_test.go") && !strings.Contains(path.Dir(name)+"/", "/testdata/")
	}
	return true
}

// inside tells whether path lies in dir or is dir, whatever symbolic links lead there. Path need not exist.
func inside(p, dir string) bool {
	rel, err := filepath.Rel(resolved(dir), resolved(p))
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// resolved follows the symbolic links of the part of a path that exists.
func resolved(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	rest := ""
	for dir := abs; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if filepath.Dir(dir) == dir {
			return abs
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}
