// Seeds: where randomness comes from, and the command that brings it back.

package explain

import (
	"flag"
	"fmt"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "run the seeded tests with this one seed only; 0 runs the seeds of the course")

// Seeds are what a seeded test runs: 1 to n, or only the one that was given by -seed.
func Seeds(n int) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	var s []uint64
	for i := 1; i <= n; i++ {
		s = append(s, uint64(i))
	}
	return s
}

// Replay is the note that ends the failure of a seeded test. stage is the name of the directory under labs/tests.
func Replay(t testing.TB, stage string, seed uint64) string {
	return fmt.Sprintf("replay: go test ./labs/tests/%s -count=1 -run '^%s$' -seed=%d", stage, t.Name(), seed)
}
