// The hello: who speaks to whom, and why it may be refused.

package transport

import (
	"errors"
	"fmt"

	"tinykv/proto/storepb"
)

// protocolVersion is the version of storepb that is spoken here.
const protocolVersion = 1

// hello opens every stream; see storepb.Hello.
type hello struct {
	cluster  uint64
	from, to uint64
	version  uint32
}

func (h hello) toWire() *storepb.Hello {
	return &storepb.Hello{ClusterId: h.cluster, FromStore: h.from, ToStore: h.to, Version: h.version}
}

func toHello(h *storepb.Hello) hello {
	return hello{cluster: h.GetClusterId(), from: h.GetFromStore(), to: h.GetToStore(), version: h.GetVersion()}
}

// The ways in which a hello is refused. Each has a counter.
var (
	errOtherCluster = errors.New("another cluster")
	errOtherStore   = errors.New("another store")
	errOtherVersion = errors.New("another version")
)

// check tells a hello that store of cluster may answer to from one that it must not. The text of the error is for the
// people who run the other store, where it is logged.
func (h hello) check(cluster, store uint64) error {
	switch {
	case h.version != protocolVersion:
		return fmt.Errorf("%w: store %d speaks version %d between stores, and you speak %d; "+
			"run the same release on all stores", errOtherVersion, store, protocolVersion, h.version)
	case h.cluster != cluster:
		return fmt.Errorf("%w: this is store %d of cluster %d, and you are of cluster %d; "+
			"look up who has this address, and give store %d its own", errOtherCluster, store, cluster, h.cluster, h.to)
	case h.to != store:
		return fmt.Errorf("%w: this is store %d, and you look for store %d; correct the address of store %d",
			errOtherStore, store, h.to, h.to)
	case h.from == 0 || h.from == store:
		return fmt.Errorf("%w: this is store %d, and you say that you are store %d; give each store an id of its own",
			errOtherStore, store, h.from)
	}
	return nil
}
