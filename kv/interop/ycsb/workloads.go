// The workloads of the benchmark, as its paper and its sources define them, and how one is run.

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/magiconair/properties"
	_ "github.com/pingcap/go-ycsb/db/tikv" // registers the database "tikv"
	"github.com/pingcap/go-ycsb/pkg/client"
	"github.com/pingcap/go-ycsb/pkg/measurement"
	"github.com/pingcap/go-ycsb/pkg/prop"
	_ "github.com/pingcap/go-ycsb/pkg/workload" // registers the workload "core"
	"github.com/pingcap/go-ycsb/pkg/ycsb"
)

// A mix is what a workload consists of. The shares add up to 1.
type mix struct {
	name                               string
	read, update, insert, scan, modify float64
	distribution                       string // which rows are asked for: all alike, a few often, or the newest
}

var workloads = map[rune]mix{
	'a': {name: "update heavily", read: 0.5, update: 0.5, distribution: "zipfian"},
	'b': {name: "read mostly", read: 0.95, update: 0.05, distribution: "zipfian"},
	'c': {name: "read only", read: 1, distribution: "zipfian"},
	'd': {name: "read latest", read: 0.95, insert: 0.05, distribution: "latest"},
	'e': {name: "short ranges", scan: 0.95, insert: 0.05, distribution: "zipfian"},
	'f': {name: "read, modify, write", read: 0.5, modify: 0.5, distribution: "zipfian"},
}

// maxScanRows is the length of the longest scan of workload E; the others are spread evenly below.
const maxScanRows = 100

// bench loads the table, runs the workloads one after the other, and checks in the end that the table has exactly the
// rows that were acknowledged.
func bench(ctx context.Context, s settings, out io.Writer) error {
	table, err := openTable(ctx, s.scheduler)
	if err != nil {
		return err
	}
	defer table.close()
	if err := table.empty(ctx); err != nil {
		return err
	}
	model := newModel()
	total := time.Now()
	if err := phase(ctx, s, "load", mix{name: "insert all", insert: 1}, s.records, model, out); err != nil {
		return err
	}
	model.sort()
	for _, letter := range s.workloads {
		operations := s.operations
		if letter == 'e' {
			operations /= 10
		}
		if err := phase(ctx, s, string(letter), workloads[letter], operations, model, out); err != nil {
			return err
		}
	}
	if err := table.verify(ctx, model); err != nil {
		return err
	}
	fmt.Fprintf(out, "all: %.1f s; the table has exactly the %d rows that were acknowledged\n",
		time.Since(total).Seconds(), model.len())
	return nil
}

// phase runs the load or one workload and fails if any operation of it did.
func phase(
	ctx context.Context, s settings, letter string, m mix, operations int, model *model, out io.Writer,
) error {
	p := propertiesOf(s, letter, m, operations)
	measurement.InitMeasure(p)
	workload, err := ycsb.GetWorkloadCreator("core").Create(p)
	if err != nil {
		return fmt.Errorf("make workload %s: %w", letter, err)
	}
	database, err := ycsb.GetDBCreator("tikv").Create(p)
	if err != nil {
		return fmt.Errorf("connect the client to %s: %w", s.scheduler, err)
	}
	defer database.Close()
	checked := &checkedDB{DB: database, model: model}

	start := time.Now()
	client.NewClient(p, workload, client.DbWrapper{DB: checked}).Run(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	fmt.Fprintf(out, "%s (%s): %d operations in %.1f s, %.0f/s\n",
		letter, m.name, operations, seconds, float64(operations)/seconds)
	measurement.Output()
	if err := checked.verdict(m, operations); err != nil {
		return fmt.Errorf("workload %s: %w", letter, err)
	}
	return nil
}

// propertiesOf says the same as a property file and the command line of go-ycsb.
func propertiesOf(s settings, letter string, m mix, operations int) *properties.Properties {
	p := properties.NewProperties()
	set := func(name string, value any) { p.MustSet(name, fmt.Sprint(value)) }
	share := func(name string, value float64) { set(name, strconv.FormatFloat(value, 'f', -1, 64)) }

	set("tikv.pd", s.scheduler)
	set("tikv.type", "raw")
	set("tikv.conncount", 4)
	set(prop.RecordCount, s.records)
	set(prop.ThreadCount, s.threads)
	set(prop.DataIntegrity, true) // values follow from the key, and every read compares them
	set(prop.LogInterval, 24*60*60)
	if letter == "load" {
		set(prop.DoTransactions, false)
		return p
	}
	set(prop.OperationCount, operations)
	share(prop.ReadProportion, m.read)
	share(prop.UpdateProportion, m.update)
	share(prop.InsertProportion, m.insert)
	share(prop.ScanProportion, m.scan)
	share(prop.ReadModifyWriteProportion, m.modify)
	set(prop.RequestDistribution, m.distribution)
	set(prop.MaxScanLength, maxScanRows)
	if m.distribution == "zipfian" {
		// The generator of go-ycsb goes up to and including this number: one row too many, if nothing is inserted.
		set(prop.InsertCount, s.records-1)
	}
	return p
}
