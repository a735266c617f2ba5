// The text with which a hole panics: the starter generator writes it, the grader reads it back.

package course

import (
	"regexp"
)

// PanicText is what the body of a hole panics with: "1a: snapshot.Get is yours to write".
func PanicText(stageID, function string) string {
	return stageID + ": " + function + " is yours to write"
}

var panicText = regexp.MustCompile(`\b([0-9][0-9a-z]*): ([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)?) is yours to write`)

// ParsePanicText finds the first PanicText in the output of a test, and the stage and function it names.
func ParsePanicText(output string) (stageID, function string, found bool) {
	m := panicText.FindStringSubmatch(output)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}
