package regionpb_test

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/metapb"
)

func TestARegionSurvivesTheWire(t *testing.T) {
	for _, r := range []region.Region{
		{},
		{
			ID: 7, Range: region.Range{Start: []byte("a"), End: []byte("b\x00")}, Epoch: region.Epoch{ConfVer: 3,
				Version: 9},
			Peers: []region.Peer{{ID: 11, StoreID: 1}, {ID: 12, StoreID: 2}},
		},
	} {
		bytes, err := proto.Marshal(regionpb.FromRegion(r))
		if err != nil {
			t.Fatal(err)
		}
		var m metapb.Region
		if err := proto.Unmarshal(bytes, &m); err != nil {
			t.Fatal(err)
		}
		if got := regionpb.ToRegion(&m); !reflect.DeepEqual(got, r) {
			t.Errorf("%+v became %+v", r, got)
		}
	}
}

func TestNoLeaderIsNil(t *testing.T) {
	if m := regionpb.FromPeer(region.Peer{}); m != nil {
		t.Errorf("the zero peer became %v", m)
	}
	if p := regionpb.ToPeer(nil); p != (region.Peer{}) {
		t.Errorf("nil became %v", p)
	}
}
