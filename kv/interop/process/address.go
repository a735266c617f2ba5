// Addresses that are known before anybody listens on them, and can be had again after a restart.

package process

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are chosen below those that systems give away by themselves (Linux from 32768 on, others from 49152), so that no
// outgoing connection takes one while its server is down, and away from those of a server that somebody runs by hand.
const firstPort, lastPort = 22000, 31999

// address is a port of the loopback interface that is ours. As long as it is held, nobody else who chooses in this way gets
// it: a UDP socket of the same number says that it is taken, whether or not a server runs.
type address struct {
	at   string // host:port
	hold net.PacketConn
}

// takeAddress chooses one.
func takeAddress() (*address, error) {
	var last error
	for range 100 {
		a := &address{at: fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))}
		if a.hold, last = net.ListenPacket("udp", a.at); last != nil {
			continue
		}
		var lis net.Listener
		if lis, last = net.Listen("tcp", a.at); last == nil {
			lis.Close()
			return a, nil
		}
		a.release()
	}
	return nil, fmt.Errorf("find a free port: %w", last)
}

// release gives it back; nil is none.
func (a *address) release() {
	if a != nil {
		a.hold.Close()
	}
}
