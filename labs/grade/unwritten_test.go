// Holes are found in the sources, whether a test meets them or not.

package grade_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tinykv/labs/course"
	"tinykv/labs/grade"
)

func TestUnwrittenHolesAreFoundInTheSources(t *testing.T) {
	root := t.TempDir()
	source := "package p\n\nfunc A() {\n\tpanic(\"9a: A is yours to write\")\n}\n\n" +
		"func (b *B) C() {\n\tpanic(\"9a: B.C is yours to write\")\n}\n\n" +
		"// panic(\"9a: D is yours to write\") was here.\nfunc D() {}\n\n" +
		"func E() {\n\tpanic(\"9b: E is yours to write\")\n}\n"
	if err := os.WriteFile(filepath.Join(root, "p.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	hole := func(names ...string) (holes []course.Hole) {
		for _, name := range names {
			holes = append(holes, course.Hole{File: "p.go", Func: name})
		}
		return append(holes, course.Hole{File: "missing.go", Func: "F"})
	}
	for _, c := range []struct{ holes, want []string }{
		{[]string{"B.C", "A", "D", "E"}, []string{"B.C in p.go", "A in p.go"}},
		{[]string{""}, []string{"A in p.go", "B.C in p.go"}},
		{nil, nil},
	} {
		if got := grade.Unwritten(root, course.Stage{ID: "9a", Holes: hole(c.holes...)}); !slices.Equal(got, c.want) {
			t.Errorf("holes %q: not written %q, want %q", c.holes, got, c.want)
		}
	}
}
