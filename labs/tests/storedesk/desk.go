// The desk: the rule under test, the stores, what was done so far, and how a surprise is told.

package storedesk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/store"
	"tinykv/labs/tests/explain"
)

const (
	// ClusterID is the cluster of all stores.
	ClusterID = 7
	// TickInterval is the time between two ticks.
	TickInterval = 100 * time.Millisecond
	// FirstIndex is the index of the first entry that a log can have, and FirstTerm the term of the entry before it:
	// store.Bootstrap begins every log behind 5/5.
	FirstIndex, FirstTerm = 6, 5
)

// Options shape a desk. The zero value is three stores with one region.
type Options struct {
	Stores     int                     // those with a peer of each region: 1 to 5; default 3
	Spares     int                     // further stores, with empty disks
	Regions    int                     // 1 to 26; default 1. Region 2 begins at key "b", region 3 at "c", and so on
	CacheBytes uint64                  // of the raft logs; default 1 MiB. 1: nearly everything is read from disk
	Config     func(cfg *store.Config) // changes the configuration of every store; may be nil
}

// Desk is what one test works with.
type Desk struct {
	T    *testing.T
	Rule explain.Rule // what a surprise breaks
	Done []string     // the record

	Stores  []*Store        // by id, from 1 at 0
	Regions []region.Region // as they are in the beginning, by id

	// Net decides about each message that is sent; nil delivers all. It comes after Isolate.
	Net  func(m *replica.Message) Fate
	Sent []replica.Message // all that stores gave to the network, whatever became of it
	Held []replica.Message // those that Net holds: see Release

	// Before is called before each effect is carried out, After when it is. Either may crash the store. Each may be nil.
	Before, After func(s *Store, e store.Effect)

	ChunkBytes int // of snapshots that are sent; 0: as package snapshot has it

	options  Options
	away     []uint64
	requests uint64
	asked    map[uint64]*Request
}

// Open makes the stores and starts them. The spares are started, too.
func Open(t *testing.T, rule explain.Rule, options Options) *Desk {
	t.Helper()
	if options.Stores == 0 {
		options.Stores = 3
	}
	if options.Regions == 0 {
		options.Regions = 1
	}
	if options.CacheBytes == 0 {
		options.CacheBytes = 1 << 20
	}
	d := &Desk{T: t, Rule: rule, options: options, asked: map[uint64]*Request{}}
	for id := range uint64(options.Regions) {
		d.Regions = append(d.Regions, d.firstRegion(id+1))
	}
	for id := range uint64(options.Stores + options.Spares) {
		s := newStore(d, id+1)
		d.Stores = append(d.Stores, s)
		s.Start()
	}
	d.Done = []string{fmt.Sprintf("%s with %s; logs begin behind index %d, term %d: %d/%d", plural(len(d.Stores), "store"),
		plural(options.Regions, "region"), FirstIndex-1, FirstTerm, FirstIndex-1, FirstTerm)}
	return d
}

// firstRegion is a region as it begins: a peer on each store but the spares.
func (d *Desk) firstRegion(id uint64) region.Region {
	r := region.Region{ID: id, Epoch: region.Epoch{ConfVer: 1, Version: 1}}
	if id > 1 {
		r.Range.Start = []byte{'a' + byte(id) - 1}
	}
	if id < uint64(d.options.Regions) {
		r.Range.End = []byte{'a' + byte(id)}
	}
	for storeID := range uint64(d.options.Stores) {
		r.Peers = append(r.Peers, Peer(id, storeID+1))
	}
	return r
}

// Peer is the first peer of a region on a store: peer 12 is that of region 1 on store 2.
func Peer(regionID, storeID uint64) region.Peer {
	return region.Peer{ID: 10*regionID + storeID, StoreID: storeID}
}

// Store returns a store by its id.
func (d *Desk) Store(id uint64) *Store { return d.Stores[id-1] }

// Others are all stores but one.
func (d *Desk) Others(s *Store) []*Store {
	return slices.DeleteFunc(slices.Clone(d.Stores), func(o *Store) bool { return o == s })
}

// Say records a step.
func (d *Desk) Say(format string, args ...any) { d.Done = append(d.Done, fmt.Sprintf(format, args...)) }

// Record is the end of what was done.
func (d *Desk) Record() string {
	const last = 30
	steps := d.Done
	if n := len(steps); n > last {
		steps = slices.Concat([]string{"(" + plural(n-last, "step") + " before these)"}, steps[n-last:])
	}
	return strings.Join(steps, "\n")
}

// Broken ends the test: what was done last broke the rule.
func (d *Desk) Broken(want, got string) {
	d.T.Helper()
	d.Rule.Broken(d.T, d.Record(), want, got)
}

// Brokenf is Broken with what came as a format.
func (d *Desk) Brokenf(want, format string, args ...any) {
	d.T.Helper()
	d.Broken(want, fmt.Sprintf(format, args...))
}

// Check is Brokenf unless ok.
func (d *Desk) Check(ok bool, want, format string, args ...any) {
	d.T.Helper()
	if !ok {
		d.Brokenf(want, format, args...)
	}
}

// Must ends the test if something that has to work does not.
func (d *Desk) Must(what string, err error) {
	d.T.Helper()
	if err != nil {
		d.Broken(what+" works", explain.Error(err))
	}
}

// Where says where every store is.
func (d *Desk) Where() string {
	var lines []string
	for _, s := range d.Stores {
		lines = append(lines, s.Where())
	}
	return strings.Join(lines, "\n")
}
