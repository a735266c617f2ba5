// What is checked, beyond what go-ycsb does. The benchmark itself is content with little: its threads go on after an
// error, an update of a row that cannot be read is a success, a read that finds nothing is one, too, and what a scan
// returns is not looked at. Here
//
//   - any error of any operation makes the whole run fail;
//   - a row whose insert was acknowledged is found by every later read, with all its fields; the values are compared
//     by the benchmark (its data integrity mode, which ends the program at the first wrong byte);
//   - a scan returns rows in order, the first where it was asked to start, and none is missing in number;
//   - the number of operations that reached the database is the number that was ordered;
//   - in the end the table has exactly the rows that were acknowledged.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pingcap/go-ycsb/pkg/prop"
	"github.com/pingcap/go-ycsb/pkg/ycsb"
)

// maxErrors is how many failures are kept to be shown.
const maxErrors = 10

// checkedDB stands between the benchmark and its database.
type checkedDB struct {
	ycsb.DB
	model *model

	reads, updates, inserts, scans, failures atomic.Int64

	mu     sync.Mutex
	errors []error // the first few
}

func (c *checkedDB) Read(ctx context.Context, table, key string, fields []string) (map[string][]byte, error) {
	c.reads.Add(1)
	row, err := c.find(ctx, table, key, fields)
	return row, c.note("read", key, err)
}

// find reads a row and checks that it is there with all its fields, if its insert was acknowledged before.
func (c *checkedDB) find(ctx context.Context, table, key string, fields []string) (map[string][]byte, error) {
	known := c.model.has(key)
	row, err := c.DB.Read(ctx, table, key, fields)
	if err == nil && known && len(row) != int(prop.FieldCountDefault) {
		err = fmt.Errorf("the row was inserted with %d fields and has %d", prop.FieldCountDefault, len(row))
	}
	return row, err
}

// Update does what the database's own Update does, a read and a write of the whole row, but reports a failed read.
func (c *checkedDB) Update(ctx context.Context, table, key string, values map[string][]byte) error {
	c.updates.Add(1)
	row, err := c.find(ctx, table, key, nil)
	if err == nil && row == nil {
		err = errors.New("there is no such row")
	}
	if err == nil {
		maps.Copy(row, values)
		err = c.DB.Insert(ctx, table, key, row)
	}
	return c.note("update", key, err)
}

func (c *checkedDB) Insert(ctx context.Context, table, key string, values map[string][]byte) error {
	c.inserts.Add(1)
	err := c.DB.Insert(ctx, table, key, values)
	if err == nil {
		c.model.add(key)
	}
	return c.note("insert", key, err)
}

func (c *checkedDB) Scan(
	ctx context.Context, table, start string, count int, fields []string,
) ([]map[string][]byte, error) {
	c.scans.Add(1)
	rows, err := c.DB.Scan(ctx, table, start, count, fields)
	if err == nil {
		err = c.checkScan(start, count, rows)
	}
	return rows, c.note("scan", start, err)
}

// checkScan looks at keys and numbers. A row tells its key: its values begin with it.
func (c *checkedDB) checkScan(start string, count int, rows []map[string][]byte) error {
	if atLeast := min(count, c.model.loadedFrom(start)); len(rows) < atLeast || len(rows) > count {
		return fmt.Errorf("got %d rows, want %d to %d", len(rows), atLeast, count)
	}
	previous := ""
	for i, row := range rows {
		if len(row) != int(prop.FieldCountDefault) {
			return fmt.Errorf("row %d has %d fields", i, len(row))
		}
		key, _, _ := bytes.Cut(row["field0"], []byte(":"))
		switch {
		case string(key) < start:
			return fmt.Errorf("row %d is %q, before the start", i, key)
		case string(key) <= previous:
			return fmt.Errorf("row %d is %q, not after %q", i, key, previous)
		case i == 0 && string(key) != start && c.model.wasLoaded(start):
			return fmt.Errorf("the first row is %q, although the start exists", key)
		}
		previous = string(key)
	}
	return nil
}

// note counts a failure and keeps the first few.
func (c *checkedDB) note(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	c.failures.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) < maxErrors {
		c.errors = append(c.errors, fmt.Errorf("%s %s: %w", operation, key, err))
	}
	return err
}

// verdict is nil if every operation that was ordered was carried out and succeeded.
func (c *checkedDB) verdict(m mix, operations int) error {
	if n := c.failures.Load(); n > 0 {
		return fmt.Errorf("%d of %d operations failed, among them:\n%w", n, operations, errors.Join(c.errors...))
	}
	done := c.reads.Load() + c.inserts.Load() + c.scans.Load()
	if m.modify == 0 {
		done += c.updates.Load() // an update that follows a read in the same operation counts with the read
	}
	if done != int64(operations) {
		return fmt.Errorf("%d operations were ordered and %d carried out", operations, done)
	}
	return nil
}

// A model knows which rows must exist.
type model struct {
	mu     sync.RWMutex
	rows   map[string]bool // acknowledged
	loaded []string        // those of the load, sorted; does not change after sort
}

func newModel() *model { return &model{rows: map[string]bool{}} }

func (m *model) add(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[key] = true
}

func (m *model) has(key string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.rows[key]
}

func (m *model) len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.rows)
}

// sort ends the load.
func (m *model) sort() {
	m.loaded = slices.Sorted(maps.Keys(m.rows))
}

// loadedFrom counts the loaded rows from a key on.
func (m *model) loadedFrom(start string) int {
	i, _ := slices.BinarySearch(m.loaded, start)
	return len(m.loaded) - i
}

func (m *model) wasLoaded(key string) bool {
	_, found := slices.BinarySearch(m.loaded, key)
	return found
}
