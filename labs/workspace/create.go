// Create: lay out a workspace.

package workspace

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
	"tinykv/labs/starter"
)

//go:embed template
var templates embed.FS

// Files returns what a workspace that begins at the stage consists of, the archive and the record included: the
// reference with holes from that stage on, without what is not handed out, and with the learner's own Makefile and
// README.
func Files(reference overlay.Files, stages []course.Stage, from string) (overlay.Files, error) {
	hollow := course.From(stages, from)
	if len(hollow) == 0 {
		return nil, fmt.Errorf("there is no stage %q to begin with", from)
	}
	changes, err := starter.Hollow(reference, starter.Holes(hollow))
	if err != nil {
		return nil, err
	}
	files := overlay.Files{}
	for name, content := range changes.Over(reference) {
		if content != nil && handedOut(name) {
			files[name] = content
		}
	}
	if files[referenceFile], err = pack(reference); err != nil {
		return nil, err
	}
	files[recordFile] = fmt.Appendf(nil, "{\n  \"format\": %d,\n  \"from\": %q\n}\n", format, from)
	// The template of .gitignore has another name, so that it does not count in the clone.
	own := map[string]string{"Makefile": "Makefile", "README.md": "README.md", "gitignore": ".gitignore"}
	for name, file := range own {
		if files[file], err = render("template/"+name, hollow); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// render fills in a template.
func render(name string, hollow []course.Stage) ([]byte, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		First, Second course.Stage // the same, if there is only one
		Stages        []course.Stage
	}{hollow[0], hollow[min(1, len(hollow)-1)], hollow})
	return out.Bytes(), err
}

// Create lays out a workspace in dir that begins at the stage, and says on tell what it does. Dir must be empty or
// not exist, and lie outside the clone. If Create fails, dir is as it was.
func (s *Space) Create(ctx context.Context, dir, from string, tell func(format string, args ...any)) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("lay out a workspace: %w", err)
	}
	existed, err := s.checkTarget(dir)
	if err != nil {
		return fmt.Errorf("lay out a workspace: %w", err)
	}
	reference, err := s.Reference()
	if err != nil {
		return err
	}
	files, err := Files(reference, s.stages, from)
	if err != nil {
		return fmt.Errorf("lay out a workspace: %w", err)
	}
	defer func() {
		if err != nil {
			clean(dir, existed)
		}
	}()
	tell("writing %d files to %s", len(files), dir)
	if err := files.WriteTo(dir); err != nil {
		return fmt.Errorf("lay out a workspace: %w: choose a directory that you may write to", err)
	}
	if err := download(ctx, dir, tell); err != nil {
		return err
	}
	return commit(ctx, dir, from, tell)
}

// checkTarget refuses a directory that is not fit to become a workspace, and tells whether it exists.
func (s *Space) checkTarget(dir string) (existed bool, err error) {
	if inside(dir, s.Root) {
		return false, fmt.Errorf("%s lies inside %s: choose a directory beside it, such as ../my-tinykv", dir, s.Root)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: choose a directory that is empty or does not exist", err)
	case len(entries) > 0:
		return true, fmt.Errorf("%s is not empty (%s is there): choose a directory that is empty or does not exist",
			dir, entries[0].Name())
	}
	return true, nil
}

// clean removes what an unfinished Create left.
func clean(dir string, existed bool) {
	if !existed {
		os.RemoveAll(dir)
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}

// download makes sure that each module that the workspace builds with is in the module cache.
func download(ctx context.Context, dir string, tell func(string, ...any)) error {
	list := func(env ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-f", "{{.ImportPath}}", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), env...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		return stderr.Bytes(), err
	}
	if _, err := list("GOPROXY=off", "GOFLAGS=-mod=readonly"); err == nil {
		tell("all modules are on this machine: from here on no network is needed")
		return nil
	}
	tell("downloading the modules that it needs, so that it works without a network later")
	if message, err := list("GOFLAGS=-mod=readonly"); err != nil {
		return fmt.Errorf("download the modules of the workspace (this once needs a network): %w\n%s", err,
			strings.TrimSpace(string(message)))
	}
	return nil
}

// commit makes the workspace a git repository with one commit. Without git that is left out, and said.
func commit(ctx context.Context, dir, from string, tell func(string, ...any)) error {
	if _, err := exec.LookPath("git"); err != nil {
		tell("git is not installed, so the workspace is no repository: git diff will not show your work")
		return nil
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"add", "-A"},
		// A name of its own, no signature, no hooks: it works whatever the person's configuration is.
		{
			"-c", "user.name=TinyKV", "-c", "user.email=course@tinykv.invalid",
			"-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null",
			"commit", "-q", "-m", "The starter of the TinyKV course, from stage " + from,
		},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		cmd.Env = withoutGit(os.Environ())
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("make the workspace a git repository: git %s: %w\n%s", args[len(args)-1], err, output)
		}
	}
	return nil
}

// withoutGit drops the variables that would point git at another repository: those that a hook sets.
func withoutGit(env []string) []string {
	var kept []string
	for _, e := range env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR":
		default:
			kept = append(kept, e)
		}
	}
	return kept
}
