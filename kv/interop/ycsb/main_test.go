// The benchmark as a test: not how fast, but that every operation of it is right. For more of them:
//
//	go test ./ycsb -operations 100000

package main

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/pingcap/log"
	"go.uber.org/zap"
)

// limit is how long one run may take: many times what it needs, so that a loaded machine does not fail it.
const limit = 6 * time.Minute

var operations = flag.Int("operations", 10_000, "operations of each workload on pebble; a tenth of it for E")

func TestWorkloadsOnAHundredThousandRecords(t *testing.T) {
	s := settings{engine: "pebble", stores: 1, records: 100_000, operations: *operations, threads: 64, workloads: "abcdef"}
	if testing.Short() {
		s.records, s.operations = 2000, 2000
	}
	runWorkloads(t, s)
}

func TestWorkloadsOnBadger(t *testing.T) {
	runWorkloads(t, settings{engine: "badger", stores: 1, records: 10_000, operations: 2000, threads: 32, workloads: "abcdef"})
}

func TestWorkloadsOnThreeStores(t *testing.T) {
	runWorkloads(t, settings{engine: "pebble", stores: 3, records: 5000, operations: 2000, threads: 32, workloads: "abcdef"})
}

func runWorkloads(t *testing.T, s settings) {
	t.Helper()
	log.ReplaceGlobals(zap.NewNop(), &log.ZapProperties{}) // the client's own log
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := run(ctx, s, os.Stdout); err != nil {
		t.Fatal(err)
	}
}
