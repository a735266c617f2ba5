// Package store is all replicas of a process and the loop that drives them, as a state machine: events go in, and a
// turn gives back what is to be done, for all regions at once.
//
//	requests  messages  snapshots  ends of what was begun
//	     │        │         │         │
//	     ▼        ▼         ▼         ▼
//	   Handle(now, Event) ──► routed to the peer of the region ──► touched
//	   Turn(now) ──► the Ready of each touched peer ──► []Effect
//	                      Publish  leases withdrawn
//	                      Send     what promises nothing
//	                      WriteLog one batch, one sync, all regions
//	                      Send     promises
//	                      WriteData
//	                      Answer
//	                      Publish
//	                      SyncData Stream Install Discard   (begun; an event tells the end)
//	   Done(now)
//
// Two drivers run it: a real one with goroutines, files and sockets (kv/replicated), and a simulated one (kv/sim). A
// driver is this loop, and nothing in it decides:
//
//	s, err := store.Open(cfg)             // remove all spools but s.Spools()
//	for {
//		for ... { s.Handle(now(), event) }  // whatever came in; at s.NextTick() at the latest
//		effects := s.Turn(now())
//		for _, e := range effects {
//			if err := carryOut(e); err != nil { s.Fail(err); break }
//		}
//		s.Done(now())                       // unless it failed; only if there were effects
//	}
//
// # What always holds
//
//  1. A turn writes to the log at most once, with at most one sync, however many regions have something to remember.
//  2. Whatever is sent, answered or published was made true by the effects before it (package replica, "What goes out
//     when"). So the process may die between any two effects.
//  3. Every request is answered exactly once, also when the peer goes, the store stops, or a disk fails.
//  4. What another store sends is input from a stranger. What is refused has no effect but on a counter (Stats.Refused).
//  5. A failed write ends the store: nothing is written, sent or acknowledged any more, but for errors to those who wait,
//     and Halt.
//  6. Equal seeds and equal calls give equal effects. No order of a map reaches a decision.
//
// # Time
//
// now is the time since Open on a monotonic clock. Ticks are due at multiples of TickInterval, and given when the
// store is called next. Leases are counted from the time at which a tick was due, not from when it was given: a loop
// that is late never makes one longer. A process that stood still for long gets no more ticks than every timeout
// needs to pass.
//
// # What it leaves out
//
// Splits and merges, balance, idle regions that stop ticking; and how many events are worth one turn, which is the
// driver's choice: more of them share one sync, and wait for each other.
package store
