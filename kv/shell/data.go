// Commands on keys and values.

package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/region"
)

// maxTTL is the longest time to live that a store takes, in seconds.
const maxTTL = math.MaxUint32

// defaultLimit is how many pairs a scan shows: a screen or two.
const defaultLimit = 100

var (
	ttlFlag  = flag{name: "ttl", value: "SECONDS", short: "how long the pair lives; also 90s, 5m, 2h"}
	scanFlag = []flag{
		{name: "limit", value: "N", short: "show at most N pairs (100)"},
		{name: "keys", short: "show no values"},
		{name: "prefix", value: "P", short: "only keys that begin with P"},
	}
)

func dataCommands() []command {
	return []command{
		{
			name: "put", aliases: []string{"set"}, args: "KEY VALUE", min: 2, max: 2, flags: []flag{ttlFlag},
			short:   "write a value",
			long:    "An empty value (\"\") is a value. Any byte can be written as \\xNN.",
			example: []string{`put a 1`, `put "hello world" \x00\xff`, `put session 42 --ttl 60`},
			run:     runPut,
		},
		{name: "get", args: "KEY", min: 1, max: 1, short: "read a value", example: []string{"get a"}, run: runGet},
		{
			name: "scan", args: "[START [END]]", max: 2, flags: scanFlag,
			short:   "list pairs upwards: START <= key < END",
			long:    "Without END to the last key, without START from the first.",
			example: []string{"scan", "scan a c", "scan --prefix user: --keys --limit 10"},
			run:     runScan(false),
		},
		{
			name: "rscan", args: "[START [END]]", max: 2, flags: scanFlag,
			short:   "list pairs downwards: START > key >= END",
			long:    "START is the upper bound and does not belong to the range; \"\" is beyond the last key.",
			example: []string{"rscan", "rscan c a", `rscan "" a --limit 1`},
			run:     runScan(true),
		},
		{name: "delete", aliases: []string{"del"}, args: "KEY", min: 1, max: 1, short: "remove a key",
			example: []string{"delete a"}, run: runDelete},
		{
			name: "delete-range", args: "START END", min: 2, max: 2, short: "remove all keys: START <= key < END",
			long:    `"" as START is the first key, as END beyond the last: delete-range "" "" removes everything.`,
			example: []string{"delete-range a c"}, run: runDeleteRange,
		},
		{
			name: "cas", args: "KEY (EXPECTED | --absent) VALUE", min: 2, max: 3,
			flags:   []flag{{name: "absent", short: "expect that the key has no value", shown: true}, ttlFlag},
			short:   "compare and swap: if the value is EXPECTED",
			long:    "It is one step: nobody else writes between the comparison and the write.",
			example: []string{"cas a 1 2", "cas lock --absent mine"}, run: runCAS,
		},
		{name: "ttl", args: "KEY", min: 1, max: 1, short: "how long a key will live",
			example: []string{"ttl session"}, run: runTTL},
		{name: "batch-get", args: "KEY...", min: 1, max: -1, short: "read several values",
			example: []string{"batch-get a b c"}, run: runBatchGet},
		{name: "batch-put", args: "KEY VALUE...", min: 2, max: -1, flags: []flag{ttlFlag}, short: "write several pairs",
			example: []string{"batch-put a 1 b 2"}, run: runBatchPut},
		{name: "batch-delete", args: "KEY...", min: 1, max: -1, short: "remove several keys",
			example: []string{"batch-delete a b"}, run: runBatchDelete},
		{
			name: "checksum", args: "[START [END]]", max: 2,
			short:   "add up the pairs: equal data has an equal sum",
			example: []string{"checksum", "checksum a c"}, run: runChecksum,
		},
		{
			name: "cf", args: "[NAME]", max: 1, short: "show or change the column family",
			long: "The column families are " + strings.Join(columnFamilies, ", ") + ".", choices: columnFamilies,
			example: []string{"cf", "cf lock"}, run: runCF,
		},
	}
}

func runPut(ctx context.Context, s *Shell, in input) (result, error) {
	ttl, err := in.ttl()
	if err != nil {
		return nil, err
	}
	return done{true}, s.kv().PutTTL(ctx, in.args[0], in.args[1], ttl)
}

func runGet(ctx context.Context, s *Shell, in input) (result, error) {
	got, found, err := s.kv().Get(ctx, in.args[0])
	return newValue(got, found), err
}

func runDelete(ctx context.Context, s *Shell, in input) (result, error) {
	return done{true}, s.kv().Delete(ctx, in.args[0])
}

func runDeleteRange(ctx context.Context, s *Shell, in input) (result, error) {
	return done{true}, s.kv().DeleteRange(ctx, region.Range{Start: in.args[0], End: in.args[1]})
}

func runBatchGet(ctx context.Context, s *Shell, in input) (result, error) {
	found, err := s.kv().BatchGet(ctx, in.args)
	if err != nil {
		return nil, err
	}
	res := values{}
	for i, key := range in.args {
		res.Values = append(res.Values, newPair(client.Pair{Key: key, Value: found[i]}, found[i] == nil))
	}
	return res, nil
}

func runBatchPut(ctx context.Context, s *Shell, in input) (result, error) {
	if len(in.args)%2 != 0 {
		return nil, fmt.Errorf("batch-put takes pairs, but the last key %s has no value",
			brief(in.args[len(in.args)-1]))
	}
	ttl, err := in.ttl()
	if err != nil {
		return nil, err
	}
	var pairs []client.Pair
	for i := 0; i < len(in.args); i += 2 {
		pairs = append(pairs, client.Pair{Key: in.args[i], Value: in.args[i+1], TTL: ttl})
	}
	return done{true}, s.kv().BatchPut(ctx, pairs)
}

func runBatchDelete(ctx context.Context, s *Shell, in input) (result, error) {
	return done{true}, s.kv().BatchDelete(ctx, in.args)
}

func runScan(reverse bool) func(context.Context, *Shell, input) (result, error) {
	return func(ctx context.Context, s *Shell, in input) (result, error) {
		opts := client.ScanOptions{Start: in.arg(0), End: in.arg(1), KeyOnly: in.has("keys"), Reverse: reverse}
		if in.has("prefix") {
			if len(in.args) > 0 {
				return nil, errors.New("a scan has a prefix or bounds, not both")
			}
			opts.Start, opts.End = prefixRange([]byte(in.flags["prefix"]), reverse)
		}
		limit, err := in.limit()
		if err != nil {
			return nil, err
		}
		found, err := s.kv().Scan(ctx, opts, limit)
		if err != nil {
			return nil, err
		}
		res := pairs{Pairs: []pair{}, More: limit > 0 && len(found) == limit}
		for _, p := range found {
			res.Pairs = append(res.Pairs, newPair(p, opts.KeyOnly))
		}
		if res.More {
			res.next = "add --limit N, or go on with " + goOn(opts, found[len(found)-1].Key)
		}
		return res, nil
	}
}

// goOn is the command that shows the next pairs.
func goOn(opts client.ScanOptions, last []byte) string {
	name := "scan"
	if opts.Reverse {
		name = "rscan"
	} else {
		last = append(bytes.Clone(last), 0)
	}
	line := name + " " + Quote(last)
	if len(opts.End) > 0 {
		line += " " + Quote(opts.End)
	}
	return line
}

// prefixRange is where a scan of all keys with a prefix starts and ends.
func prefixRange(prefix []byte, reverse bool) (start, end []byte) {
	// the first key after all that begin with the prefix: its last byte that can be raised, raised
	beyond := bytes.Clone(prefix)
	for len(beyond) > 0 && beyond[len(beyond)-1] == 0xff {
		beyond = beyond[:len(beyond)-1]
	}
	if len(beyond) > 0 {
		beyond[len(beyond)-1]++
	}
	if reverse {
		return beyond, prefix
	}
	return prefix, beyond
}

func runCAS(ctx context.Context, s *Shell, in input) (result, error) {
	ttl, err := in.ttl()
	if err != nil {
		return nil, err
	}
	swap := client.Swap{Key: in.args[0], Value: in.args[len(in.args)-1], ExpectAbsent: in.has("absent"), TTL: ttl}
	switch {
	case swap.ExpectAbsent && len(in.args) == 3:
		return nil, errors.New("with --absent there is nothing to expect: cas KEY --absent VALUE")
	case !swap.ExpectAbsent && len(in.args) == 2:
		return nil, errors.New("what should the present value be? cas KEY EXPECTED VALUE, or cas KEY --absent VALUE")
	case !swap.ExpectAbsent:
		swap.Expected = in.args[1]
	}
	swapped, err := s.kv().CompareAndSwap(ctx, swap)
	if err != nil {
		return nil, err
	}
	return swapResult{Swapped: swapped.Succeed, Previous: newValue(swapped.Previous, swapped.Existed)}, nil
}

type swapResult struct {
	Swapped  bool  `json:"swapped"`
	Previous value `json:"previous"`
}

func (r swapResult) text() string {
	if r.Swapped {
		return "swapped, before: " + r.Previous.text()
	}
	return "not swapped, the value is: " + r.Previous.text()
}

func runTTL(ctx context.Context, s *Shell, in input) (result, error) {
	ttl, found, err := s.kv().TTL(ctx, in.args[0])
	return ttlResult{Found: found, Seconds: int64(ttl / time.Second)}, err
}

type ttlResult struct {
	Found   bool  `json:"found"`
	Seconds int64 `json:"seconds"` // 0: for ever
}

func (r ttlResult) text() string {
	switch {
	case !r.Found:
		return "(not found)"
	case r.Seconds == 0:
		return "lives for ever"
	}
	return plural(int(r.Seconds), "second")
}

func runChecksum(ctx context.Context, s *Shell, in input) (result, error) {
	sum, err := s.kv().Checksum(ctx, region.Range{Start: in.arg(0), End: in.arg(1)})
	return checksumResult{fmt.Sprintf("%016x", sum.XOR), sum.Pairs, sum.Bytes}, err
}

type checksumResult struct {
	Checksum string `json:"checksum"`
	Pairs    uint64 `json:"pairs"`
	Bytes    uint64 `json:"bytes"`
}

func (r checksumResult) text() string {
	return fmt.Sprintf("%s  (%s, %s)", r.Checksum, plural(int(r.Pairs), "pair"), plural(int(r.Bytes), "byte"))
}

var columnFamilies = []string{"default", "lock", "write"}

func runCF(_ context.Context, s *Shell, in input) (result, error) {
	if len(in.args) > 0 {
		name := string(in.args[0])
		if !slices.Contains(columnFamilies, name) {
			return nil, fmt.Errorf("%s is no column family: use %s", brief(in.args[0]), strings.Join(columnFamilies,
				", "))
		}
		s.cf = name
	}
	if s.cf == "" {
		return message{"default"}, nil
	}
	return message{s.cf}, nil
}

// ttl is the value of --ttl: seconds, or a number with a unit.
func (in input) ttl() (time.Duration, error) {
	text, ok := in.flags["ttl"]
	if !ok {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if seconds, e := strconv.ParseUint(text, 10, 64); e == nil {
		// beyond maxTTL the number need not fit in a Duration
		ttl, err = time.Duration(min(seconds, maxTTL+1))*time.Second, nil
	}
	switch {
	case err != nil || ttl < time.Second:
		return 0, fmt.Errorf("--ttl %s is no time to live: say seconds, or 90s, 5m, 2h, and at least one second", text)
	case ttl > maxTTL*time.Second:
		return 0, fmt.Errorf("--ttl %s is too long: the most is %d seconds, 136 years; without --ttl it is for ever",
			text, maxTTL)
	}
	return ttl, nil
}

func (in input) limit() (int, error) {
	text, ok := in.flags["limit"]
	if !ok {
		return defaultLimit, nil
	}
	limit, err := strconv.ParseInt(text, 10, 32)
	if err != nil || limit < 0 {
		return 0, fmt.Errorf("--limit %s is no number of pairs", text)
	}
	return int(limit), nil
}
