// Reports on regions, over one stream.

package client

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/grpc"

	"tinykv/kv/region/regionpb"
	"tinykv/proto/pdpb"
)

// Heartbeats is the stream of a store's reports on its regions. Its methods may be called from any goroutine.
type Heartbeats struct {
	client *Client
	log    *slog.Logger

	mu     sync.Mutex // guards all below
	stream grpc.BidiStreamingClient[pdpb.RegionHeartbeatRequest, pdpb.RegionHeartbeatResponse]
	header *pdpb.RequestHeader
	cancel context.CancelFunc
	done   chan struct{} // closed when the stream's receiver has ended
}

// Heartbeats returns the stream, which is opened by the first Send. Refusals by the scheduler go to log; nil: to
// nobody.
func (c *Client) Heartbeats(log *slog.Logger) *Heartbeats {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Heartbeats{client: c, log: log}
}

// Send reports. It returns when the report is on its way, which does not mean that it was believed: reports are
// repeated every few seconds anyway, so an error needs no more than a line in the log. After an error the next Send
// opens the stream anew.
func (h *Heartbeats) Send(ctx context.Context, report RegionHeartbeat) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream == nil {
		if err := h.client.call(ctx, "open the stream of region reports", h.open); err != nil {
			return err
		}
	}
	err := h.stream.Send(&pdpb.RegionHeartbeatRequest{
		Header: h.header, Region: regionpb.FromRegion(report.Region), Leader: regionpb.FromPeer(report.Leader),
		Term:            report.Term,
		ApproximateSize: report.ApproximateSize, ApproximateKeys: report.ApproximateKeys,
	})
	if err != nil {
		h.drop()
		h.client.forgetLeader()
		return wrap("report a region", err)
	}
	return nil
}

// open is called with mu held.
func (h *Heartbeats) open(attempt context.Context, pd pdpb.PDClient, header *pdpb.RequestHeader) error {
	ctx, cancel := context.WithCancel(h.client.ctx)
	defer context.AfterFunc(attempt, cancel)() // the attempt bounds the opening, not the life of the stream
	stream, err := pd.RegionHeartbeat(ctx)
	if err != nil {
		cancel()
		return err
	}
	h.stream, h.header, h.cancel, h.done = stream, header, cancel, make(chan struct{})
	go h.receive(stream, h.done)
	return nil
}

// receive reads what the scheduler has to say until the stream ends. It gives no orders yet.
func (h *Heartbeats) receive(
	stream grpc.BidiStreamingClient[pdpb.RegionHeartbeatRequest, pdpb.RegionHeartbeatResponse], done chan<- struct{},
) {
	defer close(done)
	for {
		res, err := stream.Recv()
		if err != nil {
			return // Send will notice
		}
		if e := res.GetHeader().GetError(); e != nil {
			h.log.Warn("the scheduler refuses a region's report", "region", res.GetRegionId(), "err", e.GetMessage())
		}
	}
}

// Close ends the stream. Reports that are on their way may be lost.
func (h *Heartbeats) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop()
}

func (h *Heartbeats) drop() {
	if h.stream == nil {
		return
	}
	h.cancel()
	<-h.done
	h.stream = nil
}
