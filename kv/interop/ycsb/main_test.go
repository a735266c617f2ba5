// The benchmark as a test: not how fast, but that every operation of it is right.

package main

import (
	"flag"
	"os"
	"testing"

	"github.com/pingcap/log"
	"go.uber.org/zap"
)

var operations = flag.Int("operations", 20_000, "operations of each workload; a tenth of it for E")

func TestWorkloadsOnAHundredThousandRecords(t *testing.T) {
	s := settings{engine: "pebble", records: 100_000, operations: *operations, threads: 64, workloads: "abcdef"}
	if testing.Short() {
		s.records, s.operations = 2000, 2000
	}
	log.ReplaceGlobals(zap.NewNop(), &log.ZapProperties{}) // the client's own log
	if err := run(t.Context(), s, os.Stdout); err != nil {
		t.Fatal(err)
	}
}
