// The table as a whole, seen through a client of our own beside the benchmark's.

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tikv/client-go/v2/rawkv"
)

// A row's key is the table's name, a colon and the row's name.
const (
	tablePrefix = "usertable:"
	tableEnd    = "usertable;" // the colon's successor
)

type table struct {
	client *rawkv.Client
}

func openTable(ctx context.Context, scheduler string) (*table, error) {
	client, err := rawkv.NewClientWithOpts(ctx, []string{scheduler})
	if err != nil {
		return nil, fmt.Errorf("connect a client to %s: %w", scheduler, err)
	}
	return &table{client: client}, nil
}

func (t *table) close() { t.client.Close() }

// empty removes all rows.
func (t *table) empty(ctx context.Context) error {
	if err := t.client.DeleteRange(ctx, []byte(tablePrefix), []byte(tableEnd)); err != nil {
		return fmt.Errorf("empty the table: %w", err)
	}
	return nil
}

// verify compares the rows that exist with those that must.
func (t *table) verify(ctx context.Context, m *model) error {
	found := 0
	start := []byte(tablePrefix)
	for {
		keys, _, err := t.client.Scan(ctx, start, []byte(tableEnd), rawkv.MaxRawKVScanLimit, rawkv.ScanKeyOnly())
		if err != nil {
			return fmt.Errorf("scan the whole table: %w", err)
		}
		for _, key := range keys {
			if row := strings.TrimPrefix(string(key), tablePrefix); !m.has(row) {
				return fmt.Errorf("the table has a row %s that nobody inserted", row)
			}
		}
		found += len(keys)
		if len(keys) < rawkv.MaxRawKVScanLimit {
			break
		}
		start = append(keys[len(keys)-1], 0)
	}
	if found != m.len() {
		return fmt.Errorf("the table has %d rows, but %d were acknowledged", found, m.len())
	}
	return nil
}
