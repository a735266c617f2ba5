// Building a stage's tests: one test binary, with a guard that proves that a run came to its end.

package grade

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tinykv/labs/course"
	"tinykv/labs/overlay"
)

const (
	buildTimeout      = 15 * time.Minute // a cold cache on a slow machine; longer than that it hangs
	buildMessageBytes = 8 << 10          // what is kept of the compiler's messages
	buildWaitDelay    = time.Second      // how long output may trickle in after the go command ended
	guardFile         = "zz_labs_guard_test.go"
	nonceBytes        = 16
	ldflags           = "-ldflags=-w" // no debug information: half the time to link, and stack traces need none
	noCacheExplained  = "the go command has no place for its caches: %s: " +
		"set HOME, or GOCACHE and GOMODCACHE, to a directory that you may write to"
	missingGoExplained = "run the go command: %w: put the go command into PATH (https://go.dev/doc/install)"
)

// binary is the compiled tests of one stage.
type binary struct {
	path  string
	dir   string // where its tests run: the directory of their sources, as go test does it
	nonce string // what the guard prints; made anew for each build, so that nobody can know it beforehand
	sum   [sha256.Size]byte
	tests map[string]bool // the test functions that its sources declare
	place place
}

// unchanged says that the file is still what was built.
func (b *binary) unchanged() bool {
	sum, err := sumFile(b.path)
	return err == nil && sum == b.sum
}

// compile builds the tests of a stage into the file out. buildErr is what the learner's code (or tests) did wrong, in
// the compiler's words; err is trouble of the grader itself.
func compile(ctx context.Context, opts Options, s *stageRun, out string) (b *binary, buildErr string, err error) {
	dir := filepath.Join(opts.Root, filepath.FromSlash(s.TestDir))
	sources, err := readTestSources(opts.Root, s.TestDir, s.changes)
	if err != nil {
		return nil, trimBuildMessage(err.Error(), opts.Root), nil
	}
	if s.NeedsC {
		if problem := missingC(ctx, opts); problem != "" {
			return nil, problem, nil
		}
	}
	nonce, err := newNonce()
	if err != nil {
		return nil, "", err
	}
	mounted, err := mount(opts, sources, s, nonce, out)
	if err != nil {
		return nil, "", err
	}
	defer mounted.Close()
	args := []string{"test", "-c", "-trimpath", "-vet=off", "-mod=readonly", ldflags, mounted.Flag(), "-o", out}
	if opts.Race {
		args = append(args, "-race")
	}
	message, err := goCommand(ctx, opts, append(args, "./"+s.TestDir))
	if err != nil || message != "" {
		return nil, trimBuildMessage(mounted.Origin(message), opts.Root), err
	}
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Dir(out) // the tests are in the overlay only
	}
	sum, err := sumFile(out)
	if err != nil {
		return nil, "", fmt.Errorf("read the test binary just built: %w", err)
	}
	return &binary{
		path: out, dir: dir, nonce: nonce, sum: sum, tests: sources.tests,
		place: newPlace(opts, s.Stage, sources),
	}, "", nil
}

// missingC says what to do if there is no C compiler, or cgo is switched off.
func missingC(ctx context.Context, opts Options) string {
	cmd := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED", "CC")
	cmd.Dir, cmd.Env = opts.Root, buildEnv(opts)
	out, err := cmd.Output()
	if err != nil {
		return "" // the build will say what is wrong
	}
	enabled, compiler, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	switch words := strings.Fields(compiler); {
	case enabled != "1":
		return "this stage needs cgo, which is switched off or has no C compiler: install gcc or clang, and unset CGO_ENABLED"
	case len(words) == 0:
		return ""
	default:
		if _, err := exec.LookPath(words[0]); err != nil {
			return fmt.Sprintf("this stage needs a C compiler, and %s is not there: install gcc or clang", words[0])
		}
		return ""
	}
}

// buildEnv is the environment of the go command. A go.work above the tree, flags of the user's environment: nothing
// outside the tree has a say in what is built. PWD keeps the root's name as it was given, by which the overlay goes,
// where a symbolic link leads to it.
func buildEnv(opts Options) []string {
	return append(append(os.Environ(), "GOWORK=off", "GOFLAGS=", "PWD="+opts.Root), opts.Env...)
}

// goCommand runs go in the root of the tree. message is what it said if it failed.
func goCommand(ctx context.Context, opts Options, args []string) (message string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, buildTimeout, errBuildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = opts.Root, buildEnv(opts)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = buildWaitDelay
	ownGroup(cmd)
	err = cmd.Run()
	if cmd.Process != nil {
		killGroup(cmd.Process)
	}
	switch {
	case context.Cause(ctx) == errBuildTimeout:
		return fmt.Sprintf("the build took longer than %v and was stopped", buildTimeout), nil
	case ctx.Err() != nil:
		return "interrupted", nil
	case err == nil:
		return "", nil
	}
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		return "", fmt.Errorf(missingGoExplained, err)
	}
	if output.Len() == 0 {
		return "the go command failed and did not say why", nil
	}
	if trouble := cacheTrouble.FindString(output.String()); trouble != "" {
		return "", fmt.Errorf(noCacheExplained, trouble)
	}
	return output.String(), nil
}

// cacheTrouble is what the go command says if it has no place for what it keeps: nobody's code is to blame.
var cacheTrouble = regexp.MustCompile(`(?m)^.*(?:build cache is (?:required|disabled)|initialize build cache|` +
	`module cache not found|beneath GOMODCACHE|could not create module cache).*$`)

var errBuildTimeout = errors.New("build timeout")

// trimBuildMessage keeps the compiler's messages, with paths as the learner knows them, and bounds them.
func trimBuildMessage(text, root string) string {
	text = strings.ReplaceAll(text, root+string(filepath.Separator), "")
	text = strings.TrimRight(text, "\n")
	if len(text) > buildMessageBytes {
		cut := strings.LastIndexByte(text[:buildMessageBytes], '\n')
		if cut < 0 {
			cut = buildMessageBytes
		}
		text = strings.ToValidUTF8(text[:cut], "") + "\n(more left out)"
	}
	return text
}

// testSources is what the grader reads in a directory of tests before it compiles them.
type testSources struct {
	pkg   string
	files map[string]bool // names of the files
	tests map[string]bool
	// "file.go:12" of calls that only log, so that their output is not taken for the reason of a failure
	logs map[string]bool
}

func newTestSources() *testSources {
	return &testSources{files: map[string]bool{}, tests: map[string]bool{}, logs: map[string]bool{}}
}

// readTestSources parses the test files of a directory, as the overlay has them. It refuses a TestMain: the guard is
// the only one.
func readTestSources(root, dir string, changes overlay.Files) (*testSources, error) {
	files := overlay.Files{}
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
	for _, e := range entries {
		if !isTestFile(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(dir), e.Name()))
		if err != nil {
			return nil, fmt.Errorf("the tests can't be read: %w", err)
		}
		files[e.Name()] = append([]byte{}, content...)
	}
	for p, content := range changes {
		if name := path.Base(p); path.Dir(p) == dir && isTestFile(name) {
			files[name] = content
		}
	}
	s := newTestSources()
	for _, name := range files.Paths() {
		if files.Has(name) {
			if err := s.add(path.Join(dir, name), files[name]); err != nil {
				return nil, err
			}
		}
	}
	if s.pkg == "" {
		return nil, errors.Join(fmt.Errorf("there are no tests in %s", dir), err)
	}
	return s, nil
}

// isTestFile is the go command's rule.
func isTestFile(name string) bool {
	return strings.HasSuffix(name, "_test.go") && name[0] != '.' && name[0] != '_'
}

func (s *testSources) add(name string, content []byte) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, content, 0)
	if err != nil {
		return err
	}
	s.pkg = file.Name.Name
	s.files[path.Base(name)] = true
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		if f.Name.Name == "TestMain" {
			return fmt.Errorf("%s: graded tests can't have a TestMain: the grader adds its own", name)
		}
		if isTestName(f.Name.Name) {
			s.tests[f.Name.Name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Log" || f.Sel.Name == "Logf") {
				s.logs[fmt.Sprintf("%s:%d", path.Base(name), fset.Position(call.Pos()).Line)] = true
			}
		}
		return true
	})
	return nil
}

// isTestName is the go command's rule: "Test" and then anything that does not begin with a lower case letter.
func isTestName(name string) bool {
	rest, ok := strings.CutPrefix(name, "Test")
	first, _ := utf8.DecodeRuneInString(rest)
	return ok && (rest == "" || !unicode.IsLower(first))
}

// The guard is compiled into every test binary. It runs the tests and then prints a word that only this build knows,
// together with the exit status. A process that ends in any other way, or any text that a program prints, is not proof
// of a pass.
const guardSource = `package %s

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	fmt.Printf("\n%%s %%d\n", %q, code)
	os.Exit(code)
}
`

// mount lays the guard over the tree, beside what else is laid over it. The caller closes what it returns.
func mount(opts Options, sources *testSources, s *stageRun, nonce, out string) (*overlay.Mounted, error) {
	guard := overlay.Files{
		path.Join(s.TestDir, guardFile): fmt.Appendf(nil, guardSource, sources.pkg, nonce),
	}
	return overlay.MountIn(out+"_overlay", opts.Root, guard.Over(s.changes))
}

func newNonce() (string, error) {
	raw := make([]byte, nonceBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("draw a random word: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

func sumFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// place is what judge needs to know of the tree to name files as the learner knows them.
type place struct {
	module  string // the module's path, with which file names in stack traces begin
	testDir string
	files   map[string]bool // the names of the test files
	logs    map[string]bool
	holes   map[string]string // by the text of their panic, the file
}

func newPlace(opts Options, stage course.Stage, sources *testSources) place {
	p := place{module: modulePath(opts.Root), testDir: stage.TestDir, files: sources.files, logs: sources.logs,
		holes: map[string]string{}}
	for _, s := range slices.Concat(course.Stages(), opts.Stages) {
		files := map[string]string{}
		for _, h := range s.Holes {
			key := course.PanicText(s.ID, h.Func)
			if other, twice := files[key]; twice && other != h.File {
				files[key] = "" // the same name in two files: only the stack trace can tell
				continue
			}
			files[key] = h.File
		}
		maps.Copy(p.holes, files)
	}
	return p
}

// modulePath reads the path of the module from its go.mod; empty if there is none, which the go command will complain
// about.
func modulePath(root string) string {
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return ""
}
