package shell

import (
	"fmt"
	"strings"
	"testing"
)

func TestALineIsCutIntoWords(t *testing.T) {
	for line, want := range map[string]string{
		``:                          ``,
		`   `:                       ``,
		`get a`:                     `get|a`,
		"  put\ta  1 \r":            `put|a|1`,
		`put "hello world" 'a"b'`:   `put|hello world|a"b`,
		`put "" ''`:                 `put||`,
		`a"b c"d`:                   `ab cd`,
		`\x00\xff`:                  "\x00\xff",
		`"\x41\n\t\\\"" \'`:         "A\n\t\\\"|'",
		`a\ b`:                      `a b`,
		`get a # a comment`:         `get|a`,
		`# put a 1`:                 ``,
		`get a#b "#c" \#d`:          `get|a#b|#c|#d`,
		"put k \"line\nbreak\"":     "put|k|line\nbreak",
		`put schlüssel "日本"`:        `put|schlüssel|日本`,
		"put raw \xfe":              "put|raw|\xfe",
		`scan --limit=3 --keys "a"`: `scan|--limit=3|--keys|a`,
	} {
		words, err := ParseWords(line)
		var got []string
		for _, w := range words {
			got = append(got, w.Text)
		}
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q, %v, want %q", line, got, err, want)
		}
	}
}

func TestAWordThatIsBrokenIsNamedByItsColumn(t *testing.T) {
	for line, want := range map[string]string{
		`put "a`:    "column 5: the quote \" is not closed",
		`put 'a"`:   "column 5: the quote ' is not closed",
		`get \x4`:   "column 5",
		`get a\xzz`: "column 6",
		`get "\q"`:  "column 6",
		`get a\`:    "column 6",
	} {
		if words, err := ParseWords(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", line, words, err, want)
		}
	}
}

func TestWhatIsShownCanBeTypedBack(t *testing.T) {
	for in, want := range map[string]string{
		"":        `""`,
		"a":       `a`,
		"a b":     `"a b"`,
		"a\x00b":  `a\x00b`,
		"\n":      `\x0a`,
		`"`:       `\"`,
		`\x41`:    `\\x41`,
		"#a":      `"#a"`,
		"--keys":  `"--keys"`,
		"ü":       `\xc3\xbc`,
		"it's ok": `"it\'s ok"`,
	} {
		if got := Quote([]byte(in)); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	for b := range 256 {
		checkRoundTrip(t, string([]byte{byte(b)}))
		checkRoundTrip(t, string([]byte{'a', byte(b), ' '}))
	}
}

func FuzzWhatIsShownCanBeTypedBack(f *testing.F) {
	for _, seed := range []string{"", "a", " ", "#", "-", `\`, `"'`, "\xff\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkRoundTrip(t, text) })
}

func checkRoundTrip(t *testing.T, text string) {
	t.Helper()
	shown := Quote([]byte(text))
	words, err := ParseWords("x " + shown + " y")
	if err != nil || len(words) != 3 || words[1].Text != text {
		t.Errorf("%q is shown as %s and read as %+v, %v", text, shown, words, err)
	}
	if strings.HasPrefix(text, "--") && err == nil && !words[1].Quoted {
		t.Errorf("%q is shown as %s, which would be taken for a flag", text, shown)
	}
	if strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q is shown as %q, which cannot be seen", text, shown)
	}
}

func FuzzNoLinePanics(f *testing.F) {
	f.Add(`put "a" \x`)
	f.Fuzz(func(_ *testing.T, line string) {
		words, err := ParseWords(line)
		if err == nil && len(words) > 0 {
			if c, err := newTable(nil).find(words[0].Text); err == nil {
				_, _ = c.parse(words[1:])
			}
		}
		newTable(nil).complete(line)
	})
}

func TestMisspeltCommandsAreSuggested(t *testing.T) {
	for typed, want := range map[string]string{
		"gte": "get", "ptu": "put", "sacn": "scan", "delet": "delete", "batchput": "batch-put", "store": "stores",
		"hlep": "help",
		"exti": "exit", "xyzzy": "", "": "", "checksums": "checksum",
	} {
		_, err := newTable(nil).find(typed)
		suggests := err != nil && strings.Contains(err.Error(), fmt.Sprintf("did you mean %s?", want))
		if err == nil || (want != "") != strings.Contains(err.Error(), "did you mean") || want != "" && !suggests {
			t.Errorf("%q: %v, want %q", typed, err, want)
		}
	}
}

func TestCompletionKnowsCommandsAndTheirFlags(t *testing.T) {
	for line, want := range map[string]string{
		"": "put get scan rscan delete delete-range cas ttl batch-get batch-put batch-delete checksum cf " +
			"status members stores regions region tso help quit",
		"g":                  "get",
		"del":                "delete delete-range",
		"help sc":            "scan",
		"scan a --":          "--limit --keys --prefix",
		"put a 1 --t":        "--ttl",
		"get a":              "",
		"scan --limit 3 --k": "--keys",
		"nonsense --":        "",
		"cf ":                "default lock write",
		"cf l":               "lock",
		"cf lock ":           "",
	} {
		candidates, _ := newTable(nil).complete(line)
		if got := strings.Join(candidates, " "); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}
