// How much a range takes: tables on disk, and a share of what is still in memory.

package pebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tinykv/kv/engine"
)

// ApproximateSize implements engine.Engine. Tables count as they are, compressed. What is in memory tables is
// thought to be spread like what is on disk, as pebble does not tell; only while nothing is on disk is it walked,
// which is bounded by the size of the memory tables.
func (e *Engine) ApproximateSize(cf engine.CF, start, end []byte) (uint64, error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	if err := checkCF(cf); err != nil {
		return 0, err
	}
	lower, upper, ok := encodeRange(cf, start, end)
	if !ok {
		return 0, nil
	}
	size, err := e.approximateSize(lower, upper)
	if err != nil {
		return 0, fmt.Errorf("estimate the size of a range in %s: %w", e.dir, readError(err))
	}
	return size, nil
}

func (e *Engine) approximateSize(lower, upper []byte) (uint64, error) {
	onDisk, err := e.db.EstimateDiskUsage(lower, upper)
	if err != nil {
		return 0, err
	}
	total, err := e.db.EstimateDiskUsage([]byte{0}, []byte{0xff})
	if err != nil {
		return 0, err
	}
	if total == 0 {
		return e.walk(lower, upper)
	}
	inMemory := e.db.Metrics().WAL.Size // the log of what is not in tables yet
	return onDisk + uint64(float64(inMemory)*float64(onDisk)/float64(total)), nil
}

// walk adds up keys and values.
func (e *Engine) walk(lower, upper []byte) (size uint64, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		size += uint64(len(it.Key()) + len(it.Value()))
	}
	return size, it.Close()
}
