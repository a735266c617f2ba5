// Package storedesk is the workbench of the graded tests of the replicated store: one to five stores on disks in memory, a
// network that delivers at once except where a test says otherwise, time that passes when it is told to, and a record of
// what happened, which is told when a rule of a handout turns out to be broken.
//
//	test ── Writes, Reads, Cancels, Hears ──► Store.inbox ── Turn ──► Effects ── Next, one by one ──► disks, network, answers
//	test ── Run, Tick, Elect, Isolate, Net ──► Desk: all stores       │ Before, After: look, or Crash
//	test ── Crash, Start, State, Entries, Get, Applied ──► what the disks hold
//
// A store is driven as the contract of package store says, by the plainest loop there can be. Nothing is done in between
// that a test can't see or stop: Before is called before each effect, and a crash there loses what comes after it.
//
// What always holds:
//
//  1. Stores are seen only through store.Store, its events and effects, and what lies on their disks.
//  2. Nothing is left to chance: the sources of stores and disks are seeded by ids. What a crash leaves of what was not
//     synced is said by the test.
//  3. A message is copied when it is sent. Nobody shares memory with another store.
//  4. A request has at most one answer, or the test ends.
//
// Example:
//
//	d := storedesk.Open(t, oneAnswer, storedesk.Options{})  // three stores, one region
//	leader := d.Elect(1)
//	d.Before = func(s *storedesk.Store, e store.Effect) {
//		if _, ok := e.(store.WriteLog); ok && s == leader {
//			s.Crash(storedesk.LoseUnsynced)
//		}
//	}
//	r := leader.Writes("a", "1")
//	d.Run()
//	leader.Start()
//	d.Tick(20)
//	d.Check(!r.Answered(), "no answer: the write was never on a disk", "%s", r)
//
// It leaves out chance, delay, and slow disks: that is package kv/sim.
package storedesk
