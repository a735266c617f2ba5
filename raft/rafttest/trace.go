package rafttest

import (
	"fmt"
	"strconv"
	"strings"

	"tinykv/raft"
)

// Traces: a run as text. A line is a decision, and after # there is what is for the reader only:
//
//	# trace of rafttest, version 1
//	# test: ./raft/rafttest TestSeeds
//	# world: three
//	0.0000 start 1 rand 8271
//	10.3100 tick 1
//	#        n1 PreCandidate, leader 0
//	#        n1 sends 1->2 PreVote t1 log ends 1/0
//	10.5210 deliver 1->2 PreVote
//	10.5215 deliver 1->3 PreVote ~1                    the newest but one of those that wait
//	10.6031 synced 2 ! crash at 3 keep 1 torn          node 2 dies after the third effect of that
//	# broke: election-safety: nodes 1 and 2 lead term 4
//
// The time in front may be left out. Lines may be removed, moved and added: what does not apply is skipped.
const traceHeader = "# trace of rafttest, version 1"

// Trace is what a file holds.
type Trace struct {
	Test      string // package and name of the test that wrote it, as go test wants them
	World     string // which of the worlds of that test
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
	for i := range t.Decisions {
		d := &t.Decisions[i]
		fmt.Fprintf(&b, "%.4f %s\n", float64(d.At)/tickMicros, d)
		for _, line := range d.Told {
			fmt.Fprintf(&b, "#   %s\n", strings.ReplaceAll(line, "\n", "\n#   "))
		}
	}
	if t.Broke != "" {
		fmt.Fprintf(&b, "# broke: %s\n", strings.ReplaceAll(t.Broke, "\n", "\n#     "))
	}
	return b.String()
}

// String renders a decision without its time.
func (d *Decision) String() string {
	s := d.head()
	if d.Crash == nil {
		return s
	}
	if d.Verb != VerbCrash {
		s += fmt.Sprintf(" ! crash at %d", d.Crash.Effect)
	}
	s += fmt.Sprintf(" keep %d", d.Crash.Keep)
	if d.Crash.Torn {
		s += " torn"
	}
	return s
}

func (d *Decision) head() string {
	verb := verbNames[d.Verb]
	switch d.Verb {
	case VerbStart:
		return fmt.Sprintf("%s %d rand %d", verb, d.Node, d.Value)
	case VerbDeliver, VerbDrop, VerbRepeat:
		s := fmt.Sprintf("%s %d->%d %v", verb, d.Node, d.To, d.Type)
		if d.Nth > 0 {
			s += fmt.Sprintf(" ~%d", d.Nth)
		}
		return s
	case VerbPropose:
		return fmt.Sprintf("%s %d command %d count %d", verb, d.Node, d.Value, d.Count)
	case VerbTransfer:
		return fmt.Sprintf("%s %d to %d", verb, d.Node, d.To)
	case VerbChange:
		return fmt.Sprintf("%s %d %s %s", verb, d.Node, transitionNames[d.Change.Transition], formatSigns(d.Change))
	case VerbFlush:
		return fmt.Sprintf("%s %d keeping %d", verb, d.Node, d.Count)
	case VerbReport:
		return fmt.Sprintf("%s %d->%d snapshot %s", verb, d.Node, d.To, reportNames[d.Value&1])
	case VerbUnreachable, VerbCut:
		return fmt.Sprintf("%s %d->%d", verb, d.Node, d.To)
	case VerbMend, VerbCalm:
		return verb
	}
	return fmt.Sprintf("%s %d", verb, d.Node)
}

var (
	transitionNames = [...]string{"auto", "implicit", "explicit"}
	reportNames     = [...]string{"sent", "failed"}
)

func formatSigns(cc raft.ConfChange) string {
	if len(cc.Changes) == 0 {
		return ""
	}
	return formatChange(cc)
}

// ParseTrace reads what Format wrote, or what somebody made of it.
func ParseTrace(text string) (Trace, error) {
	var t Trace
	if !strings.HasPrefix(text, traceHeader+"\n") {
		return t, fmt.Errorf("not a trace: the first line is not %q", traceHeader)
	}
	for i, line := range strings.Split(text, "\n") {
		if test, ok := strings.CutPrefix(line, "# test: "); ok {
			t.Test = test
		}
		if world, ok := strings.CutPrefix(line, "# world: "); ok {
			t.World = world
		}
		if broke, ok := strings.CutPrefix(line, "# broke: "); ok {
			t.Broke = broke
		}
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		d, err := parseDecision(words)
		if err != nil {
			return t, fmt.Errorf("line %d of the trace: %w: %q", i+1, err, line)
		}
		t.Decisions = append(t.Decisions, d)
	}
	return t, nil
}

func parseDecision(words []string) (d Decision, err error) {
	defer func() {
		if p := recover(); p != nil { // number and the like, and lines that are too short
			err = fmt.Errorf("%v", p)
		}
	}()
	if ticks, err := strconv.ParseFloat(words[0], 64); err == nil {
		d.At = int64(ticks*tickMicros + 0.5)
		words = words[1:]
	}
	for i, name := range verbNames {
		if name == words[0] {
			d.Verb = Verb(i)
		}
	}
	if d.Verb == 0 {
		return d, fmt.Errorf("no verb of a trace")
	}
	d.parse(words[1:])
	switch d.Verb {
	case VerbMend, VerbCalm:
		return d, nil
	case VerbDeliver, VerbDrop, VerbRepeat:
		if d.To == 0 || d.Type == 0 {
			return d, fmt.Errorf("which message? Say from->to and its type")
		}
	}
	if d.Node == 0 {
		return d, fmt.Errorf("which node?")
	}
	return d, nil
}

// parse reads the words after the verb.
func (d *Decision) parse(words []string) {
	if len(words) == 0 {
		return
	}
	from, to, link := strings.Cut(words[0], "->")
	d.Node = number(from)
	if link {
		d.To = number(to)
	}
	for i := 1; i < len(words); i++ {
		switch word := words[i]; word {
		case "rand", "command":
			i++
			d.Value = number(words[i])
		case "count", "keeping":
			i++
			d.Count = int(number(words[i]))
		case "to":
			i++
			d.To = number(words[i])
		case "crash", "at", "keep", "torn", "!":
			i += d.parseCrash(words[i:]) - 1
		default:
			d.parseWord(word)
		}
	}
	if d.Verb == VerbCrash && d.Crash == nil {
		d.Crash = &Crash{}
	}
}

// parseCrash reads one part of a crash and returns how many words it took.
func (d *Decision) parseCrash(words []string) int {
	if d.Crash == nil {
		d.Crash = &Crash{}
	}
	switch words[0] {
	case "at":
		d.Crash.Effect = int(number(words[1]))
		return 2
	case "keep":
		d.Crash.Keep = int(number(words[1]))
		return 2
	case "torn":
		d.Crash.Torn = true
	}
	return 1
}

// parseWord reads what means something by itself: a type, a place, a part of a configuration change.
func (d *Decision) parseWord(word string) {
	for i, name := range transitionNames {
		if word == name {
			d.Change.Transition = raft.ConfChangeTransition(i)
			return
		}
	}
	switch {
	case d.Verb == VerbReport:
		if word == reportNames[1] {
			d.Value = 1
		}
	case d.Verb == VerbChange:
		d.Change.Changes = append(d.Change.Changes, parseChange([]string{word}).Changes...)
	case word[0] == '~':
		d.Nth = int(number(word[1:]))
	default:
		for t := raft.MsgProp; t <= raft.MsgReadIndexResp; t++ {
			if t.String() == word {
				d.Type = t
			}
		}
	}
}
