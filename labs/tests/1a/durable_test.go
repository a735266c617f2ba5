// What is there when the engine is opened again: after a close, and after a crash.

package stage1a_test

import (
	"fmt"
	"strings"
	"testing"

	"tinykv/kv/engine"
)

func TestReopenFindsEverything(t *testing.T) {
	d := open(t, durable)
	d.write(put(engine.Default, "a", "1"), put(engine.Lock, "a", "lock"), put(engine.Write, "empty", ""))
	d.write(put(engine.Default, "b", strings.Repeat("long ", 2000)), put(engine.Default, "gone", "x"))
	d.write(del(engine.Default, "gone"), delRange(engine.Lock, "", ""))
	for range 3 {
		d.close()
		d.say("open the directory again")
		d.reopen()
		s := d.snapshot()
		s.has(engine.Default, "a", "1")
		s.has(engine.Default, "b", strings.Repeat("long ", 2000))
		s.lacks(engine.Default, "gone")
		s.holds(engine.Lock, "", "")
		s.holds(engine.Write, "", "", pair{"empty", ""})
		s.close()
	}
	// What is written after a reopening is newer than what was there.
	d.write(put(engine.Default, "a", "2"), del(engine.Write, "empty"), put(engine.Lock, "z", "9"))
	s := d.snapshot()
	s.has(engine.Default, "a", "2")
	s.holds(engine.Write, "", "")
	s.holds(engine.Lock, "", "", pair{"z", "9"})
}

// TestSyncedWritesSurviveACrash copies the files while the engine runs: what a killed process leaves behind.
func TestSyncedWritesSurviveACrash(t *testing.T) {
	d := open(t, durable)
	model := newModel()
	for i := range 5 {
		ops := []engine.Op{put(engine.Default, fmt.Sprint("key ", i), "v"), put(engine.Lock, "last", fmt.Sprint(i))}
		if i == 3 {
			ops = append(ops, delRange(engine.Default, "key 1", "key 3"))
		}
		if err := d.try(engine.Synced, ops...); err != nil {
			d.broken("no error", err.Error())
		}
		for _, op := range ops {
			model.apply(op)
		}
		c := &desk{t: t, rule: durable, dir: d.copyDir(), done: append(append([]string{}, d.done...), "kill the process",
			"open the directory again")}
		c.reopen()
		s := c.snapshot()
		for _, cf := range engine.CFs {
			s.holds(cf, "", "", model.pairs(cf, "", "")...)
		}
		s.close()
		c.close()
	}
	// A sync with an empty batch covers what was buffered before it.
	d.write(put(engine.Write, "buffered", "1"))
	if err := d.try(engine.Synced); err != nil {
		d.broken("no error: an empty batch with Synced is a sync", err.Error())
	}
	c := &desk{t: t, rule: durable, dir: d.copyDir(), done: append(append([]string{}, d.done...), "kill the process",
		"open the directory again")}
	c.reopen()
	s := c.snapshot()
	s.has(engine.Write, "buffered", "1")
	s.close()
	c.close()
}
