// Timestamp as a pair and as one number.

package tso

import "fmt"

// LogicalBits is the width of the logical part in a timestamp's number.
const LogicalBits = 18

const (
	// MaxLogical is the largest logical part.
	MaxLogical = 1<<LogicalBits - 1
	// MaxPhysical is the largest physical part, in milliseconds since 1970: the year 3084. With it a timestamp's
	// number is still positive as a signed 64-bit integer, which is what many programs will store it in.
	MaxPhysical = 1<<45 - 1
)

// Timestamp is a point in the order of all transactions.
type Timestamp struct {
	Physical int64 // milliseconds since 1970, 0 to MaxPhysical
	Logical  int64 // 0 to MaxLogical
}

// Uint64 is the timestamp as one number: greater numbers are later.
func (t Timestamp) Uint64() uint64 { return uint64(t.Physical)<<LogicalBits | uint64(t.Logical) }

// FromUint64 is the inverse of Uint64.
func FromUint64(ts uint64) Timestamp {
	return Timestamp{Physical: int64(ts >> LogicalBits), Logical: int64(ts & MaxLogical)}
}

// String is for people: "1700000000000.17".
func (t Timestamp) String() string { return fmt.Sprintf("%d.%d", t.Physical, t.Logical) }
