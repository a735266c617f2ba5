// Words: how a line is cut into them, and how bytes are shown so that they can be typed back.
//
//	word     = { plain | escape | quoted }      words are separated by blanks
//	plain    = any byte but blank, quotes, backslash
//	escape   = \xNN | \n | \r | \t | \0 | \\ | \" | \' | \ and a blank
//	quoted   = '"' { any byte but " and \ | escape } '"'  and the same with '
//	comment  = # at the beginning of a word, to the end of the line

package shell

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Word is one of a line. A word that was quoted is never taken for a flag.
type Word struct {
	Text   string // any bytes
	Quoted bool
}

// ParseWords cuts a line into words. Error: a quote that is not closed, or an escape that is none, with its column.
func ParseWords(line string) ([]Word, error) {
	var words []Word
	for i := 0; i < len(line); {
		switch {
		case isBlank(line[i]):
			i++
		case line[i] == '#':
			return words, nil
		default:
			word, next, err := parseWord(line, i)
			if err != nil {
				return nil, err
			}
			words = append(words, word)
			i = next
		}
	}
	return words, nil
}

// parseWord reads the word that begins at start, and returns where it ends.
func parseWord(line string, start int) (word Word, next int, err error) {
	var text strings.Builder
	quote, opened := byte(0), 0 // the quote that is open, and where
	i := start
	for i < len(line) {
		b := line[i]
		switch {
		case b == '\\':
			value, size, err := parseEscape(line[i:])
			if err != nil {
				return Word{}, 0, fmt.Errorf("column %d: %w", i+1, err)
			}
			text.WriteByte(value)
			word.Quoted = true
			i += size
			continue
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			text.WriteByte(b)
		case b == '"' || b == '\'':
			quote, opened, word.Quoted = b, i, true
		case isBlank(b):
			word.Text = text.String()
			return word, i, nil
		default:
			text.WriteByte(b)
		}
		i++
	}
	if quote != 0 {
		return Word{}, 0, fmt.Errorf("column %d: the quote %c is not closed", opened+1, quote)
	}
	word.Text = text.String()
	return word, i, nil
}

// simpleEscapes are those of one character.
var simpleEscapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '0': 0, '\\': '\\', '"': '"', '\'': '\'', ' ': ' ',
	'#': '#', '-': '-'}

// parseEscape reads the escape that text begins with, and returns its length.
func parseEscape(text string) (value byte, size int, err error) {
	if len(text) >= 4 && text[1] == 'x' {
		if b, err := hex.DecodeString(text[2:4]); err == nil {
			return b[0], 4, nil
		}
	}
	if len(text) >= 2 {
		if b, ok := simpleEscapes[text[1]]; ok {
			return b, 2, nil
		}
	}
	return 0, 0, fmt.Errorf(`%q is no escape: write \xNN for any byte, or \n \t \r \0 \" \' \\`,
		text[:min(len(text), 4)])
}

// unescape replaces the escapes in text, and takes everything else as it is.
func unescape(text string) (string, error) {
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			plain.WriteByte(text[i])
			continue
		}
		b, size, err := parseEscape(text[i:])
		if err != nil {
			return "", err
		}
		plain.WriteByte(b)
		i += size - 1
	}
	return plain.String(), nil
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// briefBytes is how much of a key a message shows.
const briefBytes = 60

// brief is Quote for messages: of what is long it shows the beginning and the length.
func brief(b []byte) string {
	if len(b) <= briefBytes {
		return Quote(b)
	}
	return fmt.Sprintf("%s... (%d bytes)", Quote(b[:briefBytes]), len(b))
}

// Quote shows bytes so that they can be typed: as they are if they are plain, with escapes for what cannot be seen,
// in quotes if there are blanks. Characters beyond ASCII are shown as bytes: what looks equal is equal.
func Quote(b []byte) string {
	if len(b) == 0 {
		return `""`
	}
	var text strings.Builder
	blanks := b[0] == '#' || b[0] == '-'
	for _, c := range b {
		switch {
		case c == '\\' || c == '"' || c == '\'':
			text.WriteByte('\\')
			text.WriteByte(c)
		case c == ' ':
			blanks = true
			text.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&text, `\x%02x`, c)
		default:
			text.WriteByte(c)
		}
	}
	if blanks {
		return `"` + text.String() + `"`
	}
	return text.String()
}
