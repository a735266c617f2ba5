package sim

import (
	"bytes"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestHistories : what a register may do, and what not.
func TestHistories(t *testing.T) {
	put := func(value uint32, began, ended int64) operation { return op(callPut, value, began, ended) }
	get := func(value uint32, began, ended int64) operation { return op(callGet, value, began, ended) }
	remove := func(began, ended int64) operation { return op(callDelete, 0, began, ended) }
	swap := func(old, value uint32, began, ended int64) operation {
		o := op(callSwap, value, began, ended)
		o.swap = &attempt{old: old}
		return o
	}
	const unknown = int64(never)
	for _, h := range []struct {
		name string
		ops  []operation
		want porcupine.CheckResult
	}{
		{"nothing there", []operation{get(0, 0, 1)}, porcupine.Ok},
		{"a value out of nowhere", []operation{get(7, 0, 1)}, porcupine.Illegal},
		{"stale read", []operation{put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)}, porcupine.Illegal},
		{"lost write", []operation{put(1, 0, 1), get(0, 2, 3)}, porcupine.Illegal},
		{"at the same time, either order", []operation{put(1, 0, 9), put(2, 0, 9), get(1, 10, 11)}, porcupine.Ok},
		{"seen, and then not", []operation{put(1, 0, 9), get(1, 1, 2), get(0, 3, 4)}, porcupine.Illegal},
		{"unknown, takes effect late", []operation{put(1, 0, unknown), put(2, 2, 3), get(2, 4, 5), get(1, 6, 7)}, porcupine.Ok},
		{"unknown, takes effect twice", []operation{put(1, 0, unknown), get(1, 2, 3), put(2, 4, 5), get(2, 6, 7),
			get(1, 8, 9)}, porcupine.Illegal},
		{"unknown, never takes effect", []operation{put(1, 0, unknown), put(2, 2, 3), get(2, 4, 5)}, porcupine.Ok},
		{"unknown delete", []operation{put(1, 0, 1), remove(2, unknown), get(1, 3, 4), get(0, 5, 6)}, porcupine.Ok},
		{"delete is seen", []operation{put(1, 0, 1), remove(2, 3), get(1, 4, 5)}, porcupine.Illegal},
		{"swap", []operation{put(1, 0, 1), swap(1, 2, 2, 3), get(2, 4, 5)}, porcupine.Ok},
		{"lost update", []operation{put(1, 0, 1), swap(1, 2, 2, 9), swap(1, 3, 2, 9)}, porcupine.Illegal},
		{"unknown swap that nobody saw", []operation{swap(5, 1, 0, unknown), put(2, 1, 2), get(2, 3, 4)}, porcupine.Ok},
		{"unknown swap that somebody saw", []operation{put(5, 0, 1), put(6, 2, 3), swap(5, 7, 4, unknown), get(7, 5, 6)},
			porcupine.Illegal},
	} {
		t.Run(h.name, func(t *testing.T) {
			_, got := (&history{operations: h.ops}).check()
			if got != h.want {
				t.Errorf("%v, want %v", got, h.want)
			}
		})
	}
}

func op(kind callKind, value uint32, began, ended int64) operation {
	return operation{key: 1, kind: kind, value: value, began: time.Duration(began), ended: time.Duration(ended)}
}

// TestKeysAreJudgedOneByOne : what happens to another key explains nothing.
func TestKeysAreJudgedOneByOne(t *testing.T) {
	h := history{operations: []operation{op(callPut, 1, 0, 1), op(callGet, 1, 2, 3)}}
	h.operations[1].key = 2
	if key, verdict := h.check(); key != 2 || verdict != porcupine.Illegal {
		t.Errorf("key %d is %v", key, verdict)
	}
}

// TestPictureOfAFailure : a run whose history is not linearizable leaves a page that shows it.
func TestPictureOfAFailure(t *testing.T) {
	h := history{operations: []operation{op(callPut, 17, 0, 1), op(callGet, 0, 2, 3)}}
	if page := h.picture(1); !bytes.Contains(page, []byte("<html")) || !bytes.Contains(page, []byte("put v17")) {
		t.Errorf("%d bytes: %.300s", len(page), page)
	}
}
