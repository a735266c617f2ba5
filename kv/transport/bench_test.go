// What a message costs.

package transport

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"tinykv/kv/replica"
	"tinykv/kv/snapshot"
	"tinykv/raft"
)

// counter is a handler that counts.
type counter struct {
	messages atomic.Int64
	moved    chan struct{}
}

func (c *counter) Receive(_ context.Context, _ uint64, messages []replica.Message) {
	c.messages.Add(int64(len(messages)))
	signal(c.moved)
}

func (c *counter) ReceiveSnapshot(_ context.Context, _ uint64, next func() (snapshot.Chunk, error)) error {
	for {
		if _, err := next(); err != nil {
			return nil
		}
	}
}

func (c *counter) Unreachable(context.Context, uint64) {}

// BenchmarkMessages sends appends with an entry of 256 bytes through a real stream. turn is how many are handed to Send
// at once, window how many may be under way.
func BenchmarkMessages(b *testing.B) {
	for _, load := range []struct{ turn, window int }{{1, 1}, {1, 4096}, {16, 4096}, {256, 4096}} {
		b.Run(fmt.Sprintf("turn=%d/window=%d", load.turn, load.window), func(b *testing.B) {
			w := newWorld(b, nil)
			c := &counter{moved: make(chan struct{}, 1)}
			one := w.start(1)
			w.startHandler(w.options(2), c)
			turn := make([]replica.Message, load.turn)
			for i := range turn {
				turn[i] = heartbeat(1, 2, uint64(i))
				turn[i].Raft.Type = raft.MsgApp
				turn[i].Raft.Entries = []raft.Entry{{Term: 1, Index: 1, Data: make([]byte, 256)}}
			}
			b.ReportAllocs()
			one.Send(2, turn) // connects
			for c.messages.Load() == 0 {
				<-c.moved
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			frames := one.Stats().Sent.Frames
			b.ResetTimer()
			target := int64(b.N)
			for sent := int64(load.turn); sent < target+int64(load.turn); sent += int64(load.turn) {
				for sent-c.messages.Load() >= int64(load.window) {
					<-c.moved
				}
				one.Send(2, turn)
			}
			for c.messages.Load() < target {
				<-c.moved
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			s := one.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/message")
			b.ReportMetric(float64(b.N)/float64(s.Sent.Frames-frames), "messages/frame")
			if s.Dropped != (Dropped{}) {
				b.Errorf("dropped %+v", s.Dropped)
			}
		})
	}
}

// BenchmarkConversion is the part of it that is ours, without encoding and network.
func BenchmarkConversion(b *testing.B) {
	messages := make([]replica.Message, 64)
	for i := range messages {
		messages[i] = messageOf(raft.MsgApp, raft.Entry{Term: 1, Index: 1, Data: make([]byte, 256)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := toMessages(toFrame(messages), 1, 2); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
}
