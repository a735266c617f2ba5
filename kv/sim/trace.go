// Traces: a run as text. A line is a decision, and after # there is what is for the reader only:
//
//	# trace of sim, version 1
//	# test: ./kv/sim TestSeeds/three
//	# world: three
//	# seed: 17
//	0.000 start 1
//	#        12.031  s1 sends 1->2 PreVote t6 log ends 5/5
//	3.117 call 1 of 0 put 0,4 at 2 for 23.000
//	14.200 crash 2 within WriteLog 1
//	15.100 cut 1->2
//	15.100 delay 2->1 for 30.0
//	15.100 weather lose 10 repeat 20 slow 100
//	16.000 disk 2 log full
//	40.000 calm without 3
//	# broke: one-answer: ...
//
// Times are in ticks. Lines may be removed, moved and added: what does not apply is skipped. The seed draws what is not a
// decision: how long messages and syncs take, which message the weather takes, what a disk loses.

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const traceHeader = "# trace of sim, version 1"

// Trace is what a file holds.
type Trace struct {
	Test      string // package and name of the test that wrote it, as go test wants them
	World     string // which of the worlds of that test
	Seed      uint64
	Broke     string // what the run broke; empty if nothing
	Decisions []Decision
}

// Format renders a trace, with what was told.
func (t *Trace) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n# test: %s\n", traceHeader, t.Test)
	if t.World != "" {
		fmt.Fprintf(&b, "# world: %s\n", t.World)
	}
	fmt.Fprintf(&b, "# seed: %d\n", t.Seed)
	for i := range t.Decisions {
		d := &t.Decisions[i]
		fmt.Fprintf(&b, "%s %s\n", formatTicks(d.At), d)
		for _, line := range d.Told {
			fmt.Fprintf(&b, "#   %s\n", strings.ReplaceAll(line, "\n", "\n#   "))
		}
	}
	if t.Broke != "" {
		fmt.Fprintf(&b, "# broke: %s\n", strings.ReplaceAll(t.Broke, "\n", "\n#     "))
	}
	return b.String()
}

// formatTicks is exact: eight digits behind the point are nanoseconds.
func formatTicks(d time.Duration) string {
	s := fmt.Sprintf("%d.%08d", d/tick, d%tick)
	return strings.TrimRight(s[:len(s)-5], "") + strings.TrimRight(s[len(s)-5:], "0")
}

func parseTicks(s string) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	f, err2 := strconv.ParseInt((fraction + "00000000")[:8], 10, 64)
	return time.Duration(n)*tick + time.Duration(f), errors.Join(err, err2)
}

// String renders a decision without its time.
func (d *Decision) String() string {
	s := verbNames[d.Verb]
	switch d.Verb {
	case VerbCut:
		return fmt.Sprintf("%s %d->%d", s, d.Store, d.To)
	case VerbDelay:
		return fmt.Sprintf("%s %d->%d for %s", s, d.Store, d.To, formatTicks(d.For))
	case VerbMend:
		return s
	case VerbWeather:
		return fmt.Sprintf("%s lose %d repeat %d slow %d", s, d.Keys[0], d.Keys[1], d.Keys[2])
	case VerbCalm:
		if len(d.Keys) > 0 {
			s += " without " + joinKeys(d.Keys)
		}
		return s
	case VerbCall:
		return fmt.Sprintf("%s %d of %d %s %s at %d for %s", s, d.Value, d.Client, d.What, joinKeys(d.Keys), d.Store,
			formatTicks(d.For))
	}
	s += fmt.Sprintf(" %d", d.Store)
	switch d.Verb {
	case VerbCrash:
		if d.Count > 0 {
			what := d.What
			if what == "" {
				what = "any"
			}
			s += fmt.Sprintf(" %s %s %d", d.Where, what, d.Count)
		}
	case VerbPause, VerbStall, VerbJump:
		if d.What != "" {
			s += " before " + d.What
		}
		s += " for " + formatTicks(d.For)
	case VerbDisk:
		s += " " + d.What + " " + d.Where
	case VerbFlip, VerbStray, VerbDrift:
		s += " " + d.What
	case VerbTransfer:
		s += fmt.Sprintf(" to %d", d.To)
	case VerbChange:
		s += fmt.Sprintf(" %s %d on %d", d.What, d.Value, d.To)
	}
	return s
}

func joinKeys(keys []int) string {
	var parts []string
	for _, key := range keys {
		parts = append(parts, strconv.Itoa(key))
	}
	return strings.Join(parts, ",")
}

// ParseTrace reads what Format wrote, or what somebody made of it.
func ParseTrace(text string) (Trace, error) {
	var t Trace
	if !strings.HasPrefix(text, traceHeader+"\n") {
		return t, fmt.Errorf("not a trace: the first line is not %q", traceHeader)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if err := t.parseLine(line); err != nil {
			return t, fmt.Errorf("line %d of the trace: %w: %q", n, err, line)
		}
	}
	slices.SortStableFunc(t.Decisions, func(a, b Decision) int { return int(a.At - b.At) })
	return t, nil
}

func (t *Trace) parseLine(line string) (err error) {
	for key, field := range map[string]*string{"test": &t.Test, "world": &t.World, "broke": &t.Broke} {
		if value, ok := strings.CutPrefix(line, "# "+key+": "); ok {
			*field = value
		}
	}
	if value, ok := strings.CutPrefix(line, "# seed: "); ok {
		t.Seed, err = strconv.ParseUint(value, 10, 64)
	}
	words := strings.Fields(line)
	if err != nil || len(words) == 0 || line[0] == '#' {
		return err
	}
	d, err := parseDecision(words)
	if len(t.Decisions) > 0 && d.At == 0 {
		d.At = t.Decisions[len(t.Decisions)-1].At // the time was left out
	}
	t.Decisions = append(t.Decisions, d)
	return err
}

var errWords = errors.New("not what such a decision says")

// parseDecision reads a line word by word, each with what it expects.
func parseDecision(words []string) (Decision, error) {
	r := &reader{words: words}
	var d Decision
	if at, err := parseTicks(words[0]); err == nil {
		d.At = at
		r.words = words[1:]
	}
	verb := slices.Index(verbNames[:], r.word())
	if verb <= 0 {
		return d, errors.New("no verb of a trace")
	}
	d.Verb = Verb(verb)
	r.decision(&d)
	if r.bad || len(r.words) > 0 {
		return d, errWords
	}
	return d, nil
}

// reader takes words off a line. After the first that is not what is expected, everything is zero.
type reader struct {
	words []string
	bad   bool
}

func (r *reader) decision(d *Decision) {
	switch d.Verb {
	case VerbMend:
	case VerbCut:
		r.link(d)
	case VerbDelay:
		r.link(d)
		d.For = r.duration()
	case VerbWeather:
		for _, name := range []string{"lose", "repeat", "slow"} {
			r.expect(name)
			d.Keys = append(d.Keys, int(r.number()))
		}
	case VerbCalm:
		d.Keys = []int{}
		if len(r.words) > 0 {
			r.expect("without")
			d.Keys = r.keys()
		}
	case VerbCall:
		d.Value = r.number()
		r.expect("of")
		d.Client = int(r.number())
		d.What, d.Keys = r.oneOf(callNames[1:]...), r.keys()
		r.expect("at")
		d.Store = r.number()
		d.For = r.duration()
	default:
		d.Store = r.number()
		r.aboutStore(d)
	}
}

func (r *reader) link(d *Decision) {
	from, to, ok := strings.Cut(r.word(), "->")
	r.bad = r.bad || !ok
	d.Store, d.To = r.parse(from), r.parse(to)
}

// aboutStore reads what follows the store.
func (r *reader) aboutStore(d *Decision) {
	switch d.Verb {
	case VerbCrash:
		if len(r.words) > 0 {
			d.Where, d.What, d.Count = r.oneOf("before", "within"), r.word(), int(r.number())
			if d.What == "any" {
				d.What = ""
			}
		}
	case VerbPause, VerbStall, VerbJump:
		if d.Verb == VerbStall && len(r.words) > 0 && r.words[0] == "before" {
			r.expect("before")
			d.What = r.word()
		}
		d.For = r.duration()
	case VerbDisk:
		d.What, d.Where = r.oneOf("log", "data"), r.oneOf("well", "slow", "full", "failing")
	case VerbFlip:
		d.What = r.oneOf("log", "data")
	case VerbDrift:
		d.What = r.oneOf("slow", "fast")
	case VerbStray:
		d.What = r.word()
	case VerbTransfer:
		r.expect("to")
		d.To = r.number()
	case VerbChange:
		d.What, d.Value = r.oneOf("add", "learner", "remove"), r.number()
		r.expect("on")
		d.To = r.number()
	}
}

func (r *reader) word() string {
	if len(r.words) == 0 {
		r.bad = true
		return ""
	}
	word := r.words[0]
	r.words = r.words[1:]
	return word
}

func (r *reader) oneOf(choices ...string) string {
	word := r.word()
	if !slices.Contains(choices, word) {
		r.bad = true
	}
	return word
}

func (r *reader) expect(word string) { r.oneOf(word) }

func (r *reader) number() uint64 { return r.parse(r.word()) }

func (r *reader) parse(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	r.bad = r.bad || err != nil
	return n
}

func (r *reader) duration() time.Duration {
	r.expect("for")
	d, err := parseTicks(r.word())
	r.bad = r.bad || err != nil
	return d
}

func (r *reader) keys() []int {
	var keys []int
	for s := range strings.SplitSeq(r.word(), ",") {
		keys = append(keys, int(r.parse(s)))
	}
	return keys
}
