// Disks of a store: what they lose is mem.Disk's affair, what they take is drawn here. And an engine that knows how many
// of its snapshots are open.

package sim

import (
	"errors"
	"math/rand/v2"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/engine/mem"
)

// errSync is what a disk says whose sync fails.
var errSync = errors.New("sim: the disk does not sync")

// disk is one of a store's.
type disk struct {
	c      *Cluster
	mem    *mem.Disk
	place  uint64 // by which its chance is drawn
	writes uint64
	slow   bool
	idle   bool // a write that is not synced takes time, too, in this life of its store
}

func newDisk(c *Cluster, storeID uint64, name string) disk {
	place := storeID*2 + uint64(len(name))%2
	seed := c.draw(drawDisk, place)
	return disk{c: c, place: place, mem: mem.NewDisk(rand.New(rand.NewPCG(seed, place)), mem.Options{})}
}

// become changes the disk as a decision says: "well", "slow", "full", or "failing" at its next sync.
func (d *disk) become(how string) {
	switch how {
	case "slow":
		d.slow = true
	case "full":
		d.mem.SetOptions(mem.Options{Capacity: d.mem.Stats().BytesUsed + 100})
	case "failing":
		d.mem.FailSync(errSync)
	default:
		d.slow = false
		d.mem.SetOptions(mem.Options{})
		d.mem.FailSync(nil)
	}
}

// latency is how long the next write takes: usually less than a message if it is synced, and nothing if not; of a disk that
// idles a part of a tick; of a slow one some ticks, and now and then seconds.
func (d *disk) latency(how engine.Durability) time.Duration {
	d.writes++
	chance := d.c.draw(drawSync, d.place, d.writes)
	rest := chance >> 16
	switch {
	case d.slow && chance%50 == 0:
		return time.Duration(rest % uint64(30*tick))
	case d.slow:
		return time.Duration(rest % uint64(tick))
	case how == engine.Buffered && d.idle:
		return time.Duration(rest % uint64(tick/4))
	case how == engine.Buffered:
		return 0
	case d.c.faults && chance%200 == 0:
		return time.Duration(rest % uint64(5*tick))
	}
	return 50*time.Microsecond + time.Duration(rest%uint64(2*time.Millisecond))
}

// watched is a data engine that counts its open snapshots: each keeps old data alive.
type watched struct {
	engine.Engine
	open int
}

// Snapshot implements engine.Engine.
func (w *watched) Snapshot() (engine.Snapshot, error) {
	s, err := w.Engine.Snapshot()
	if err != nil {
		return nil, err
	}
	w.open++
	return &watchedSnapshot{Snapshot: s, engine: w}, nil
}

type watchedSnapshot struct {
	engine.Snapshot
	engine *watched
}

// Close implements engine.Snapshot.
func (s *watchedSnapshot) Close() error {
	err := s.Snapshot.Close()
	if !errors.Is(err, engine.ErrClosed) {
		s.engine.open--
	}
	return err
}
