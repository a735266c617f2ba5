// Histories: what clients asked and were told, and whether one store could have answered so.

package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is what a client did to one key, as the client saw it. A batch is one operation on each of its keys.
type operation struct {
	key    int
	client int
	kind   callKind
	value  uint32 // what was put or read; 0: nothing
	began  time.Duration
	ended  time.Duration // never: the client does not know whether it took effect
	store  uint64        // who answered, for the picture
	swap   *attempt      // of a swap: it knows what it has read
}

// got is what an operation has read; reads is false for those that read nothing.
func (op *operation) got() (value uint32, reads bool) {
	switch op.kind {
	case callGet:
		return op.value, true
	case callSwap:
		return op.swap.old, true
	}
	return 0, false
}

// never is when an operation ends of which nobody knows whether it took effect: it may do so at any time.
const never = time.Duration(1<<62 - 1)

// history is all of a run. A call that surely had no effect is not in it, nor a read without an answer.
type history struct {
	operations []operation
	notes      []porcupine.Annotation // what else happened, for the picture
}

func (h *history) add(op operation) { h.operations = append(h.operations, op) }

// of returns the operations on a key. A put or swap of unknown effect whose value nobody ever read is left out: values are
// unique, so if the others are linearizable without a put, they are with it, and the other way round; and whether a swap
// happened at all nobody knows. A swap whose value was read did happen.
func (h *history) of(key int) []operation {
	read := map[uint32]bool{}
	for i := range h.operations {
		op := &h.operations[i]
		if value, reads := op.got(); reads && op.key == key {
			read[value] = true
		}
	}
	var ops []operation
	for _, op := range h.operations {
		if op.key == key && (op.ended != never || op.kind == callDelete || read[op.value]) {
			ops = append(ops, op)
		}
	}
	return ops
}

// keys lists the keys that occur.
func (h *history) keys() []int {
	var keys []int
	for i := range h.operations {
		if key := h.operations[i].key; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// checkLimit is the wall-clock time after which the checker gives up on one key: thousands of times what it needs for
// the histories that occur.
const checkLimit = 20 * time.Second

// check tells which key's history is not linearizable.
func (h *history) check() (key int, verdict porcupine.CheckResult) {
	for _, key := range h.keys() {
		verdict := porcupine.CheckOperationsTimeout(register, forChecker(h.of(key)), checkLimit)
		if verdict != porcupine.Ok {
			return key, verdict
		}
	}
	return 0, porcupine.Ok
}

func forChecker(ops []operation) []porcupine.Operation {
	out := make([]porcupine.Operation, 0, len(ops))
	for i := range ops {
		op := &ops[i]
		out = append(out, porcupine.Operation{ClientId: op.client, Input: op, Output: op,
			Call: int64(op.began), Return: int64(op.ended)})
	}
	return out
}

// register is a key by itself: it has a value or none (0). Puts and deletes always work; a get returns what is there.
var register = porcupine.Model{
	Init: func() interface{} { return uint32(0) },
	Step: func(state, input, _ interface{}) (bool, interface{}) {
		switch op := input.(*operation); op.kind {
		case callPut:
			return true, op.value
		case callGet:
			return state.(uint32) == op.value, state
		case callSwap:
			return state.(uint32) == op.swap.old, op.value
		}
		return true, uint32(0)
	},
	Hash:              func(state interface{}) uint64 { return uint64(state.(uint32)) },
	DescribeOperation: func(input, _ interface{}) string { return input.(*operation).String() },
	DescribeState:     func(state interface{}) string { return valueName(state.(uint32)) },
}

func (op *operation) String() string {
	s := fmt.Sprintf("%v %v", op.kind, valueName(op.value))
	switch op.kind {
	case callDelete:
		s = op.kind.String()
	case callSwap:
		s = fmt.Sprintf("%s, before %s", s, valueName(op.swap.old))
	}
	if op.ended == never {
		return s + ", unknown"
	}
	return fmt.Sprintf("%s (store %d)", s, op.store)
}

// picture draws the history of a key: a page for a browser. Nil if it can't be drawn.
func (h *history) picture(key int) []byte {
	_, info := porcupine.CheckOperationsVerbose(register, forChecker(h.of(key)), checkLimit)
	info.AddAnnotations(h.notes)
	var page bytes.Buffer
	if err := porcupine.Visualize(register, info, &page); err != nil {
		return nil
	}
	return page.Bytes()
}

// savePicture keeps a picture for scripts (Desk), which leave no trace.
func savePicture(page []byte, name string) (string, error) {
	file := filepath.Join(os.TempDir(), "tinykv-traces", strings.ReplaceAll(name, "/", "-")+".html")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, page, 0o644)
}
