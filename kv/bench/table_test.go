package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// table has what was measured of each operation by each system, round after round.
type table struct{ rows []*row }

// row is one operation of one system with a number of clients; a system that was left out in a round has fewer paces.
type row struct {
	system, operation string
	clients           int
	paces             map[int]pace // by round
}

// measure runs an operation of a system with one client and with a hundred.
func (t *table) measure(b *testing.B, round int, name, operation string, s *system, do operation) {
	b.Helper()
	for _, clients := range []int{1, 100} {
		b.Run(fmt.Sprintf("%s/%s/%d", name, operation, clients), func(b *testing.B) {
			before, own := cpuOf(b, s.pids), ownCPU()
			p := run(b, clients, do)
			p.client = (ownCPU() - own) / time.Duration(b.N)
			p.servers = (cpuOf(b, s.pids) - before) / time.Duration(b.N)
			b.ReportMetric(micros(p.client), "client-cpu-µs")
			b.ReportMetric(micros(p.servers), "servers-cpu-µs")
			t.row(name, operation, clients).paces[round] = p // b.N grows, the last run counts
		})
	}
}

func (t *table) find(system, operation string, clients int) *row {
	for _, r := range t.rows {
		if r.system == system && r.operation == operation && r.clients == clients {
			return r
		}
	}
	return nil
}

func (t *table) row(system, operation string, clients int) *row {
	r := t.find(system, operation, clients)
	if r == nil {
		r = &row{system, operation, clients, map[int]pace{}}
		t.rows = append(t.rows, r)
	}
	return r
}

// String is the table in Markdown. A row's "of etcd" is the median over the rounds of its rate divided by that of etcd's
// own operation of the same kind in the same round: a get that is not stale is held against etcd's.
func (t *table) String() string {
	slices.SortStableFunc(t.rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.kind(), a.kind()), cmp.Compare(a.clients, b.clients))
	})
	var text strings.Builder
	text.WriteString("| operation | clients | system | ops/s | of etcd | p50 ms | p99 ms | CPU µs, servers + client |\n")
	text.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		of := "–"
		if peer := t.find("etcd", r.kind(), r.clients); peer != nil {
			of = fmt.Sprintf("%.2f", r.median(func(round int) float64 { return r.paces[round].rate / peer.paces[round].rate }))
		}
		get := func(what func(pace) float64) float64 {
			return r.median(func(round int) float64 { return what(r.paces[round]) })
		}
		fmt.Fprintf(&text, "| %s | %d | %s | %.0f | %s | %.2f | %.1f | %.0f + %.0f |\n", r.operation, r.clients, r.system,
			get(func(p pace) float64 { return p.rate }), of,
			get(func(p pace) float64 { return micros(p.p50) / 1000 }), get(func(p pace) float64 { return micros(p.p99) / 1000 }),
			get(func(p pace) float64 { return micros(p.servers) }), get(func(p pace) float64 { return micros(p.client) }))
	}
	return text.String()
}

// kind is what the operation is for its caller: put, or get.
func (r *row) kind() string {
	if r.operation == "put" {
		return "put"
	}
	return "get"
}

// median is the middle one of a figure of all rounds, of an even number the lower one of the two in the middle.
func (r *row) median(figure func(round int) float64) float64 {
	var all []float64
	for round := range r.paces {
		all = append(all, figure(round))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
