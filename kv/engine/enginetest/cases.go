// The table of cases, and how to run it.

package enginetest

import (
	"slices"
	"testing"
)

// Case checks one sentence of the contract.
type Case struct {
	Name string // snake case, unique
	Says string // the sentence
	run  func(*world)
}

// Run runs the case on a fresh engine.
func (c Case) Run(t *testing.T, fresh Factory) {
	t.Helper()
	c.run(begin(t, fresh))
}

// Cases are all of them, simple ones first.
var Cases = slices.Concat(pairCases, batchCases, snapshotCases, iteratorCases, rangeCases, lifeCases)

// Lookup finds a case by its name. It panics on an unknown one, as that is a slip of whoever wrote the test.
func Lookup(name string) Case {
	i := slices.IndexFunc(Cases, func(c Case) bool { return c.Name == name })
	if i < 0 {
		panic("enginetest: no case is called " + name)
	}
	return Cases[i]
}

// Run runs every case as a subtest.
func Run(t *testing.T, fresh Factory) {
	for _, c := range Cases {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, fresh) })
	}
}
