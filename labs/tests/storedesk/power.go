// Leaders that are replaced without knowing it, and time that passes unnoticed.

package storedesk

import (
	"fmt"
	"time"
)

// Overthrow has another store elected in the place of one that leads and does not hear of it: old is cut off, and no time
// passes for it, so it takes itself for the leader. The new one has applied an entry of its term when Overthrow returns.
func (d *Desk) Overthrow(old, by *Store) *Store {
	d.T.Helper()
	d.seize(old, by, by.leadsAll)
	return by
}

// Seize is Overthrow up to where the new store leads region 1; it may not have applied anything of its term.
func (d *Desk) Seize(old, by *Store) *Store {
	d.T.Helper()
	d.seize(old, by, func() bool { return by.Leads() })
	return by
}

// seize lets the rest forget the old leader, and then time pass for one of them alone, until it is there.
func (d *Desk) seize(old, by *Store, there func() bool) {
	d.T.Helper()
	d.Isolate(old)
	var rest []*Store
	for _, s := range d.Others(old) {
		if s != by {
			rest = append(rest, s)
		}
	}
	mark := len(d.Done)
	if len(rest) > 0 {
		d.Tick(by.electionTicks()+1, rest...)
	}
	for range 4 * by.electionTicks() {
		if there() {
			d.Done = d.Done[:mark]
			d.Say("no time passes for store %d; store %d is elected, in term %d, and has applied up to %s", old.ID, by.ID,
				by.View().Term, ShowPosition(by.Applied()))
			return
		}
		d.Tick(1, by)
	}
	d.Broken(fmt.Sprintf("store %d, which campaigns alone, is elected", by.ID), d.Where())
}

// Passes lets time pass for a store whose loop stands still: it does not turn, and what is due is given when it does.
func (s *Store) Passes(t time.Duration) {
	s.clock += t
	s.D.Say("%v pass at store %d, whose loop stands still", t, s.ID)
}

// CrashApart is Crash for disks of which one may keep more than the other: log and data are written by different syncs.
func (s *Store) CrashApart(log, data Keep) {
	if s.Core == nil {
		return
	}
	s.D.Say("store %d crashes; the disk of its log %s, that of its data %s", s.ID, log, data)
	s.end()
	s.LogDisk.Crash(log)
	s.DataDisk.Crash(data)
}
