// What a test process prints, read as it comes: framing lines, reasons of failures, the guard's proof; and the text,
// bounded.

package grade

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

const (
	outputHeadBytes = 192 << 10 // kept from the beginning of a test's output, if Options.HeadBytes does not say
	outputTailBytes = 64 << 10  // and from its end; the rest is counted
	lineBytes       = 16 << 10  // a longer line is read as several
	maxBlocks       = 64        // log lines with a position that are looked at for the reason of a failure
	maxBlockBytes   = 16 << 10
	maxReplays      = 8
	framing         = '\x16' // begins a line of the testing package, in the mode that test2json reads
)

// transcript is an io.Writer for the output of one test process.
type transcript struct {
	test    string // whose result counts
	nonce   string // of the guard
	onBegin func() // called when the test begins, perhaps more than once; may be nil
	headMax int    // bytes kept from the beginning of the output

	line    []byte
	head    []byte
	tail    []byte
	dropped int

	current string // the test or subtest that is writing, as far as the framing says
	passes  int    // PASS events of the test itself
	fails   int
	skips   int
	began   bool
	failed  []string // names of tests and subtests that failed
	blocks  []block
	open    bool // the last block may go on in the next line
	replays []string

	proved    bool
	proofCode int
}

// block is what one t.Error, t.Fatal or t.Log printed.
type block struct {
	test string
	at   string // file.go:12
	text string
}

var (
	frameLine  = regexp.MustCompile(`^(=== (?:RUN|NAME|CONT|PAUSE)|--- (?:PASS|FAIL|SKIP):) +(\S+)`)
	blockLine  = regexp.MustCompile(`^ {4}([^\s:/\\]+\.go:\d+): (.*)$`)
	replayLine = regexp.MustCompile(`(?:^|\s)replay: *(\S.*)$`)
)

// Write never fails.
func (t *transcript) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		// A framing byte begins a new line even in the middle of one: the program may have printed a line without an
		// end.
		end := bytes.IndexAny(p, "\n\x16")
		if end < 0 {
			t.line = append(t.line, p...)
			break
		}
		t.line = append(t.line, p[:end]...)
		if p[end] == framing {
			if len(t.line) > 0 {
				t.flush()
			}
			t.line = append(t.line[:0], framing)
		} else {
			t.flush()
		}
		p = p[end+1:]
	}
	if len(t.line) > lineBytes {
		t.flush()
	}
	return n, nil
}

// flush takes one complete line.
func (t *transcript) flush() {
	line := string(t.line)
	t.line = t.line[:0]
	if word, code, ok := strings.Cut(line, " "); ok && word == t.nonce {
		t.proved = true
		t.proofCode, _ = strconv.Atoi(code)
		return
	}
	if rest, ok := strings.CutPrefix(line, string(framing)); ok {
		if t.frame(strings.TrimLeft(rest, " ")) {
			return
		}
		line = rest
	}
	t.reason(line)
	t.keep(line)
}

// frame reads a framing line and says whether it is one that nobody wants to read.
func (t *transcript) frame(line string) bool {
	t.open = false
	if line == "PASS" || line == "FAIL" || strings.TrimSpace(line) == "=== NAME" {
		return true
	}
	m := frameLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	verb, name := m[1], m[2]
	own := name == t.test
	if strings.HasPrefix(verb, "===") {
		t.current = name
		if own {
			t.begin()
		}
		if !own && (strings.HasSuffix(verb, "RUN") || strings.HasSuffix(verb, "NAME")) {
			t.keep("=== " + name)
		}
		return true
	}
	switch verb {
	case "--- PASS:":
		if own {
			t.passes++
		}
		return true
	case "--- SKIP:":
		if own {
			t.skips++
		}
	case "--- FAIL:":
		t.failed = append(t.failed, name)
		if own {
			t.fails++
			return true
		}
	}
	t.keep(line)
	return true
}

func (t *transcript) begin() {
	t.began = true
	if t.onBegin != nil {
		t.onBegin()
	}
}

// reason collects log lines that carry a position, with the lines that continue them.
func (t *transcript) reason(line string) {
	if m := replayLine.FindStringSubmatch(line); m != nil && len(t.replays) < maxReplays {
		t.replays = append(t.replays, strings.TrimSpace(m[1]))
	}
	if m := blockLine.FindStringSubmatch(line); m != nil {
		if t.open = len(t.blocks) < maxBlocks; t.open {
			t.blocks = append(t.blocks, block{test: t.current, at: m[1], text: m[2]})
		}
		return
	}
	more, continued := strings.CutPrefix(line, "        ")
	if t.open && continued {
		if last := &t.blocks[len(t.blocks)-1]; len(last.text) < maxBlockBytes {
			last.text += "\n" + more
		}
		return
	}
	t.open = false
}

// keep adds a line to the bounded text.
func (t *transcript) keep(line string) {
	if len(t.head) < t.headMax {
		t.head = append(append(t.head, line...), '\n')
		return
	}
	t.tail = append(append(t.tail, line...), '\n')
	if len(t.tail) > 2*outputTailBytes {
		cut := len(t.tail) - outputTailBytes
		t.dropped += cut
		t.tail = append(t.tail[:0], t.tail[cut:]...)
	}
}

// text ends the transcript and returns what was kept of it.
func (t *transcript) text() string {
	if len(t.line) > 0 {
		t.flush()
	}
	var b strings.Builder
	b.Write(t.head)
	if t.dropped > 0 {
		fmt.Fprintf(&b, "\n… %d bytes left out …\n", t.dropped)
	}
	b.Write(t.tail)
	return strings.Trim(strings.ToValidUTF8(b.String(), "\uFFFD"), "\n")
}

// printable replaces what is not text: a program under test must not be able to steer the terminal that its output is
// shown on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
