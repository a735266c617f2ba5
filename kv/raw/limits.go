// What a request may contain, and the errors for what it may not.

package raw

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// The limits of the raw API. A request beyond one is refused whole.
const (
	// MaxKeySize is the length of the longest key, in bytes. TiKV's default. A bound of a range may be one byte
	// longer, so that there is a bound right behind the longest key.
	MaxKeySize = 8 << 10
	// MaxValueSize is the length of the longest value, in bytes: below TiKV's default limit of 8 MiB for a raft
	// entry, and low enough that a batch and a gRPC message hold several.
	MaxValueSize = 6 << 20
	// MaxScanLimit is the largest limit of a scan, in pairs. It is the limit that TiKV's own clients keep to.
	MaxScanLimit = 10240
	// MaxResultSize bounds the keys and values that one request returns, in bytes. It keeps a request from taking the
	// memory of all others.
	MaxResultSize = 32 << 20
	// MaxTTL is the longest time to live, in seconds: 136 years. A larger number is a negative one that lost its sign
	// on the wire, or a mistake of units.
	MaxTTL = math.MaxUint32
)

// NoTTL as time to live says that a pair never expires.
const NoTTL = 0

// Errors of bad input. The text around them says which key or number it was. Hand them to the client: a repetition
// won't help.
var (
	// ErrEmptyKey: a pair can't have the empty key. (As a bound of a range the empty key means "no bound" and is fine.)
	ErrEmptyKey = errors.New("the key is empty")
	// ErrKeyTooLarge: a key has more than MaxKeySize bytes, or a bound more than MaxKeySize + 1.
	ErrKeyTooLarge = errors.New("the key is too large")
	// ErrValueTooLarge: a value has more than MaxValueSize bytes.
	ErrValueTooLarge = errors.New("the value is too large")
	// ErrBadTTL: a time to live is above MaxTTL, or a batch has neither no, nor one, nor one per pair.
	ErrBadTTL = errors.New("bad time to live")
	// ErrBadLimit: the limit of a scan is above MaxScanLimit.
	ErrBadLimit = errors.New("the limit is too large")
	// ErrInvertedRange: a range ends before it starts.
	ErrInvertedRange = errors.New("the range ends before it starts")
	// ErrResultTooLarge: the result would exceed MaxResultSize. Ask for fewer pairs.
	ErrResultTooLarge = errors.New("the result is too large")
)

// checkKey refuses a key that no pair can have.
func checkKey(key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: give it at least one byte", ErrEmptyKey)
	}
	if len(key) > MaxKeySize {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrKeyTooLarge, len(key), MaxKeySize)
	}
	return nil
}

// checkPair refuses a pair that can't be stored.
func checkPair(key, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValueSize {
		return fmt.Errorf("%w: %d bytes, at most %d, of key %s", ErrValueTooLarge, len(value), MaxValueSize, quote(key))
	}
	return nil
}

// checkRange refuses bounds that are too large or inverted. An empty bound is no bound. lower == upper is a range
// without keys.
func checkRange(lower, upper []byte) error {
	for _, bound := range [][]byte{lower, upper} {
		if len(bound) > MaxKeySize+1 {
			return fmt.Errorf("%w: a bound of %d bytes, at most %d", ErrKeyTooLarge, len(bound), MaxKeySize+1)
		}
	}
	if len(upper) > 0 && bytes.Compare(lower, upper) > 0 {
		return fmt.Errorf("%w: from %s to %s", ErrInvertedRange, quote(lower), quote(upper))
	}
	return nil
}

// quote shows the beginning of a key in an error's text.
func quote(key []byte) string {
	const most = 32
	if len(key) > most {
		return fmt.Sprintf("%q...", key[:most])
	}
	return fmt.Sprintf("%q", key)
}
