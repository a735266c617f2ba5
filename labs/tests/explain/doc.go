// Package explain words what the graded tests have to say.
//
// A failing test is read by somebody who does not know the test. So each failure has the same four parts:
//
//	INV-1a.3 is broken: an empty value is a value, and not a missing one.
//	    done:     Write{put default "k" = ""}; s := Snapshot(); s.Get(default, "k")
//	    expected: the value "", and no error
//	    got:      error: engine: key not found
//	    replay:   go run ./labs test 1a --run TestModel --seed 7
//
// Invariants:
//
//  1. The id of the rule is the one that the stage's handout explains.
//  2. A test that uses randomness takes its seed from Seeds, and its failure ends with the one command that replays it.
//  3. What a message shows of keys and values is short, quoted, and tells nil from empty.
//
// The package knows nothing of the product, so that every stage can use it.
package explain
