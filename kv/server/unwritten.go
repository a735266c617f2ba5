// Functions that are not written yet.

package server

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unwrittenPanic ends the text with which a function panics whose body is still to be written. It names the function:
// "Server.write is yours to write", perhaps with a word and a colon before it.
const unwrittenPanic = " is yours to write"

// unwritten tells whether a request met such a function, and somebody wants to know of it. Then the error says which
// function it was, and nil otherwise.
func (s *Server) unwritten(method string, cause any) error {
	text, ok := Unwritten(cause)
	if s.notice == nil || !ok {
		return nil
	}
	err := status.Errorf(codes.Unimplemented, "%s met a hole: %s", method, text)
	s.notice(err)
	return err
}

// Unwritten tells whether a panic is that of a function that is not written yet, and which function it is:
// "Server.write is yours to write".
func Unwritten(cause any) (text string, ok bool) {
	text, ok = cause.(string)
	if !ok || !strings.HasSuffix(text, unwrittenPanic) {
		return "", false
	}
	if _, after, found := strings.Cut(text, ": "); found {
		text = after
	}
	return text, true
}
