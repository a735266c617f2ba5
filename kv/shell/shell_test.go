// Commands against a store in memory: what is typed, and what is answered.

package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/region"
	scheduler "tinykv/scheduler/client"
)

// memory is a KV and a Cluster.
type memory struct {
	pairs  map[string]string
	ttls   map[string]time.Duration
	failed error // if set, every call fails with it
	cfs    []string
}

func newMemory() *memory {
	return &memory{pairs: map[string]string{}, ttls: map[string]time.Duration{}}
}

func (m *memory) shell(out, errs *bytes.Buffer, asJSON bool) *Shell {
	kv := func(cf string) KV { m.cfs = append(m.cfs, cf); return m }
	return New(Options{KV: kv, Cluster: m, Out: out, Err: errs, JSON: asJSON})
}

func (m *memory) Get(_ context.Context, key []byte) ([]byte, bool, error) {
	value, ok := m.pairs[string(key)]
	return []byte(value), ok, m.failed
}

func (m *memory) BatchGet(_ context.Context, keys [][]byte) (values [][]byte, err error) {
	for _, k := range keys {
		var value []byte
		if v, ok := m.pairs[string(k)]; ok {
			value = []byte(v)
		}
		values = append(values, value)
	}
	return values, m.failed
}

func (m *memory) PutTTL(_ context.Context, key, value []byte, ttl time.Duration) error {
	m.pairs[string(key)], m.ttls[string(key)] = string(value), ttl
	return m.failed
}

func (m *memory) BatchPut(ctx context.Context, pairs []client.Pair) error {
	for _, p := range pairs {
		_ = m.PutTTL(ctx, p.Key, p.Value, p.TTL)
	}
	return m.failed
}

func (m *memory) Delete(_ context.Context, key []byte) error {
	delete(m.pairs, string(key))
	return m.failed
}

func (m *memory) BatchDelete(ctx context.Context, keys [][]byte) error {
	for _, k := range keys {
		_ = m.Delete(ctx, k)
	}
	return m.failed
}

func (m *memory) keys(r region.Range) (keys []string) {
	for k := range m.pairs {
		if r.Contains([]byte(k)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *memory) DeleteRange(_ context.Context, r region.Range) error {
	for _, k := range m.keys(r) {
		delete(m.pairs, k)
	}
	return m.failed
}

func (m *memory) Scan(_ context.Context, o client.ScanOptions, limit int) (pairs []client.Pair, err error) {
	keys := m.keys(region.Range{Start: o.Start, End: o.End})
	if o.Reverse {
		keys = m.keys(region.Range{Start: o.End, End: o.Start})
		slices.Reverse(keys)
	}
	for _, k := range keys[:min(len(keys), limit)] {
		pairs = append(pairs, client.Pair{Key: []byte(k), Value: []byte(m.pairs[k])})
	}
	return pairs, m.failed
}

func (m *memory) TTL(_ context.Context, key []byte) (time.Duration, bool, error) {
	_, ok := m.pairs[string(key)]
	return m.ttls[string(key)], ok, m.failed
}

func (m *memory) CompareAndSwap(_ context.Context, s client.Swap) (client.Swapped, error) {
	old, ok := m.pairs[string(s.Key)]
	res := client.Swapped{Existed: ok, Previous: []byte(old), Succeed: s.ExpectAbsent && !ok || !s.ExpectAbsent &&
		ok && old == string(s.Expected)}
	if res.Succeed {
		m.pairs[string(s.Key)] = string(s.Value)
	}
	return res, m.failed
}

func (m *memory) Checksum(_ context.Context, r region.Range) (client.Checksum, error) {
	return client.Checksum{XOR: 0xabc, Pairs: uint64(len(m.keys(r))), Bytes: 9}, m.failed
}

func (m *memory) Members(context.Context) (scheduler.Members, error) {
	one := scheduler.Member{ID: 0xa1, Name: "pd1", URLs: []string{"http://pd:1"}}
	return scheduler.Members{ClusterID: 42, Members: []scheduler.Member{one}, Leader: one}, m.failed
}

func (m *memory) Store(context.Context, uint64) (scheduler.StoreInfo, error) {
	return scheduler.StoreInfo{
		Store: scheduler.Store{ID: 1, Address: "kv:1", Version: "0.1",
			Labels: []scheduler.Label{{Key: "zone", Value: "eu"}}},
		Stats: scheduler.StoreStats{RegionCount: 2, UsedSize: 1536, Available: 3 << 30},
	}, m.failed
}

func (m *memory) Stores(context.Context) ([]scheduler.StoreInfo, error) {
	return []scheduler.StoreInfo{{Store: scheduler.Store{ID: 1, Address: "kv:1"}}}, m.failed
}

func (m *memory) regions() []scheduler.RegionInfo {
	left := region.Region{ID: 2, Range: region.Range{End: []byte("m\x00")}, Epoch: region.Epoch{ConfVer: 1, Version: 2},
		Peers: []region.Peer{{ID: 3, StoreID: 1}}}
	right := left
	right.ID, right.Range = 4, region.Range{Start: []byte("m\x00")}
	return []scheduler.RegionInfo{{Region: left, Leader: left.Peers[0]}, {Region: right}}
}

func (m *memory) Region(_ context.Context, key []byte) (scheduler.RegionInfo, bool, error) {
	for _, info := range m.regions() {
		if info.Region.Range.Contains(key) {
			return info, true, m.failed
		}
	}
	return scheduler.RegionInfo{}, false, m.failed
}

func (m *memory) ScanRegions(context.Context, region.Range, int) ([]scheduler.RegionInfo, error) {
	return m.regions(), m.failed
}

func (m *memory) Timestamp(context.Context) (scheduler.Timestamp, error) {
	return scheduler.Timestamp{Physical: 1_700_000_000_000, Logical: 5}, m.failed
}

// talk types lines, and returns what is printed.
func talk(t *testing.T, m *memory, lines ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	s := m.shell(&out, &errs, false)
	for _, line := range lines {
		if err := s.RunLine(t.Context(), line); err != nil {
			fmt.Fprintln(&out, "error:", err)
		}
	}
	return out.String()
}

// wantTalk checks a dialogue: lines that begin with "> " are typed, the ones below are the answer.
func wantTalk(t *testing.T, dialogue string) {
	t.Helper()
	m := newMemory()
	var out, errs bytes.Buffer
	s := m.shell(&out, &errs, false)
	var got []string
	for line := range strings.Lines(strings.TrimSpace(dialogue)) {
		typed, ok := strings.CutPrefix(strings.TrimSpace(line), "> ")
		if !ok {
			continue
		}
		out.Reset()
		if err := s.RunLine(t.Context(), typed); err != nil {
			fmt.Fprintln(&out, "error:", err)
		}
		got = append(got, "> "+typed, strings.TrimRight(out.String(), "\n"))
	}
	var want []string
	for line := range strings.Lines(strings.TrimSpace(dialogue)) {
		want = append(want, strings.TrimSpace(line))
	}
	var have []string
	for line := range strings.Lines(strings.Join(got, "\n")) {
		have = append(have, strings.TrimSpace(line))
	}
	if !slices.Equal(have, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestADialogueAboutKeysAndValues(t *testing.T) {
	wantTalk(t, `
		> put a 1
		OK
		> get a
		1
		> get nothing
		(not found)
		> put "hello world" \x00\xff
		OK
		> put empty ""
		OK
		> scan
		a              1
		empty          ""
		"hello world"  \x00\xff
		(3 pairs)
		> rscan --keys --limit 2
		"hello world"
		empty
		(2 pairs, there may be more: add --limit N, or go on with rscan empty)
		> scan --limit 1
		a  1
		(1 pair, there may be more: add --limit N, or go on with scan a\x00)
		> scan b f
		empty  ""
		(1 pair)
		> scan --prefix he --keys
		"hello world"
		(1 pair)
		> batch-put x 1 y 2
		OK
		> batch-get y nothing x
		y        2
		nothing  (not found)
		x        1
		> batch-delete x y
		OK
		> cas a 1 2
		swapped, before: 1
		> cas a 1 3
		not swapped, the value is: 2
		> cas new --absent mine
		swapped, before: (not found)
		> put mortal 1 --ttl 90
		OK
		> ttl mortal
		90 seconds
		> ttl a
		lives for ever
		> ttl nothing
		(not found)
		> delete a
		OK
		> delete-range "" ""
		OK
		> scan
		(0 pairs)
		> checksum
		0000000000000abc  (0 pairs, 9 bytes)
		> cf
		default
		> cf lock
		lock
	`)
}

func TestADialogueAboutTheCluster(t *testing.T) {
	wantTalk(t, `
		> members
		NAME  ID  URLS         LEADS
		pd1   a1  http://pd:1  yes
		(cluster 42)
		> stores
		STORE  ADDRESS  STATE  REGIONS  USED     FREE     HEARD  VERSION  LABELS
		1      kv:1     up     2        1.5 KiB  3.0 GiB  never  0.1      zone=eu
		> regions
		REGION  START  END    EPOCH  PEERS         LEADER
		2       ""     m\x00  1/2    3 on store 1  store 1
		4       m\x00  (end)  1/2    3 on store 1  ?
		> region z
		REGION  START  END    EPOCH  PEERS         LEADER
		4       m\x00  (end)  1/2    3 on store 1  ?
	`)
	if got := talk(t, newMemory(), "tso", "tso 445644800000000005"); strings.Count(got, "445644800000000005") != 2 ||
		!strings.Contains(got, "number 5") {
		t.Errorf("tso: %s", got)
	}
	if got := talk(t, newMemory(), "status"); !strings.Contains(got, "42") || !strings.Contains(got, "led by pd1") {
		t.Errorf("status: %s", got)
	}
}

func TestWrongInputChangesNothingAndSaysWhatIsRight(t *testing.T) {
	for line, want := range map[string]string{
		"put a":              "usage: put KEY VALUE",
		"put a 1 2":          "usage: put KEY VALUE",
		"get":                "usage: get KEY",
		"put a 1 --ttl":      "--ttl needs a value",
		"put a 1 --ttl 0":    "at least one second",
		"put a 1 --ttl -5":   "no time to live",
		"put a 1 --ttl 5x":   "no time to live",
		"put a 1 --tll 5":    "no flag --tll",
		"put --a 1":          "has to be quoted",
		"scan --limit -1":    "no number of pairs",
		"scan --limit x":     "no number of pairs",
		"scan a --prefix b":  "not both",
		"scan --keys=1":      "takes no value",
		"batch-put a 1 b":    "b has no value",
		"cas a 1":            "cas KEY EXPECTED VALUE",
		"cas a 1 2 --absent": "cas KEY --absent VALUE",
		"cf nonsense":        "use default, lock, write",
		"tso nonsense":       "no timestamp",
		"help nonsense":      "unknown command",
		"frobnicate":         "help lists all",
		`put "a`:             "not closed",
		"delete-range a":     "usage: delete-range START END",
		"PUT a 1":            "unknown command",
	} {
		m := newMemory()
		got := talk(t, m, line)
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: %q, want one line with %q", line, got, want)
		}
		if len(m.pairs) > 0 {
			t.Errorf("%q wrote %v", line, m.pairs)
		}
	}
}

func TestEveryCommandHandsUpTheErrorOfItsCall(t *testing.T) {
	m := newMemory()
	m.failed = errors.New("store on fire")
	args := map[string]string{
		"put": "a 1", "get": "a", "delete": "a", "delete-range": "a b", "cas": "a 1 2", "ttl": "a", "batch-get": "a",
		"batch-put": "a 1", "batch-delete": "a", "region": "a",
	}
	for _, c := range newTable(nil) {
		if slices.Contains([]string{"cf", "help", "quit"}, c.name) {
			continue // they ask nobody
		}
		if got := talk(t, m, c.name+" "+args[c.name]); got != "error: store on fire\n" {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestHelpKnowsEveryCommandAndEveryExampleRuns(t *testing.T) {
	all := talk(t, newMemory(), "help")
	for _, c := range newTable(nil) {
		if !strings.Contains(all, "\n"+c.name+" ") && !strings.HasPrefix(all, c.name+" ") {
			t.Errorf("help does not list %s", c.name)
		}
		one := talk(t, newMemory(), "help "+c.name)
		if !strings.HasPrefix(one, c.usage()+"\n") || !strings.Contains(one, c.short) {
			t.Errorf("help %s: %s", c.name, one)
		}
		for _, example := range c.example {
			if got := talk(t, newMemory(), example); strings.HasPrefix(got, "error:") {
				t.Errorf("the example %q: %s", example, got)
			}
		}
	}
}

func TestJSONHasOneLinePerCommandAndEscapesBytes(t *testing.T) {
	m := newMemory()
	var out, errs bytes.Buffer
	s := m.shell(&out, &errs, true)
	for _, line := range []string{`put \xff "a b"`, `get \xff`, "get no", "scan", "regions", "ttl no", `cas \xff 1 2`,
		"help"} {
		if err := s.RunLine(t.Context(), line); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`{"ok":true}`, `{"found":true,"value":"\"a b\""}`, `{"found":false}`,
		`{"pairs":[{"key":"\\xff","value":"\"a b\""}],"more":false}`,
	}
	if len(lines) != 8 || !slices.Equal(lines[:4], want) {
		t.Errorf("%s", out.String())
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestAPipeGoesOnAfterAFailureAndTellsTheLine(t *testing.T) {
	m := newMemory()
	var out, errs bytes.Buffer
	err := m.shell(&out, &errs, false).RunPipe(t.Context(),
		strings.NewReader("put a 1\n\n# comment\ngte a\r\nget a\r\nput b"))
	if !errors.Is(err, ErrFailed) {
		t.Errorf("error is %v", err)
	}
	if out.String() != "OK\n1\n" {
		t.Errorf("out: %q", out.String())
	}
	if e := errs.String(); !strings.Contains(e, "line 4: unknown command gte: did you mean get?") ||
		!strings.Contains(e, "line 6: put takes") {
		t.Errorf("errors: %q", e)
	}
	out.Reset()
	if err := m.shell(&out, &errs, false).RunPipe(t.Context(),
		strings.NewReader("get a\nquit\nput a 2\n")); err != nil || m.pairs["a"] != "1" {
		t.Errorf("quit: %v, a is %s", err, m.pairs["a"])
	}
}

func TestArgumentsOfTheCommandLineAreWordsAlready(t *testing.T) {
	m := newMemory()
	var out, errs bytes.Buffer
	s := m.shell(&out, &errs, false)
	for _, args := range [][]string{{"put", "a b", `it's "x"`}, {"put", `\x00`, "", "--ttl", "5"}, {"quit"}, {}} {
		if err := s.RunArgs(t.Context(), args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	if m.pairs["a b"] != `it's "x"` || m.ttls["\x00"] != 5*time.Second {
		t.Errorf("%q %v", m.pairs, m.ttls)
	}
	if err := s.RunArgs(t.Context(), []string{"get", `\q`}); err == nil {
		t.Error("a broken escape was taken")
	}
}

func TestTheColumnFamilyStaysForTheSession(t *testing.T) {
	m := newMemory()
	talk(t, m, "get a", "cf write", "get a", "cf default", "get a")
	if got := strings.Join(m.cfs, ","); got != ",write,default" {
		t.Errorf("asked families %q", got)
	}
}

func TestACommandEndsAfterTheTimeout(t *testing.T) {
	var out bytes.Buffer
	hangs := &hanging{}
	s := New(Options{KV: func(string) KV { return hangs }, Out: &out, Timeout: 10 * time.Millisecond})
	if err := s.RunLine(t.Context(), "get a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// hanging answers when the context ends.
type hanging struct{ KV }

func (*hanging) Get(ctx context.Context, _ []byte) ([]byte, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func TestHelpFitsATerminalAndNamesFlagsAndAliases(t *testing.T) {
	all := talk(t, newMemory(), "help")
	for line := range strings.Lines(all) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	for _, want := range []string{"put KEY VALUE [--ttl]", "(also: set)", "cas KEY (EXPECTED | --absent) VALUE [--ttl]\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("help lacks %q:\n%s", want, all)
		}
	}
	usage, _, _ := strings.Cut(talk(t, newMemory(), "help cas"), "\n")
	if want := "cas KEY (EXPECTED | --absent) VALUE [--ttl SECONDS]"; usage != want {
		t.Errorf("usage %q, want %q", usage, want)
	}
}

func TestALongKeyPushesOnlyItsOwnRowAside(t *testing.T) {
	m := newMemory()
	long := strings.Repeat("k", 8192)
	m.pairs["a"], m.pairs["bb"], m.pairs[long] = "1", "2", "3"
	if got, want := talk(t, m, "scan"), "a   1\nbb  2\n"+long+"  3\n(3 pairs)\n"; got != want {
		t.Errorf("%d bytes, want %d:\n%s", len(got), len(want), got)
	}
}

func TestMessagesQuoteTheBeginningOfWhatIsLong(t *testing.T) {
	long := strings.Repeat("k", 8192)
	for _, line := range []string{long, "batch-put a 1 " + long, "cf " + long, "tso " + long, "help " + long} {
		got := talk(t, newMemory(), line)
		if len(got) > 300 || !strings.Contains(got, "kkk... (8192 bytes)") {
			t.Errorf("%.20s: %d bytes, %.200s", line, len(got), got)
		}
	}
}

func TestTheLongestTimeToLiveIsNamed(t *testing.T) {
	m := newMemory()
	if got := talk(t, m, "put a 1 --ttl 4294967295"); got != "OK\n" || m.ttls["a"] != 4294967295*time.Second {
		t.Errorf("%s %v", got, m.ttls["a"])
	}
	for _, ttl := range []string{"4294967296", "18446744073709551615", "1193047h"} {
		if got := talk(t, m, "put a 1 --ttl "+ttl); !strings.Contains(got, "the most is 4294967295 seconds") {
			t.Errorf("--ttl %s: %s", ttl, got)
		}
	}
}

func TestTheEndOfTheSessionIsNotToldAsAFailureOfACommand(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	s := New(Options{KV: func(string) KV { end(); return &hanging{} }, Out: &out, Err: &errs})
	if err := s.RunPipe(ctx, strings.NewReader("get a\nget b\n")); !errors.Is(err, context.Canceled) {
		t.Errorf("RunPipe: %v", err)
	}
	if !s.runTyped(ctx, "get a") || errs.Len() > 0 {
		t.Errorf("the prompt goes on, or this was said: %q", errs.String())
	}
}
