// Cases about batches: order, all or nothing, reuse, limits, many writers.

package enginetest

import (
	"fmt"
	"strconv"
	"sync"

	"tinykv/kv/engine"
)

var batchCases = []Case{
	{"batch_order", "Write applies all operations in their order", func(w *world) {
		w.write(engine.Buffered, put("a", "1"), put("a", "2"))
		w.wantGet(engine.Default, "a", "2")
		w.write(engine.Buffered, put("a", "3"), del("a"))
		w.wantMissing(engine.Default, "a")
		w.write(engine.Buffered, del("a"), put("a", "4"))
		w.wantGet(engine.Default, "a", "4")
		w.write(engine.Buffered, del("a"), put("a", "5"), del("a"), put("a", "6"))
		w.wantPairs(engine.Default, "a=6")
	}},
	{"batch_order_with_ranges",
		"a range delete in a batch removes what the batch put before it and not what it puts after it", func(w *world) {
			w.write(engine.Buffered, put("a", "1"), put("c", "1"), put("e", "1"))
			w.write(engine.Buffered, put("b", "2"), put("c", "2"), delRange("a", "d"), put("c", "3"))
			w.wantPairs(engine.Default, "c=3", "e=1")
			w.write(engine.Buffered, delRange("", ""), put("z", "9"), delRange("x", "y"))
			w.wantPairs(engine.Default, "z=9")
		}},
	{"batch_across_families", "a batch may touch several families and is still one", func(w *world) {
		w.write(engine.Synced, putIn(engine.Lock, "k", "l"), putIn(engine.Default, "k", "d"))
		w.write(engine.Synced, engine.Op{Kind: engine.OpDelete, CF: engine.Lock, Key: []byte("k")},
			putIn(engine.Write, "k", "w"))
		w.wantPairs(engine.Default, "k=d")
		w.wantPairs(engine.Lock)
		w.wantPairs(engine.Write, "k=w")
	}},
	{"batch_refused_whole", "Write applies all operations or none of them", func(w *world) {
		w.put("a", "1")
		w.wantErr(w.tryWrite(engine.Synced, put("a", "2"), put("b", "2"), del("c"), put("", "x")), engine.ErrEmptyKey)
		w.wantPairs(engine.Default, "a=1")
		w.wantErr(w.tryWrite(engine.Synced, put("a", "2"), put("b", "2"), del(fill(engine.MaxKeySize+1, 'k'))),
			engine.ErrTooLarge)
		w.wantPairs(engine.Default, "a=1")
		w.put("b", "3") // a refused batch is no failure: the engine goes on
		w.wantPairs(engine.Default, "a=1", "b=3")
	}},
	{"batch_reused", "b may be changed, reset and written again as soon as Write returns", func(w *world) {
		var b engine.Batch
		b.Put(engine.Default, []byte("a"), []byte("first"))
		w.did("Write({Put \"a\" = \"first\"})")
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
		before := w.snapshot()
		b.Reset()
		b.Put(engine.Default, []byte("b"), []byte("again"))
		w.did("the same batch: Reset(), Put \"b\" = \"again\", Write")
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
		w.wantPairs(engine.Default, "a=first", "b=again")
		w.put("b", "between")
		w.did("the same batch, unchanged: Write")
		w.wantErr(w.e.Write(&b, engine.Synced), nil)
		b.Put(engine.Default, []byte("c"), []byte("more"))
		w.did("the same batch: Put \"c\" = \"more\", Write")
		w.wantErr(w.e.Write(&b, engine.Synced), nil)
		w.wantPairs(engine.Default, "a=first", "b=again", "c=more")
		before.wantPairs(engine.Default, engine.IterOptions{}, "a=first")
	}},
	{"slices_reused", "the caller may change the slices it gave to a batch", func(w *world) {
		key, value := []byte("key"), []byte("value")
		var b engine.Batch
		b.Put(engine.Default, key, value)
		copy(key, "xxx")
		w.did("Put(key, value), then overwrite key, then Write, then overwrite value")
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
		copy(value, "xxxxx")
		w.wantPairs(engine.Default, "key=value")
	}},
	{"empty_batch", "an empty batch with Synced is a sync of what came before", func(w *world) {
		w.write(engine.Buffered)
		w.put("a", "1")
		w.write(engine.Synced)
		w.wantPairs(engine.Default, "a=1")
	}},
	{"key_limit", "a key of MaxKeySize is stored, a longer one is ErrTooLarge", func(w *world) {
		longest := fill(engine.MaxKeySize, 'k')
		w.put(longest, "v")
		w.wantGet(engine.Default, longest, "v")
		w.wantErr(w.tryWrite(engine.Buffered, put(longest+"k", "v")), engine.ErrTooLarge)
		w.wantErr(w.tryWrite(engine.Buffered, del(longest+"k")), engine.ErrTooLarge)
		w.wantErr(w.tryWrite(engine.Buffered, delRange(longest+"k", "")), engine.ErrTooLarge)
		w.wantErr(w.tryWrite(engine.Buffered, put("", "v")), engine.ErrEmptyKey)
		w.wantErr(w.tryWrite(engine.Buffered, del("")), engine.ErrEmptyKey)
		w.wantPairs(engine.Default, longest+"=v")
	}},
	{"batch_limit",
		"a batch of MaxBatchSize is written, a larger one or a value above MaxValueSize is ErrTooLarge",
		func(w *world) {
			b := batchOf(put("a", fill(engine.MaxValueSize, 'a')), put("b", fill(engine.MaxValueSize, 'b')))
			rest := engine.MaxBatchSize - b.Size() - engine.OpOverhead - 1
			b.Put(engine.Default, []byte("c"), []byte(fill(rest, 'c')))
			w.did("Write a batch of %d bytes (MaxBatchSize)", b.Size())
			w.wantErr(w.e.Write(b, engine.Synced), nil)
			w.wantGet(engine.Default, "a", fill(engine.MaxValueSize, 'a'))
			w.wantGet(engine.Default, "c", fill(rest, 'c'))
			b.Delete(engine.Default, []byte("a"))
			w.did("add Delete \"a\" and Write the batch of %d bytes, more than MaxBatchSize", b.Size())
			w.wantErr(w.e.Write(b, engine.Synced), engine.ErrTooLarge)
			w.wantErr(w.tryWrite(engine.Synced, put("d", fill(engine.MaxValueSize+1, 'd'))), engine.ErrTooLarge)
			w.wantMissing(engine.Default, "d")
			w.wantGet(engine.Default, "a", fill(engine.MaxValueSize, 'a'))
		}},
	{"batch_of_many", "MaxBatchSize bounds the number of operations, too", func(w *world) {
		var b engine.Batch
		n := 0
		for ; b.Size()+engine.OpOverhead+8 <= engine.MaxBatchSize/8; n++ {
			b.Put(engine.Default, fmt.Appendf(nil, "%08d", n), nil)
		}
		w.did("Write a batch of %d empty values, %d bytes", n, b.Size())
		w.wantErr(w.e.Write(&b, engine.Buffered), nil)
		for _, i := range []int{0, 1, n / 2, n - 1} {
			w.wantGet(engine.Default, fmt.Sprintf("%08d", i), "")
		}
	}},
	{"batch_is_atomic_to_readers", "no snapshot ever shows a part of a batch", atomicToReaders},
	{"many_writers", "all methods may be called from any goroutine, and no write is lost", manyWriters},
}

// atomicToReaders writes batches that give all keys the same value, while readers look for two values in one snapshot.
func atomicToReaders(w *world) {
	const keys, rounds, readers = 40, 60, 3
	key := func(i int) []byte { return []byte("k" + strconv.Itoa(i)) }
	write := func(round int) error {
		var b engine.Batch
		for i := range keys {
			b.Put(engine.CFs[i%len(engine.CFs)], key(i), []byte(strconv.Itoa(round)))
		}
		return w.e.Write(&b, engine.Buffered)
	}
	w.wantErr(write(0), nil)
	w.did("one goroutine writes batches that give %d keys of three families one value; "+
		"%d others read all of them in a snapshot", keys, readers)

	stop := make(chan struct{})
	trouble := make(chan error, readers)
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := sameValue(w.e, keys, key); err != nil {
					trouble <- err
					return
				}
			}
		})
	}
	var err error
	for round := 1; round <= rounds && err == nil; round++ {
		err = write(round)
	}
	close(stop)
	reading.Wait()
	w.wantErr(err, nil)
	select {
	case err := <-trouble:
		w.fail("one value in each snapshot", err)
	default:
	}
}

func sameValue(e engine.Engine, keys int, key func(int) []byte) error {
	s, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	first, err := s.Get(engine.CFs[0], key(0))
	if err != nil {
		return fmt.Errorf("get of %q: %w", key(0), err)
	}
	for i := keys - 1; i > 0; i-- {
		got, err := s.Get(engine.CFs[i%len(engine.CFs)], key(i))
		if err != nil {
			return fmt.Errorf("get of %q: %w", key(i), err)
		}
		if string(got) != string(first) {
			return fmt.Errorf("key %q has the value of batch %s and key %q that of batch %s", key(0), first,
				key(i), got)
		}
	}
	return nil
}

// manyWriters lets each goroutine read its own writes and checks all of them at the end.
func manyWriters(w *world) {
	const writers, rounds = 16, 12
	w.did("%d goroutines write %d batches each, every third Synced, and read back what they wrote", writers, rounds)
	trouble := make(chan error, writers)
	var writing sync.WaitGroup
	for id := range writers {
		writing.Go(func() {
			for round := range rounds {
				if err := writeAndReadBack(w.e, id, round); err != nil {
					trouble <- fmt.Errorf("writer %d, round %d: %w", id, round, err)
					return
				}
			}
		})
	}
	writing.Wait()
	select {
	case err := <-trouble:
		w.fail("each writer's own value", err)
	default:
	}
	s := w.snapshot()
	for id := range writers {
		for round := range rounds {
			s.wantGet(engine.Write, fmt.Sprintf("w%02d-%02d", id, round), strconv.Itoa(round))
		}
		s.wantGet(engine.Lock, fmt.Sprintf("w%02d", id), strconv.Itoa(rounds-1))
	}
}

func writeAndReadBack(e engine.Engine, id, round int) error {
	value := []byte(strconv.Itoa(round))
	var b engine.Batch
	b.Put(engine.Write, fmt.Appendf(nil, "w%02d-%02d", id, round), value)
	b.Put(engine.Lock, fmt.Appendf(nil, "w%02d", id), value)
	d := engine.Buffered
	if round%3 == 0 {
		d = engine.Synced
	}
	if err := e.Write(&b, d); err != nil {
		return err
	}
	s, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := s.Get(engine.Lock, fmt.Appendf(nil, "w%02d", id))
	if err != nil {
		return err
	}
	if string(got) != string(value) {
		return fmt.Errorf("wrote %q and read %q in a snapshot taken afterwards", value, got)
	}
	return nil
}
