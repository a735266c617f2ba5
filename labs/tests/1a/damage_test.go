// Damage: what stands on the disk is not what was written. A disk that fails, or that wrote to the wrong place, is
// played by changing the files of an open engine behind its back.

package stage1a_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tinykv/kv/engine"
	"tinykv/labs/tests/explain"
)

// spot names a pair.
type spot struct {
	cf  engine.CF
	key string
}

// damageKeys are in each family, with the value that valueAt says.
var damageKeys = []string{"key 0", "key 1", "key 2", "key 3", "key 4"}

// valueAt is the value of a pair in these tests: all have one length, and no two are the same.
func valueAt(at spot) string { return fmt.Sprintf("<%-7s|%s|as it was written>", at.cf, at.key) }

func (at spot) String() string { return fmt.Sprintf("%v %q", at.cf, at.key) }

// damages are what is done to the files, and to which pairs. Each is one that really happens.
var damages = []struct {
	what string
	to   []spot
	do   func(content []byte, to []spot) bool // reports whether content has what was to be damaged
}{
	{"flip a bit in the stored value", []spot{{engine.Default, "key 2"}}, flip},
	{"flip a bit in the stored value", []spot{{engine.Lock, "key 0"}}, flip},
	{"flip a bit in the stored value", []spot{{engine.Write, "key 4"}}, flip},
	{"overwrite the stored value with zeros", []spot{{engine.Write, "key 3"}}, blankOut},
	{"let two stored values change places", []spot{{engine.Lock, "key 1"}, {engine.Lock, "key 3"}}, exchange},
	{"let the stored values of two families change places", []spot{{engine.Default, "key 2"}, {engine.Lock, "key 2"}},
		exchange},
}

func flip(content []byte, to []spot) bool {
	i := bytes.Index(content, []byte(valueAt(to[0])))
	if i >= 0 {
		content[i+10] ^= 4
	}
	return i >= 0
}

func blankOut(content []byte, to []spot) bool {
	i := bytes.Index(content, []byte(valueAt(to[0])))
	if i >= 0 {
		clear(content[i : i+len(valueAt(to[0]))])
	}
	return i >= 0
}

// sealBytes is what the engine puts before each value (kv/engine/badger/seal.go): a disk that writes to the wrong place
// writes that along with it.
const sealBytes = 4

func exchange(content []byte, to []spot) bool {
	one, other := bytes.Index(content, []byte(valueAt(to[0]))), bytes.Index(content, []byte(valueAt(to[1])))
	if one < sealBytes || other < sealBytes {
		return false
	}
	length := sealBytes + len(valueAt(to[0]))
	a, b := content[one-sealBytes:][:length], content[other-sealBytes:][:length]
	kept := bytes.Clone(a)
	copy(a, b)
	copy(b, kept)
	return true
}

// eachDamage plays every damage on an engine of its own, whose pairs are in its files, and calls look with a snapshot.
// look tells whether it met the damage.
func eachDamage(t *testing.T, look func(v *view, hurt []spot) bool) {
	met := 0
	for _, c := range damages {
		d := open(t, told)
		var ops []engine.Op
		for _, cf := range engine.CFs {
			for _, key := range damageKeys {
				ops = append(ops, put(cf, key, valueAt(spot{cf, key})))
			}
		}
		d.write(ops...)
		d.close()
		d.say("open the directory again")
		d.reopen()
		d.say("in the files of the engine: %s, %v", c.what, c.to)
		d.spoil(func(content []byte) bool { return c.do(content, c.to) })
		v := d.snapshot()
		if look(v, c.to) {
			met++
		}
		v.close()
		d.close()
	}
	if met == 0 {
		t.Fatal("the test damaged nothing that is read")
	}
}

// spoil changes the files in place, so that whoever has them mapped into memory sees it.
func (d *desk) spoil(change func(content []byte) bool) {
	d.t.Helper()
	changed := false
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before := bytes.Clone(content)
		if !change(content) {
			return nil
		}
		changed = true
		return overwrite(path, before, content)
	})
	if err != nil || !changed {
		d.t.Fatalf("no file of the engine has the pair to be damaged (%v)", err)
	}
}

// overwrite writes the bytes that differ.
func overwrite(path string, before, after []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for i := range after {
		if after[i] != before[i] {
			if _, err := f.WriteAt(after[i:i+1], int64(i)); err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
	return f.Close()
}

func TestDamagedValueIsNotServed(t *testing.T) {
	eachDamage(t, func(v *view, hurt []spot) bool {
		met := false
		for _, cf := range engine.CFs {
			for _, key := range damageKeys {
				at := spot{cf, key}
				if !slices.Contains(hurt, at) {
					v.has(cf, key, valueAt(at))
					continue
				}
				got, err := v.get(cf, key)
				if err == nil && string(got) == valueAt(at) {
					continue // it was read before, and kept
				}
				met = true
				if !errors.Is(err, engine.ErrCorrupt) {
					v.d.broken("an error that is engine.ErrCorrupt", explain.Value(got, err))
				}
			}
		}
		return met
	})
}

func TestWalkStopsAtDamage(t *testing.T) {
	eachDamage(t, func(v *view, hurt []spot) bool {
		met := false
		for _, cf := range engine.CFs {
			met = v.walksTo(cf, hurt, false) || met
			met = v.walksTo(cf, hurt, true) || met
		}
		// Bounds keep a walk away from it, and then nothing is wrong.
		for _, at := range hurt {
			var below, above []pair
			for _, key := range damageKeys {
				if p := (pair{key, valueAt(spot{at.cf, key})}); key < at.key && !slices.Contains(hurt, spot{at.cf, key}) {
					below = append(below, p)
				} else if key > at.key && !slices.Contains(hurt, spot{at.cf, key}) {
					above = append(above, p)
				}
			}
			if len(below) == slices.Index(damageKeys, at.key) {
				v.holds(at.cf, "", at.key, below...)
			}
			if len(above) == len(damageKeys)-1-slices.Index(damageKeys, at.key) {
				v.holds(at.cf, at.key+"\x00", "", above...)
			}
		}
		return met
	})
}

// walksTo walks over a family until the end, or until it is told of damage, which must not be before a damaged pair. It
// reports whether it was told.
func (v *view) walksTo(cf engine.CF, hurt []spot, backward bool) bool {
	v.d.t.Helper()
	w := v.iterator(cf, "", "")
	keys, start, move := slices.Clone(damageKeys), w.first, w.next
	if backward {
		slices.Reverse(keys)
		start, move = w.last, w.prev
	}
	moved := start()
	for i, key := range keys {
		at := spot{cf, key}
		if moved || !slices.Contains(hurt, at) {
			w.at(moved, key, valueAt(at))
			if moved = move(); i == len(keys)-1 {
				break
			}
			continue
		}
		w.stopped()
		for _, again := range []func() bool{w.next, w.prev} {
			if again() {
				v.d.broken("false: damage has stopped the iterator", w.where(true))
			}
			w.stopped()
		}
		w.step("Close()")
		if err := w.it.Close(); !errors.Is(err, engine.ErrCorrupt) {
			v.d.broken("Close returns Err, which is engine.ErrCorrupt", explain.Error(err))
		}
		return true
	}
	w.off(moved)
	w.close()
	return false
}

// stopped insists that the iterator says that it met damage.
func (w *walk) stopped() {
	w.v.d.t.Helper()
	if w.it.Valid() || w.it.Key() != nil || !errors.Is(w.it.Err(), engine.ErrCorrupt) {
		w.v.d.broken("on no pair, with an Err that is engine.ErrCorrupt", w.where(w.it.Valid()))
	}
}
