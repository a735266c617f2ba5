package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
)

// reader is a store that takes snapshots to their end, and counts the chunks.
type reader struct{ chunks int }

func (*reader) Receive(context.Context, uint64, []replica.Message) {}
func (*reader) Unreachable(context.Context, uint64)                {}

func (r *reader) ReceiveSnapshot(_ context.Context, _ uint64, next func() (snapshot.Chunk, error)) error {
	for {
		_, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.chunks++
	}
}

func TestASnapshotDoesNotTakeTheLastOfADisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		free  uint64
		known bool
		taken int
		says  string
	}{
		{"enough", keptRoom + 100, true, 10, ""},
		{"not enough for all", keptRoom + 5, true, 6, "make room"},
		{"none", 0, true, 0, "only 0 MiB left"},
		{"nobody knows", 0, false, 10, ""},
	} {
		sent, got := 0, &reader{}
		store := roomy{got, func() (uint64, bool) { return c.free - min(c.free, uint64(sent)), c.known }}
		err := store.ReceiveSnapshot(t.Context(), 1, func() (snapshot.Chunk, error) {
			if sent == 10 {
				return nil, io.EOF
			}
			sent++
			return snapshot.Chunk{1}, nil
		})
		if got.chunks != c.taken {
			t.Errorf("%s: %d chunks were taken, want %d", c.name, got.chunks, c.taken)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
