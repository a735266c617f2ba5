// Errors: which are worth another attempt, and what the caller gets to read.

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/proto/pdpb"
)

// notLeaderTexts are the words by which a scheduler says that another one leads.
var notLeaderTexts = []string{"not leader", "mismatch leader id", "is not served", "not primary"}

// retryable tells whether another attempt, maybe at another scheduler, may succeed.
func retryable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true // that of the attempt; call notices when it was that of the caller
	}
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
		return true
	case codes.Unknown, codes.Internal:
		for _, text := range notLeaderTexts {
			if strings.Contains(s.Message(), text) {
				return true
			}
		}
	}
	return false
}

// ofHeader turns the error in a response's header into one of this package's.
func ofHeader(h *pdpb.ResponseHeader) error {
	e := h.GetError()
	switch {
	case e == nil || e.GetType() == pdpb.ErrorType_OK:
		return nil
	case e.GetType() == pdpb.ErrorType_NOT_BOOTSTRAPPED:
		return ErrNotBootstrapped
	case e.GetType() == pdpb.ErrorType_STORE_TOMBSTONE:
		return told{e.GetMessage(), ErrTombstone}
	case e.GetType() == pdpb.ErrorType_INVALID_VALUE:
		return told{e.GetMessage(), ErrInvalid}
	case strings.Contains(e.GetMessage(), "invalid store ID"):
		return told{e.GetMessage(), ErrUnknownStore}
	}
	return fmt.Errorf("%s (%v)", e.GetMessage(), e.GetType())
}

// told is an error in the scheduler's own words, and its kind.
type told struct {
	text string
	kind error
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.kind }

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return told{fmt.Sprintf("%s: the scheduler says: %s", what, s.Message()), err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// gaveUp is the error of a call whose time was up before an attempt succeeded.
func (c *Client) gaveUp(what string, ctx context.Context, last error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrClosed) {
		return fmt.Errorf("%s: %w", what, ErrClosed)
	}
	c.mu.Lock()
	addrs := strings.Join(c.addrs, ", ")
	c.mu.Unlock()
	text := last.Error()
	if s, ok := status.FromError(last); ok {
		text = s.Message()
	}
	return told{
		fmt.Sprintf("%s: no scheduler answered at %s (%s): is it running, and is the address right?", what, addrs,
			text),
		ctx.Err(),
	}
}
