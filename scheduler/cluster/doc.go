// Package cluster is what the scheduler believes about the cluster: its stores, its regions, who leads them. It
// decides which news to believe, and answers where a key is.
//
// The scheduler has no power over the truth. A region changes by its own Raft log, on its own stores; the scheduler
// only hears of it, late, twice, or in the wrong order, because each leader reports by itself. What tells old news
// from new is the region's epoch:
//
//	            version 1                     version 2                              version 3
//	key space   [       region 1        ]   [ region 1  ][   region 2    ]      [ region 1  ][ region 2 ][ region 3 ]
//	                                    split                                 split
//
// For each key the versions of the regions that held it, one after the other, strictly increase: a split gives both
// halves the old version plus one, a merge the greater of both plus one. So if two regions of different ids claim the
// same key, the one with the smaller version is from the past. That is the whole rule:
//
//	a report on a region is refused as stale if it is older than what is known of that region (either number of
//	the epoch), or if a region that overlaps it has an equal or greater version. Otherwise it is believed, and
//	what it overlaps is forgotten.
//
// Invariants:
//
//	C1  the regions believed in never overlap
//	C2  as long as a region is known, neither number of its epoch goes back
//	C3  an epoch names one range and one set of peers: a report with an equal epoch changes neither
//	C4  once every region's leader has reported its present state, the belief is the truth, whatever was heard before
//	C5  a cluster is bootstrapped once
//	C6  ids are handed out once, also across restarts (type IDs), and none that a store brought with it
//
// Cluster is plain data without clock, lock or disk. What must be durable before it becomes true comes as a Change:
//
//	change, err := c.PutStore(store)  // decides, and changes nothing yet
//	ids.Skip(change.LastID)           // whatever ids it brings, nobody else is given them
//	save(change)                      // the driver makes it durable
//	c.Commit(change)                  // now it is so
//
// Regions are different: they are a cache of what the stores know, so a heartbeat takes effect at once and is saved
// whenever it is convenient. A lost one comes again.
//
// Cost: lookups are a binary search; news that change no range touch one record; a split moves the tail of a slice of
// pointers, 40 microseconds among 100,000 regions. A tree would do that faster and read slower.
//
// Left out for now: states that say where a region should be (package balance will decide on that), and key-range
// statistics.
package cluster
