// The budget: what the answers of all requests together may hold in memory.
//
//	handler reads a value ──► charge of its request ──► budget of the process ──► refused if there is nothing left
//	answer is sent, or its request has ended ──────────────────────────────────► given back
//
// Each answer is bounded, and so is the number of requests, but their product is far more than any machine has. So an
// answer that finds the budget used up is refused as busy, and its client asks again later. It does not wait for
// others, for they might wait for it.

package server

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"

	"tinykv/kv/raw"
	"tinykv/kv/region"
)

const (
	// answerBudget is what all answers together may hold, in bytes: eight of the largest.
	answerBudget = 8 * raw.MaxResultSize
	// maxCharge is the most that one answer is charged for: it may read more than it keeps.
	maxCharge = raw.MaxResultSize + raw.MaxValueSize
)

// budget counts the bytes that are left.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// charge is what one request holds of the budget. It belongs to whoever works on the request at the time.
type charge struct {
	budget *budget
	held   int64
}

// add charges the request for n bytes. Error: region.BusyError if the budget is used up.
func (c *charge) add(n int) error {
	if c == nil || c.held >= maxCharge {
		return nil
	}
	if c.budget.left.Add(-int64(n)) < 0 {
		c.budget.left.Add(int64(n))
		return &region.BusyError{Reason: "too many large answers at once"}
	}
	c.held += int64(n)
	return nil
}

// release gives back all that the request holds. A second release gives back nothing.
func (c *charge) release() {
	if c != nil && c.held > 0 {
		c.budget.left.Add(c.held)
		c.held = 0
	}
}

type chargeKey struct{}

// withCharge returns a context by which what the request reads is charged to c; nil charges nothing.
func withCharge(ctx context.Context, c *charge) context.Context {
	return context.WithValue(ctx, chargeKey{}, c)
}

// chargeOf returns the charge of the request, or nil if it has none.
func chargeOf(ctx context.Context) *charge {
	c, _ := ctx.Value(chargeKey{}).(*charge)
	return c
}

// unaryCharges is a stats.Handler that gives each unary call a charge and releases it when the call has ended: gRPC
// holds an answer until its client takes it, long after the handler has returned.
type unaryCharges struct{ budget *budget }

// TagRPC implements stats.Handler.
func (u unaryCharges) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return withCharge(ctx, &charge{budget: u.budget})
}

// HandleRPC implements stats.Handler.
func (u unaryCharges) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ended := event.(*stats.End); ended {
		chargeOf(ctx).release()
	}
}

// TagConn implements stats.Handler.
func (u unaryCharges) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (u unaryCharges) HandleConn(context.Context, stats.ConnStats) {}
