// The service against a model: random requests, compared with sorted maps.

package stage1b_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tinykv/labs/tests/explain"
)

// ask is one request of a random history.
type ask struct {
	kind  string
	cf    string
	keys  []string
	pairs []pair
	scan  query
	swap  swap
}

var families = []string{"", "lock", "write"}

func randomKey(rng *rand.Rand) string {
	const alphabet = "\x00ab\xff"
	key := make([]byte, 1+rng.IntN(3))
	for i := range key {
		key[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(key)
}

func randomAsks(rng *rand.Rand, n int) []ask {
	var asks []ask
	for range n {
		a := ask{cf: families[rng.IntN(3)]}
		for range 1 + rng.IntN(4) {
			a.keys = append(a.keys, randomKey(rng))
			a.pairs = append(a.pairs, pair{randomKey(rng), strings.Repeat("v",
				rng.IntN(2)) + fmt.Sprint(rng.IntN(4))[rng.IntN(2):]})
		}
		lower, upper := "", ""
		if rng.IntN(3) > 0 {
			lower = randomKey(rng)
		}
		if rng.IntN(3) > 0 {
			upper = randomKey(rng)
		}
		if upper != "" && lower > upper {
			lower, upper = upper, lower
		}
		a.kind = []string{"put", "put", "batchPut", "batchPut", "delete", "batchDelete", "deleteRange", "get", "batchGet",
			"scan", "scan", "swap"}[rng.IntN(12)]
		a.scan = query{cf: a.cf, start: lower, end: upper, limit: uint32(rng.IntN(8)), keyOnly: rng.IntN(5) == 0,
			reverse: rng.IntN(2) == 0}
		if a.scan.reverse {
			a.scan.start, a.scan.end = upper, lower
		}
		a.swap = swap{key: a.keys[0], value: a.pairs[0].v, absent: rng.IntN(2) == 0,
			previous: fmt.Sprint(rng.IntN(4))[rng.IntN(2):]}
		asks = append(asks, a)
	}
	return asks
}

// shadow is what the service should hold.
type shadow map[string]map[string]string

func (m shadow) scan(s query) []pair {
	lower, upper := s.start, s.end
	if s.reverse {
		lower, upper = s.end, s.start
	}
	var out []pair
	for k, v := range m[s.cf] {
		if k >= lower && (upper == "" || k < upper) {
			if s.keyOnly {
				v = ""
			}
			out = append(out, pair{k, v})
		}
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.k, b.k) })
	if s.reverse {
		slices.Reverse(out)
	}
	return out[:min(len(out), int(s.limit))]
}

func TestRandomRequestsMatchTheModel(t *testing.T) {
	for _, seed := range explain.Seeds(5) {
		d := open(t, roundTrip)
		d.notes = []string{explain.Replay(t, "1b", seed)}
		m := shadow{"": {}, "lock": {}, "write": {}}
		for _, a := range randomAsks(rand.New(rand.NewPCG(seed, 3)), 120) {
			d.run(a, m)
		}
		d.settled()
	}
}

// run does one request on the service and on the model, and compares.
func (d *desk) run(a ask, m shadow) {
	d.t.Helper()
	all := m[a.cf]
	switch a.kind {
	case "put":
		d.fine(d.tryPut(a.cf, a.pairs[0].k, a.pairs[0].v))
		all[a.pairs[0].k] = a.pairs[0].v
	case "batchPut":
		d.fine(d.tryBatchPut(a.cf, a.pairs...))
		for _, p := range a.pairs {
			all[p.k] = p.v
		}
	case "delete":
		d.fine(d.tryBatchDelete(a.cf, a.keys[0]))
		delete(all, a.keys[0])
	case "batchDelete":
		d.fine(d.tryBatchDelete(a.cf, a.keys...))
		for _, k := range a.keys {
			delete(all, k)
		}
	case "deleteRange":
		lower, upper := a.scan.start, a.scan.end
		if a.scan.reverse {
			lower, upper = upper, lower
		}
		d.fine(d.tryDeleteRange(a.cf, lower, upper))
		for k := range all {
			if k >= lower && (upper == "" || k < upper) {
				delete(all, k)
			}
		}
	case "get":
		if want, has := all[a.keys[0]]; has {
			d.has(a.cf, a.keys[0], want)
		} else {
			d.lacks(a.cf, a.keys[0])
		}
	case "batchGet":
		var want []pair
		for _, k := range a.keys {
			if v, has := all[k]; has {
				want = append(want, pair{k, v})
			}
		}
		got, tr := d.batchGet(a.cf, a.keys...)
		d.fine(tr)
		d.same(want, got)
	case "scan":
		d.yields(a.scan, m.scan(a.scan)...)
	case "swap":
		present, has := m[""][a.swap.key]
		holds := a.swap.absent && !has || !a.swap.absent && has && present == a.swap.previous
		r, tr := d.swap(a.swap)
		d.fine(tr)
		if r.GetSucceed() != holds {
			d.broken(fmt.Sprintf("succeed %v", holds), fmt.Sprintf("succeed %v", r.GetSucceed()))
		}
		if holds {
			m[""][a.swap.key] = a.swap.value
		}
	}
}
