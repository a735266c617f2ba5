// Package stage1b_test grades exercise 1b: the raw service, called as clients call it, over a storage that watches.
//
// desk_test.go is the workbench of the tests: it calls the service by real gRPC within the process, remembers each
// call, and tells the calls when a rule of the handout turns out to be broken.
package stage1b_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
	"tinykv/proto/tikvpb"
)

// The rules of the handout 1b.
var (
	oneView  = explain.Rule{ID: "INV-1b.1", Says: "all that one request reads is of one moment"}
	oneBatch = explain.Rule{ID: "INV-1b.2",
		Says: "all that one request writes is one batch: it happens as one, or not at all"}
	notEmpty = explain.Rule{ID: "INV-1b.3",
		Says: "an empty value is a value; a missing key is not_found, which is an answer and no error"}
	exactly = explain.Rule{ID: "INV-1b.4",
		Says: "a scan returns the pairs of its range, in its direction, at most limit of them, and nothing else"}
	owner   = explain.Rule{ID: "INV-1b.5", Says: "what a request returns is a copy: an iterator reuses its memory"}
	bounded = explain.Rule{ID: "INV-1b.6", Says: "bad input is answered with an error and changes nothing"}
	told    = explain.Rule{ID: "INV-1b.7",
		Says: "trouble of the storage is told: no acknowledgement, no not_found and no short result in its place"}
	oneStep = explain.Rule{ID: "INV-1b.8",
		Says: "compare-and-swap is one step: nobody writes its key between the compare and the swap"}
	closes  = explain.Rule{ID: "INV-1b.9", Says: "what a request opens it closes, on every path"}
	expires = explain.Rule{ID: "INV-1b.10",
		Says: "from the second on at which it expires, a pair is missing to everybody"}
	answered = explain.Rule{ID: "INV-1b.11",
		Says: "each request of a frame is answered once, under its id, by a message of its own type"}
	cheap = explain.Rule{ID: "INV-1b.12",
		Says: "a request costs what it returns: no read beyond what the answer needs"}
	durable   = explain.Rule{ID: "INV-1b.13", Says: "what was acknowledged is there after a crash"}
	roundTrip = explain.Rule{ID: "INV-1b.14",
		Says: "a read returns what the last acknowledged write left, in its column family"}
)

// patience bounds every call and every wait for another goroutine. It is far longer than any correct service needs.
const patience = 4 * time.Second

// desk is a service under test, with a record of what was asked of it.
type desk struct {
	t     *testing.T
	rule  explain.Rule // what a surprise breaks
	store *spy
	sweep func(context.Context, *kvrpcpb.Context) (int, error) // removes what has expired
	kv    tikvpb.TikvClient
	later atomic.Int64 // seconds by which the clock of the service is ahead
	done  []string
	notes []string
}

// open starts the service on an empty store, reachable by gRPC within the process.
func open(t *testing.T, rule explain.Rule) *desk {
	t.Helper()
	d := &desk{t: t, rule: rule, store: newSpy()}
	lis := bufconn.Listen(1 << 20)
	service := newService(d.store, func() time.Time { return time.Now().Add(time.Duration(d.later.Load()) * time.Second) })
	d.sweep = service.SweepExpired
	g := grpc.NewServer(service.GRPCOptions()...)
	service.Register(g)
	go g.Serve(lis)
	conn, err := grpc.NewClient("passthrough:///store",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); service.Stop(); g.Stop() })
	d.kv = tikvpb.NewTikvClient(conn)
	return d
}

// say adds a step to the record.
func (d *desk) say(format string, args ...any) { d.done = append(d.done, fmt.Sprintf(format, args...)) }

// broken ends the test: the last step of the record broke the rule.
func (d *desk) broken(want, got string, notes ...string) {
	d.t.Helper()
	const last = 14
	steps := d.done
	if n := len(steps); n > last {
		steps = append([]string{fmt.Sprintf("(%d steps before these)", n-last)}, steps[n-last:]...)
	}
	d.rule.Broken(d.t, strings.Join(steps, "\n"), want, got, append(notes, d.notes...)...)
}

// trouble is how an answer tells that a request was not done: in the response or as a gRPC status. All of them are
// legal ways to say no, but for the tests that insist on one.
type trouble struct {
	region *errorpb.Error
	text   string
	status error
}

// final tells whether a client gives up at this trouble, rather than asking again by itself. Of the region errors only
// raft_entry_too_large is such.
func (t trouble) final() bool {
	return t.any() && (t.region == nil || t.region.GetRaftEntryTooLarge() != nil)
}

func (t trouble) any() bool { return t.region != nil || t.text != "" || t.status != nil }

func (t trouble) String() string {
	switch {
	case t.status != nil:
		return "gRPC status: " + t.status.Error()
	case t.region != nil:
		return fmt.Sprintf("region_error: %s", strings.Join(strings.Fields(t.region.String()), " "))
	case t.text != "":
		return "error: " + t.text
	}
	return "no error"
}

// answer is what the responses have in common.
type answer interface{ GetRegionError() *errorpb.Error }

// troubleOf finds the trouble in a response of any raw call.
func troubleOf(r answer, err error) trouble {
	if err != nil {
		return trouble{status: err}
	}
	t := trouble{region: r.GetRegionError()}
	if e, ok := r.(interface{ GetError() string }); ok {
		t.text = e.GetError()
	}
	var listed []*kvrpcpb.KvPair
	switch r := r.(type) {
	case *kvrpcpb.RawScanResponse:
		listed = r.GetKvs()
	case *kvrpcpb.RawBatchScanResponse:
		listed = r.GetKvs()
	case *kvrpcpb.RawBatchGetResponse:
		listed = r.GetPairs()
	}
	for _, p := range listed {
		if p.GetError() != nil && t.text == "" {
			t.text = strings.Join(strings.Fields(p.GetError().String()), " ")
		}
	}
	return t
}

// ctx is the context of one call.
func (d *desk) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.t.Cleanup(cancel)
	return ctx
}

// fine insists that a call met no trouble.
func (d *desk) fine(t trouble) {
	d.t.Helper()
	if t.any() {
		d.broken("no error", t.String())
	}
}

// pair is a key and its value.
type pair struct{ k, v string }

func q(s string) string { return explain.Bytes([]byte(s)) }

// put writes one pair, which must succeed.
func (d *desk) put(key, value string) { d.t.Helper(); d.fine(d.tryPut("", key, value)) }

func (d *desk) tryPut(cf, key, value string) trouble {
	d.say("RawPut(%s%s, %s)", inCF(cf), q(key), q(value))
	r, err := d.kv.RawPut(d.ctx(), &kvrpcpb.RawPutRequest{Cf: cf, Key: []byte(key), Value: []byte(value)})
	return troubleOf(r, err)
}

func inCF(cf string) string {
	if cf == "" {
		return ""
	}
	return cf + ", "
}

// get reads one key. found is what not_found denies.
func (d *desk) get(cf, key string) (value string, found bool, t trouble) {
	d.say("RawGet(%s%s)", inCF(cf), q(key))
	r, err := d.kv.RawGet(d.ctx(), &kvrpcpb.RawGetRequest{Cf: cf, Key: []byte(key)})
	return string(r.GetValue()), err == nil && !r.GetNotFound(), troubleOf(r, err)
}

// has insists that key has this value.
func (d *desk) has(cf, key, want string) {
	d.t.Helper()
	got, found, t := d.get(cf, key)
	if t.any() || !found || got != want {
		d.broken("the value "+q(want)+", not_found false, no error", describe(got, found, t))
	}
}

// lacks insists that key is missing.
func (d *desk) lacks(cf, key string) {
	d.t.Helper()
	got, found, t := d.get(cf, key)
	if t.any() || found || got != "" {
		d.broken("not_found true, no value, no error", describe(got, found, t))
	}
}

func describe(value string, found bool, t trouble) string {
	if t.any() {
		return t.String()
	}
	return fmt.Sprintf("the value %s, not_found %v, no error", q(value), !found)
}

func (d *desk) del(key string) {
	d.t.Helper()
	d.say("RawDelete(%s)", q(key))
	r, err := d.kv.RawDelete(d.ctx(), &kvrpcpb.RawDeleteRequest{Key: []byte(key)})
	d.fine(troubleOf(r, err))
}

func (d *desk) tryBatchPut(cf string, pairs ...pair) trouble {
	req := &kvrpcpb.RawBatchPutRequest{Cf: cf}
	for _, p := range pairs {
		req.Pairs = append(req.Pairs, &kvrpcpb.KvPair{Key: []byte(p.k), Value: []byte(p.v)})
	}
	d.say("RawBatchPut(%s%s)", inCF(cf), list(pairs))
	r, err := d.kv.RawBatchPut(d.ctx(), req)
	return troubleOf(r, err)
}

func (d *desk) batchPut(pairs ...pair) { d.t.Helper(); d.fine(d.tryBatchPut("", pairs...)) }

func bytesOf(keys []string) (list [][]byte) {
	for _, k := range keys {
		list = append(list, []byte(k))
	}
	return list
}

func (d *desk) tryBatchDelete(cf string, keys ...string) trouble {
	d.say("RawBatchDelete(%s%q)", inCF(cf), keys)
	r, err := d.kv.RawBatchDelete(d.ctx(), &kvrpcpb.RawBatchDeleteRequest{Cf: cf, Keys: bytesOf(keys)})
	return troubleOf(r, err)
}

func (d *desk) batchGet(cf string, keys ...string) ([]pair, trouble) {
	d.say("RawBatchGet(%s%q)", inCF(cf), keys)
	r, err := d.kv.RawBatchGet(d.ctx(), &kvrpcpb.RawBatchGetRequest{Cf: cf, Keys: bytesOf(keys)})
	return plain(r.GetPairs()), troubleOf(r, err)
}

func (d *desk) tryDeleteRange(cf, start, end string) trouble {
	d.say("RawDeleteRange(%s[%s, %s))", inCF(cf), q(start), q(end))
	r, err := d.kv.RawDeleteRange(d.ctx(), &kvrpcpb.RawDeleteRangeRequest{Cf: cf, StartKey: []byte(start),
		EndKey: []byte(end)})
	return troubleOf(r, err)
}

// query is a scan in few words.
type query struct {
	cf, start, end string
	limit          uint32
	keyOnly        bool
	reverse        bool
}

func (s query) String() string {
	out := fmt.Sprintf("RawScan(%sstart %s, end %s, limit %d", inCF(s.cf), q(s.start), q(s.end), s.limit)
	if s.keyOnly {
		out += ", key_only"
	}
	if s.reverse {
		out += ", reverse"
	}
	return out + ")"
}

func (s query) request() *kvrpcpb.RawScanRequest {
	return &kvrpcpb.RawScanRequest{Cf: s.cf, StartKey: []byte(s.start), EndKey: []byte(s.end), Limit: s.limit,
		KeyOnly: s.keyOnly, Reverse: s.reverse}
}

func (d *desk) scan(s query) ([]pair, trouble) {
	d.say("%v", s)
	r, err := d.kv.RawScan(d.ctx(), s.request())
	return plain(r.GetKvs()), troubleOf(r, err)
}

// yields insists that a scan returns exactly these pairs.
func (d *desk) yields(s query, want ...pair) {
	d.t.Helper()
	got, t := d.scan(s)
	d.fine(t)
	d.same(want, got)
}

func (d *desk) same(want, got []pair) {
	d.t.Helper()
	if !slices.Equal(want, got) {
		d.broken(fmt.Sprintf("%d pairs: %s", len(want), list(want)), fmt.Sprintf("%d pairs: %s", len(got), list(got)))
	}
}

func plain(kvs []*kvrpcpb.KvPair) []pair {
	var out []pair
	for _, p := range kvs {
		out = append(out, pair{string(p.GetKey()), string(p.GetValue())})
	}
	return out
}

// list shows pairs.
func list(pairs []pair) string {
	var out []string
	for i, p := range pairs {
		if i == 9 && len(pairs) > 10 {
			out = append(out, "…")
			break
		}
		out = append(out, q(p.k)+"="+q(p.v))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
}

// settled insists that everything that was opened is closed again.
func (d *desk) settled() {
	d.t.Helper()
	c, _ := d.store.counted()
	if c.snapshots != c.closedSnapshots || c.iterators != c.closedIterators {
		d.rule = closes
		d.broken("every snapshot and every iterator is closed when the answer is there",
			fmt.Sprintf("%d snapshots opened and %d closed, %d iterators opened and %d closed",
				c.snapshots, c.closedSnapshots, c.iterators, c.closedIterators))
	}
}

// swap is a compare-and-swap in few words.
type swap struct {
	key, value string
	absent     bool   // expect that the key is missing
	previous   string // expect this value
	ttl        uint64
}

func (s swap) String() string {
	expect := q(s.previous)
	if s.absent {
		expect = "missing"
	}
	return fmt.Sprintf("RawCompareAndSwap(%s: if %s then %s)", q(s.key), expect, q(s.value))
}

func (s swap) request() *kvrpcpb.RawCASRequest {
	return &kvrpcpb.RawCASRequest{Key: []byte(s.key), Value: []byte(s.value), PreviousNotExist: s.absent,
		PreviousValue: []byte(s.previous), Ttl: s.ttl}
}

func (d *desk) swap(s swap) (*kvrpcpb.RawCASResponse, trouble) {
	d.say("%v", s)
	r, err := d.kv.RawCompareAndSwap(d.ctx(), s.request())
	return r, troubleOf(r, err)
}

// stored returns what the storage holds in a column family, in its stored form, read past the service.
func (d *desk) stored(cf engine.CF) map[string]string {
	s, err := d.store.e.Snapshot()
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	it, err := s.Iterator(cf, engine.IterOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer it.Close()
	all := map[string]string{}
	for ok := it.First(); ok; ok = it.Next() {
		all[string(it.Key())] = string(it.Value())
	}
	return all
}
