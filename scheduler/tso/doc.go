// Package tso hands out timestamps that never repeat and never go back: not when the process restarts, not when
// another scheduler takes over, not when the wall clock jumps. Transactions are ordered by them, so all of Percolator
// rests on this package (Percolator §2.3).
//
// A timestamp is one number made of two:
//
//	 63 62                                   18 17                0
//	+--+---------------------------------------+-------------------+
//	|0 | physical: milliseconds since 1970     | logical: counter  |
//	+--+---------------------------------------+-------------------+
//
// Physical time makes timestamps mean something to people (how old is this lock?). The counter gives 262,144 of them
// within one millisecond. When the counter is used up, physical moves on by one even if the clock has not: order
// matters, the hour does not.
//
// A timestamp costs no disk write, because Oracle writes ahead: it makes "nothing at or above physical 1000 was
// handed out" durable once, and then serves from memory below that bound, the window. Whoever comes next starts at
// the bound.
//
//	  handed out        free to hand out without writing         not yet ours
//	───────────────┬──────────────────────────────────────┬───────────────────▶ physical
//	            position                                saved
//	                        when half is left: Persist{saved + more}, in the background
//
// Oracle is a state machine without clock, disk or goroutine. The driver tells it what happened, with the time, and
// does what the returned effects say:
//
//	o := tso.New(saved, tso.Options{})     // saved: what the last Persist made durable; 0 on a new cluster
//	effects := o.Request(now, id, 10)      // [Persist{UpTo}]: request id waits inside
//	effects = o.Persisted(now)             // [Grant{ID: id, Count: 10, Last: ...}]
//
// Invariants (the tests check them after every step):
//
//	T1  every timestamp granted is greater than every one granted before, by this Oracle or any before it
//	T2  nothing is granted at or above the bound that is durable
//	T3  the bounds asked to be persisted never go down, and one Persist is in flight at most
//	T4  every request gets exactly one answer: Grant or Refuse
//	T5  a disk that is slow, however slow, delays grants and does not starve them
//
// T1 needs one thing of the driver: that the Oracle before was stopped (or its process died) before the next one
// loads the bound. With several schedulers that is what a leader's lease is for.
//
// Left out: timestamps per data centre (PD's "local TSO"), and following a majority's clock. A clock that jumped a
// year ahead takes the timestamps with it, and when it returns they stay there, counting on.
package tso
