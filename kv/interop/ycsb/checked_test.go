// The checks have to bite: each kind of wrong database is caught, and the right one is not accused.

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pingcap/go-ycsb/pkg/ycsb"
)

// memory is a database that is right unless it is told to be wrong in one way.
type memory struct {
	ycsb.DB // absent: nothing else is called
	rows    map[string]map[string][]byte

	loseRows, loseField, failReads, failWrites, shortScans, unsortedScans, lateScans bool
}

var errBroken = errors.New("broken on purpose")

func (m *memory) Read(_ context.Context, _, key string, _ []string) (map[string][]byte, error) {
	if m.failReads {
		return nil, errBroken
	}
	if m.loseRows {
		return nil, nil
	}
	row := maps.Clone(m.rows[key])
	if m.loseField {
		delete(row, "field3")
	}
	return row, nil
}

func (m *memory) Insert(_ context.Context, _, key string, values map[string][]byte) error {
	if m.failWrites {
		return errBroken
	}
	m.rows[key] = maps.Clone(values)
	return nil
}

func (m *memory) Scan(_ context.Context, _, start string, count int, _ []string) ([]map[string][]byte, error) {
	var rows []map[string][]byte
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if key >= start && len(rows) < count {
			rows = append(rows, m.rows[key])
		}
	}
	if m.lateScans {
		rows = append(rows[1:], rows[len(rows)-1])
	}
	if m.shortScans {
		rows = rows[1:]
	}
	if m.unsortedScans {
		rows[1], rows[2] = rows[2], rows[1]
	}
	return rows, nil
}

// row is what the benchmark inserts: ten fields whose values begin with the key.
func row(key string) map[string][]byte {
	values := map[string][]byte{}
	for i := range 10 {
		values[fmt.Sprintf("field%d", i)] = fmt.Appendf(nil, "%s:field%d", key, i)
	}
	return values
}

// loaded is a checked database with the rows user10 to user29.
func loaded(t *testing.T) (*checkedDB, *memory) {
	t.Helper()
	inner := &memory{rows: map[string]map[string][]byte{}}
	c := &checkedDB{DB: inner, model: newModel()}
	for i := 10; i < 30; i++ {
		key := fmt.Sprintf("user%d", i)
		if err := c.Insert(t.Context(), "t", key, row(key)); err != nil {
			t.Fatal(err)
		}
	}
	c.model.sort()
	return c, inner
}

// oneOfEach does one operation of each kind, 24 in all with the 20 of the load.
func oneOfEach(t *testing.T, c *checkedDB) {
	t.Helper()
	c.Read(t.Context(), "t", "user15", nil)
	c.Update(t.Context(), "t", "user15", map[string][]byte{"field2": []byte("user15:new")})
	c.Scan(t.Context(), "t", "user15", 5, nil)
	c.Scan(t.Context(), "t", "user27", 5, nil) // near the end: three rows are right
}

const ordered = 24

func TestARightDatabaseIsNotAccused(t *testing.T) {
	c, inner := loaded(t)
	oneOfEach(t, c)
	if err := c.verdict(mix{}, ordered); err != nil {
		t.Error(err)
	}
	if got := string(inner.rows["user15"]["field2"]); got != "user15:new" {
		t.Errorf("the updated field has the value %q", got)
	}
	if got := len(inner.rows["user15"]); got != 10 {
		t.Errorf("after the update of one field the row has %d fields", got)
	}
}

func TestEachKindOfWrongDatabaseIsCaught(t *testing.T) {
	for name, test := range map[string]struct {
		sabotage func(*memory)
		want     string
	}{
		"rows_are_lost":          {func(m *memory) { m.loseRows = true }, "inserted with 10 fields and has 0"},
		"a_field_is_lost":        {func(m *memory) { m.loseField = true }, "inserted with 10 fields and has 9"},
		"reads_fail":             {func(m *memory) { m.failReads = true }, "update user15: broken"},
		"writes_fail":            {func(m *memory) { m.failWrites = true }, "update user15: broken"},
		"scans_are_short":        {func(m *memory) { m.shortScans = true }, "got 4 rows, want 5 to 5"},
		"scans_are_not_in_order": {func(m *memory) { m.unsortedScans = true }, `not after "user17"`},
		"scans_begin_too_late":   {func(m *memory) { m.lateScans = true }, "although the start exists"},
	} {
		t.Run(name, func(t *testing.T) {
			c, inner := loaded(t)
			test.sabotage(inner)
			oneOfEach(t, c)
			err := c.verdict(mix{}, ordered)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the verdict %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestOperationsThatNeverHappenedAreCaught(t *testing.T) {
	c, _ := loaded(t)
	oneOfEach(t, c)
	if err := c.verdict(mix{}, ordered+1); err == nil {
		t.Error("one operation was not carried out, and the verdict is nil")
	}
}
