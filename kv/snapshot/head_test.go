// Heads: what is written is read, and nothing else is.

package snapshot

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"tinykv/kv/raftlog"
	"tinykv/kv/region"
	"tinykv/raft"
)

func randomHead(rng *rand.Rand) Head {
	number := func() uint64 { return rng.Uint64() >> rng.IntN(64) }
	peer := func() region.Peer { return region.Peer{ID: number(), StoreID: number()} }
	key := func() []byte { return append([]byte(nil), randomBytes(rng, rng.IntN(20))...) }
	ids := func() (list []uint64) {
		for range rng.IntN(4) {
			list = append(list, number())
		}
		return list
	}
	h := Head{ClusterID: number(), RegionID: number(), From: peer(), To: peer(), Term: number(),
		Position: raftlog.Position{Index: number(), Term: number()},
		Region: region.Region{ID: number(), Range: region.Range{Start: key(), End: key()},
			Epoch: region.Epoch{ConfVer: number(), Version: number()}},
		ConfState: raft.ConfState{Voters: ids(), VotersOutgoing: ids(), Learners: ids(), LearnersNext: ids(),
			AutoLeave: rng.IntN(2) == 0},
	}
	for range rng.IntN(4) {
		h.Region.Peers = append(h.Region.Peers, peer())
	}
	return h
}

func TestHeadsSurviveEncoding(t *testing.T) {
	rng := random(1)
	heads := []Head{{}, headOf(region.Range{}), {ClusterID: math.MaxUint64, Term: math.MaxUint64}}
	for range 300 {
		heads = append(heads, randomHead(rng))
	}
	for _, h := range heads {
		encoded, err := EncodeHead(h)
		must(t, err)
		got, err := DecodeHead(encoded)
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Fatalf("error %v\n got %+v\nwant %+v", err, got, h)
		}
	}
}

func TestADamagedHeadIsRefused(t *testing.T) {
	encoded, err := EncodeHead(randomHead(random(4)))
	must(t, err)
	for bit, damaged := range flips(encoded) {
		if h, err := DecodeHead(damaged); !isRefusal(err) || !reflect.DeepEqual(h, Head{}) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range encoded {
		if _, err := DecodeHead(encoded[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestAHugeHeadIsRefused(t *testing.T) {
	h := headOf(region.Range{End: make([]byte, maxHeadBytes)})
	if _, err := EncodeHead(h); !errors.Is(err, ErrTooLarge) {
		t.Errorf("encode: %v", err)
	}
	if _, err := DecodeHead(make([]byte, maxHeadBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("decode: %v", err)
	}
	source := NewSource(nil, h, 0)
	if _, err := source.Next(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("source: %v", err)
	}
}

// FuzzHead: other bytes are an error, and those that are none have one meaning and one form.
func FuzzHead(f *testing.F) {
	for seed := range uint64(4) {
		encoded, _ := EncodeHead(randomHead(random(seed)))
		f.Add(encoded[:len(encoded)-sumBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data := appendSum(bytes.Clone(body))
		h, err := DecodeHead(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatalf("an undocumented error: %v", err)
			}
			return
		}
		again, err := EncodeHead(h)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("error %v\n got %x\nwant %x", err, again, data)
		}
	})
}
