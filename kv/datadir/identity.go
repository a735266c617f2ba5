// The file IDENTITY: lines of "name = value" for people to read, sealed by a checksum.
//
//	# TinyKV data directory. Made by the server; do not edit.
//	format = 2
//	kind = "replicated"
//	engine = "pebble"
//	cluster_id = "13807245923162917559"
//	store_id = "1"
//	region_id = "4"
//	peer_id = "5"
//	begun = true
//	nonce = "5d41402abc4b2a76"
//	checksum = "1f0c3a77"
//
// The checksum is the CRC-32C of everything above its line. Ids are quoted: a number of TOML has 63 bits, an id 64. A
// standalone store writes format 1, which has neither kind nor begun: programs that know no other kind can open it.

package datadir

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/BurntSushi/toml"
)

// The versions of the directory's layout and of what the engines in it contain.
const (
	formatStandalone = 1
	formatReplicated = 2
	newestFormat     = formatReplicated
)

// Kind is what sort of store a directory belongs to.
type Kind uint8

// The kinds.
const (
	Standalone Kind = iota // one store that is its own cluster, its scheduler beside it
	Replicated             // one of several
)

var kindNames = map[Kind]string{Standalone: "standalone", Replicated: "replicated"}

func (k Kind) String() string { return kindNames[k] }

// IDs are the numbers that a store was given when it joined its cluster.
type IDs struct {
	ClusterID uint64
	StoreID   uint64
	RegionID  uint64 // of the first region, which this store brought into the cluster
	PeerID    uint64 // of this store's peer of that region
}

// Identity says what a data directory is.
type Identity struct {
	Kind   Kind
	Engine string // name of the engine that wrote it
	IDs           // all zero until the store has joined a cluster, but for the StoreID of a replicated one
	Begun  bool   // a replicated store's first state is in its logs
	// Nonce is drawn when the directory of a replicated store is made, and tells it from every other that could be taken for
	// the same store's. Empty in one that an earlier version has made.
	Nonce string
}

// Joined tells whether the store has joined a cluster.
func (id Identity) Joined() bool { return id.ClusterID != 0 }

// encode returns the content of IDENTITY.
func (id Identity) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# TinyKV data directory. Made by the server; do not edit.\n")
	if id.Kind == Replicated {
		fmt.Fprintf(&b, "format = %d\nkind = %q\n", formatReplicated, id.Kind)
	} else {
		fmt.Fprintf(&b, "format = %d\n", formatStandalone)
	}
	fmt.Fprintf(&b, "engine = %q\n", id.Engine)
	fmt.Fprintf(&b, "cluster_id = \"%d\"\nstore_id = \"%d\"\nregion_id = \"%d\"\npeer_id = \"%d\"\n",
		id.ClusterID, id.StoreID, id.RegionID, id.PeerID)
	if id.Kind == Replicated {
		fmt.Fprintf(&b, "begun = %v\nnonce = %q\n", id.Begun, id.Nonce)
	}
	fmt.Fprintf(&b, "checksum = %q\n", checksum(b.Bytes()))
	return b.Bytes()
}

// decodeIdentity reads the content of IDENTITY. The errors complete the sentence "the file ...".
func decodeIdentity(data []byte) (Identity, error) {
	// The version comes first: of a newer file nothing else is known, not even where its checksum stands.
	var version struct{ Format int }
	if _, err := toml.Decode(string(data), &version); err != nil || version.Format < 1 {
		return Identity{}, errDamaged
	}
	if version.Format > newestFormat {
		return Identity{}, fmt.Errorf("%w (format %d, this program knows %d)", ErrNewer, version.Format, newestFormat)
	}
	sealed, _, found := bytes.Cut(data, []byte("checksum = "))
	if !found {
		return Identity{}, errDamaged
	}
	var file struct {
		Format   int
		Kind     string
		Engine   string
		Begun    bool
		Nonce    string
		Checksum string

		ClusterID quoted `toml:"cluster_id"`
		StoreID   quoted `toml:"store_id"`
		RegionID  quoted `toml:"region_id"`
		PeerID    quoted `toml:"peer_id"`
	}
	if _, err := toml.Decode(string(data), &file); err != nil || file.Checksum != checksum(sealed) {
		return Identity{}, errDamaged
	}
	ids := IDs{
		ClusterID: uint64(file.ClusterID), StoreID: uint64(file.StoreID),
		RegionID: uint64(file.RegionID), PeerID: uint64(file.PeerID),
	}
	id := Identity{Engine: file.Engine, IDs: ids, Begun: file.Begun, Nonce: file.Nonce}
	if file.Format == formatReplicated {
		id.Kind = Replicated
		if file.Kind != id.Kind.String() {
			return Identity{}, errDamaged
		}
	}
	return id, nil
}

// quoted is a number of 64 bits that stands in the file as a string.
type quoted uint64

// UnmarshalText implements encoding.TextUnmarshaler.
func (q *quoted) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	*q = quoted(n)
	return err
}

func checksum(p []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
}
