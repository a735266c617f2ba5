// How the tests get at the service: the only place that makes one.

package stage1b_test

import (
	"time"

	"tinykv/kv/server"
)

func newService(s *spy, clock func() time.Time) *server.Server {
	return server.New(s, server.Options{Now: clock})
}
