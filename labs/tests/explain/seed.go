// Seeds: where randomness comes from, and the command that brings it back.

package explain

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
)

// The flags belong to the test binary. Another package of it may have defined them already, with the same meaning.
func init() {
	for name, usage := range map[string]string{
		"seed":  "play this one seed (or, with -seeds, begin with it)",
		"seeds": "play so many seeds; 0: the test's own number",
	} {
		if flag.Lookup(name) == nil {
			flag.Uint64(name, 0, usage)
		}
	}
}

// Seeds are what a seeded test runs: 1 to n, or what the flags -seed and -seeds say.
func Seeds(n int) []uint64 {
	first, count := uint64(1), uint64(n)
	seed, seeds := flagValue("seed"), flagValue("seeds")
	if seed != 0 {
		first, count = seed, 1
	}
	if seeds != 0 {
		count = seeds
	}
	var s []uint64
	for i := range count {
		s = append(s, first+i)
	}
	return s
}

func flagValue(name string) uint64 {
	v, err := strconv.ParseUint(flag.Lookup(name).Value.String(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// Replay is the note that ends the failure of a seeded test: the course's own command, because it completes a workspace
// by what is not written yet. stage is the name of the directory under labs/tests.
func Replay(t testing.TB, stage string, seed uint64) string {
	return fmt.Sprintf("replay: go run ./labs test %s --run %s --seed %d", stage, t.Name(), seed)
}
