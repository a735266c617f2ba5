// The simulated disk: a log of records, the mark up to which they are durable, and what working on it costs.

package mem

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"tinykv/kv/engine"
)

// ErrDiskFull is the disk's own error for a write beyond Options.Capacity. The engine that met it is ErrFailed from
// then on; what was acknowledged before stays.
var ErrDiskFull = errors.New("mem: no space left on the simulated disk")

// Options say what kind of disk it is. The zero value is an endless disk that takes no time.
type Options struct {
	Capacity  int64         // bytes; 0 is endless
	WriteCost time.Duration // virtual time that each write takes
	SyncCost  time.Duration // virtual time that each sync takes
	ByteCost  time.Duration // virtual time for each byte written
}

// Stats count what the disk did since NewDisk.
type Stats struct {
	Writes, Syncs int
	BytesWritten  int64
	BytesUsed     int64
	Busy          time.Duration // virtual time that all this took: a driver lets as much pass as it grew
}

// Disk holds what survives a crash. At most one engine is open on it at a time. Its methods may be called from any
// goroutine.
type Disk struct {
	// mu guards the disk and the tree of the engine that is open on it, whose values point into the records.
	mu      sync.RWMutex
	rng     *rand.Rand
	opts    Options
	records [][]byte // each as encodeRecord made it, unless torn or flipped
	durable int      // records[:durable] were synced; a real disk keeps such a mark in its metadata
	stats   Stats
	syncErr error   // what the next sync answers, once
	owner   *Engine // the engine that is open on it, or nil
}

// NewDisk makes an empty disk. All chance comes from rng, which the disk owns from now on.
func NewDisk(rng *rand.Rand, opts Options) *Disk {
	return &Disk{rng: rng, opts: opts}
}

// Stats returns the counters.
func (d *Disk) Stats() Stats {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.stats
}

// SetOptions changes the disk under its engine: it may become full, or slow, or well again.
func (d *Disk) SetOptions(opts Options) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opts = opts
}

// append writes a record, not yet durable. When the disk is full, as much as fits arrives: a torn record. Needs mu.
func (d *Disk) append(rec []byte) error {
	d.stats.Writes++
	if free := d.opts.Capacity - d.stats.BytesUsed; d.opts.Capacity > 0 && int64(len(rec)) > free {
		d.put(rec[:max(free, 0)])
		return fmt.Errorf("write %d bytes: %w (capacity %d)", len(rec), ErrDiskFull, d.opts.Capacity)
	}
	d.put(rec)
	return nil
}

func (d *Disk) put(rec []byte) {
	if len(rec) > 0 {
		d.records = append(d.records, rec)
	}
	n := int64(len(rec))
	d.stats.BytesUsed += n
	d.stats.BytesWritten += n
	d.stats.Busy += d.opts.WriteCost + time.Duration(n)*d.opts.ByteCost
}

// sync makes every record durable. Needs mu.
func (d *Disk) sync() error {
	d.stats.Syncs++
	d.stats.Busy += d.opts.SyncCost
	if err := d.syncErr; err != nil {
		d.syncErr = nil
		return fmt.Errorf("sync: %w", err)
	}
	d.durable = len(d.records)
	return nil
}

// replace swaps all records for one that is durable at once, as renaming a synced file does. Needs mu.
func (d *Disk) replace(rec []byte) {
	d.stats.Writes++
	d.stats.BytesUsed = 0
	d.records = nil
	d.put(rec)
	d.stats.Syncs++
	d.stats.Busy += d.opts.SyncCost
	d.durable = len(d.records)
}

// truncate drops every record from the i-th on: recovery found the i-th torn. Needs mu.
func (d *Disk) truncate(i int) {
	for _, rec := range d.records[i:] {
		d.stats.BytesUsed -= int64(len(rec))
	}
	d.records = d.records[:i:i]
	d.durable = min(d.durable, i)
}

// own makes e the engine of the disk. Error: engine.ErrInUse. Needs mu.
func (d *Disk) own(e *Engine) error {
	if d.owner != nil {
		return fmt.Errorf("open the simulated disk: %w: close its engine or crash the disk", engine.ErrInUse)
	}
	d.owner = e
	return nil
}
