package client_test

import (
	"fmt"
	"testing"

	"tinykv/scheduler/server"
)

// Timestamps per second by the number of callers: they share requests, so the number of round trips hardly grows.
func BenchmarkTimestamp(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			n := newNetwork()
			n.scheduler(b, addr, server.NewMemStorage())
			c := n.client(b, addr)
			b.SetParallelism(callers) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Timestamp(b.Context()); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
