// Pairs and column families: what is written is what is read.

package stage1a_test

import (
	"errors"
	"strings"
	"testing"

	"tinykv/kv/engine"
)

func TestPutThenGet(t *testing.T) {
	d := open(t, newest)
	d.write(put(engine.Default, "a", "1"), put(engine.Default, "b", "2"))
	s := d.snapshot()
	s.has(engine.Default, "a", "1")
	s.has(engine.Default, "b", "2")
	s.close()

	d.write(put(engine.Default, "a", "one"))
	s = d.snapshot()
	s.has(engine.Default, "a", "one")
	s.has(engine.Default, "b", "2")
	s.close()

	d.write(del(engine.Default, "a"), del(engine.Default, "never written"))
	d.write(put(engine.Default, "b", ""))
	d.write(put(engine.Default, "b", "two"))
	s = d.snapshot()
	s.has(engine.Default, "b", "two")
	s.close()
}

func TestMissingIsNotEmpty(t *testing.T) {
	d := open(t, notEmpty)
	d.write(put(engine.Default, "empty", ""), put(engine.Default, "gone", "x"), put(engine.Default, "back", "x"))
	d.write(del(engine.Default, "gone"), del(engine.Default, "back"))
	d.write(put(engine.Default, "back", ""))
	s := d.snapshot()
	for _, key := range []string{"empty", "back"} {
		got, err := s.get(engine.Default, key)
		if err != nil || len(got) != 0 {
			d.broken(`the value "", and no error`, value(got, err))
		}
		if got == nil {
			d.broken(`[]byte{}: the contract of Get says that an empty value is not nil`, "nil")
		}
	}
	s.lacks(engine.Default, "gone")
	s.lacks(engine.Default, "never written")
	s.lacks(engine.Default, "empt")
	s.lacks(engine.Default, "emptyy")
	s.lacks(engine.Default, "")
	s.lacks(engine.Lock, "empty")

	// An iterator tells them apart in the same way.
	s.holds(engine.Default, "", "", pair{"back", ""}, pair{"empty", ""})
}

func TestColumnFamiliesShareNothing(t *testing.T) {
	d := open(t, families)
	for _, cf := range engine.CFs {
		d.write(put(cf, "k", "in "+cf.String()))
	}
	s := d.snapshot()
	for _, cf := range engine.CFs {
		s.has(cf, "k", "in "+cf.String())
	}
	s.close()

	d.write(del(engine.Lock, "k"))
	s = d.snapshot()
	s.has(engine.Default, "k", "in default")
	s.lacks(engine.Lock, "k")
	s.has(engine.Write, "k", "in write")
	s.close()

	// Whatever stands between the name of a family and a key, a key can look like it.
	d.write(put(engine.Lock, "k", "in lock"))
	var all []pair
	for _, key := range []string{"default_k", "lock_k", "lockk", "write_k", "default:k", "write:k", "write/k", "\x00k",
		"\x01k", "\x02k",
		"\x00", "\x01", "\x02", "0k", "1k", "2k", "dk", "lk", "wk", "d", "l", "w", "_k"} {
		d.write(put(engine.Default, key, "mine"))
		all = append(all, pair{key, "mine"})
	}
	all = append(all, pair{"k", "in default"})
	sortPairs(all)
	s = d.snapshot()
	for _, p := range all {
		s.has(engine.Default, p.k, p.v)
		if p.k != "k" {
			s.lacks(engine.Lock, p.k)
			s.lacks(engine.Write, p.k)
		}
	}
	s.holds(engine.Default, "", "", all...)
	s.holds(engine.Lock, "", "", pair{"k", "in lock"})
	s.holds(engine.Write, "", "", pair{"k", "in write"})
	s.close()
}

func TestIteratorStaysInItsColumnFamily(t *testing.T) {
	// Each family in turn is empty between full neighbours, then holds keys at both ends of the key space.
	for _, cf := range engine.CFs {
		d := open(t, families)
		for _, other := range engine.CFs {
			if other != cf {
				d.write(put(other, "\x00", "low"), put(other, "m", "middle"), put(other, "\xff\xff\xff", "high"))
			}
		}
		s := d.snapshot()
		s.holds(cf, "", "")
		s.holds(cf, "a", "")
		s.holds(cf, "", "z")
		w := s.iterator(cf, "", "")
		w.off(w.seekGE("a"))
		w.off(w.seekLT("z"))
		w.close()
		s.close()

		d.write(put(cf, "\x00", "l"), put(cf, "n", "m"), put(cf, "\xff\xff\xff\xff", "h"))
		s = d.snapshot()
		s.holds(cf, "", "", pair{"\x00", "l"}, pair{"n", "m"}, pair{"\xff\xff\xff\xff", "h"})
		w = s.iterator(cf, "", "")
		w.at(w.last(), "\xff\xff\xff\xff", "h")
		w.off(w.next())
		w.at(w.prev(), "\xff\xff\xff\xff", "h")
		w.at(w.first(), "\x00", "l")
		w.off(w.prev())
		w.at(w.next(), "\x00", "l")
		w.close()
		s.close()
	}
}

func TestAnyBytesMakeAKey(t *testing.T) {
	d := open(t, exactly)
	keys := []string{"\x00", "\x00\x00", "\x00\xff", "!", "!!", "!badger!", "!badger!txn", "a", "a\x00", "a\x00\x00",
		"a\x01", "a\xff", "aa", "b",
		"\x7f", "\x80", "\xc3\xa9", "\xfe", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff",
		strings.Repeat("k", engine.MaxKeySize)}
	var all []pair
	for _, cf := range engine.CFs {
		var ops []engine.Op
		all = nil
		for _, key := range keys {
			ops = append(ops, put(cf, key, "v"+key[:1]))
			all = append(all, pair{key, "v" + key[:1]})
		}
		d.write(ops...)
	}
	sortPairs(all)
	s := d.snapshot()
	for _, cf := range engine.CFs {
		s.holds(cf, "", "", all...)
		for _, p := range all {
			s.has(cf, p.k, p.v)
		}
	}
	// What looks like the number of a version behind the key is part of the key.
	s.lacks(engine.Default, "b\x00")
	s.lacks(engine.Default, "b\xff\xff\xff\xff\xff\xff\xff\xff")
}

func TestBytesHaveOneOwner(t *testing.T) {
	d := open(t, owner)
	key, value := []byte("key"), []byte("value")
	var b engine.Batch
	b.Put(engine.Default, key, value)
	b.Put(engine.Write, key, value)
	d.say(`Write{put default "key"="value", put write "key"="value"}`)
	if err := d.e.Write(&b, engine.Buffered); err != nil {
		d.broken("no error", err.Error())
	}
	d.say("overwrite the slices that were passed, Reset the batch, fill it anew without writing it")
	copy(key, "xxx")
	copy(value, "xxxxx")
	b.Reset()
	b.Put(engine.Default, []byte("yek"), []byte("eulav"))
	s := d.snapshot()
	s.holds(engine.Default, "", "", pair{"key", "value"})

	got, err := s.get(engine.Default, "key")
	if err != nil {
		d.broken("the value", err.Error())
	}
	d.say("overwrite the slice that Get returned")
	clear(got[:cap(got)])
	s.has(engine.Default, "key", "value")

	one, _ := s.get(engine.Default, "key")
	other, _ := s.get(engine.Write, "key")
	d.say("append to what the first Get returned")
	_ = append(one, "!!!!!!!!"...)
	if string(other) != "value" {
		d.broken(`the other value is still "value"`, string(other))
	}
	s.holds(engine.Default, "", "", pair{"key", "value"})

	// The bounds and the sought key belong to the caller again as soon as the call returns.
	d.write(put(engine.Default, "a", "1"), put(engine.Default, "z", "26"))
	s.close()
	s = d.snapshot()
	lower, upper := []byte("b"), []byte("m")
	d.say("it := %s.Iterator(default, [\"b\", \"m\")), then overwrite the two bounds", s.name)
	it, err := s.s.Iterator(engine.Default, engine.IterOptions{Lower: lower, Upper: upper})
	if err != nil {
		d.broken("an iterator", err.Error())
	}
	lower[0], upper[0] = 'a', '~'
	w := &walk{v: s, name: "it", it: it}
	w.at(w.first(), "key", "value")
	w.off(w.next())
	w.at(w.last(), "key", "value")
	w.off(w.prev())
	w.close()

	d.say("close %s and keep what Get returned", s.name)
	kept, err := s.get(engine.Default, "key")
	s.close()
	d.write(put(engine.Default, "key", "other"))
	if err != nil || string(kept) != "value" {
		d.broken(`what Get returned is still "value"`, string(kept))
	}
}

func TestLimitsAreRefusedWithNames(t *testing.T) {
	d := open(t, refused)
	good := put(engine.Default, "good", "1")
	for _, c := range []struct {
		ops  []engine.Op
		want error
		name string
	}{
		{[]engine.Op{good, put(engine.Default, "", "x")}, engine.ErrEmptyKey, "engine.ErrEmptyKey"},
		{[]engine.Op{good, del(engine.Lock, "")}, engine.ErrEmptyKey, "engine.ErrEmptyKey"},
		{[]engine.Op{good, put(engine.Default, strings.Repeat("k", engine.MaxKeySize+1), "x")}, engine.ErrTooLarge,
			"engine.ErrTooLarge"},
		{[]engine.Op{good, del(engine.Default, strings.Repeat("k", engine.MaxKeySize+1))}, engine.ErrTooLarge,
			"engine.ErrTooLarge"},
		{[]engine.Op{good, put(engine.CF(9), "k", "x")}, engine.ErrUnknownCF, "engine.ErrUnknownCF"},
	} {
		if err := d.try(engine.Buffered, c.ops...); !errors.Is(err, c.want) {
			d.broken("an error that is "+c.name, value(nil, err))
		}
		s := d.snapshot()
		s.lacks(engine.Default, "good")
		s.holds(engine.Default, "", "")
		s.close()
	}
	var big []engine.Op
	for i := range 5 {
		big = append(big, put(engine.Default, string(rune('a'+i)), strings.Repeat("v", engine.MaxBatchSize/4)))
	}
	if err := d.try(engine.Buffered, big...); !errors.Is(err, engine.ErrTooLarge) {
		d.broken("an error that is engine.ErrTooLarge", value(nil, err))
	}
	s := d.snapshot()
	s.holds(engine.Default, "", "")
	if _, err := s.s.Get(engine.CF(9), []byte("k")); !errors.Is(err, engine.ErrUnknownCF) {
		d.say("%s.Get(CF(9), \"k\")", s.name)
		d.broken("an error that is engine.ErrUnknownCF", value(nil, err))
	}
	if it, err := s.s.Iterator(engine.CF(9), engine.IterOptions{}); !errors.Is(err, engine.ErrUnknownCF) {
		if it != nil {
			it.Close()
		}
		d.say("%s.Iterator(CF(9))", s.name)
		d.broken("an error that is engine.ErrUnknownCF", value(nil, err))
	}
	s.close()
	if _, err := d.e.ApproximateSize(engine.CF(9), nil, nil); !errors.Is(err, engine.ErrUnknownCF) {
		d.say("ApproximateSize(CF(9))")
		d.broken("an error that is engine.ErrUnknownCF", value(nil, err))
	}

	// A refusal is no failure of the disk: the engine goes on.
	if err := d.try(engine.Synced, good); err != nil {
		d.broken("no error: a refused batch does not stop the engine", err.Error())
	}
	s = d.snapshot()
	s.has(engine.Default, "good", "1")
}
