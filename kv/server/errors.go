// Errors: the one place where an error of ours becomes what a client understands.
//
//	error                                      goes out as                    and the client
//	those of package region, engine.ErrClosed  region_error of its kind       corrects its picture or waits, asks again
//	engine.ErrTooLarge of a batch              raft_entry_too_large           tells its user: ask for less at once
//	those of package raw, ErrUnknownCF, …      error, a string                tells its user: the request is wrong
//	engine.ErrFailed, engine.ErrCorrupt, …     error, a string                tells its user: the store is broken
//	region.UndeterminedError                   error, a string with a mark    tells its user: it may have happened
//	the end of the request's own context       a gRPC status                  has left already

package server

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/kv/engine"
	"tinykv/kv/raw"
	"tinykv/kv/region"
	"tinykv/kv/region/regionpb"
	"tinykv/proto/errorpb"
	"tinykv/proto/kvrpcpb"
)

// errTooLong ends a request that took longer than its client allows. The client knows it by these words.
var errTooLong = errors.New("deadline is exceeded")

// errBusy is the status of a request for which the process has no room.
var errBusy = status.Error(codes.ResourceExhausted, "too many requests in progress: ask again in a moment")

// answerable translates the error of a handler into the two fields for errors that a response has, or into the status
// that takes the response's place. At most one of the three is set; none if err is nil.
func (s *Server) answerable(err error) (*errorpb.Error, string, error) {
	if err == nil {
		return nil, "", nil
	}
	var unknown *region.UndeterminedError
	if errors.As(err, &unknown) {
		return nil, regionpb.FromUndetermined(unknown), nil
	}
	if e := regionError(err); e != nil {
		return e, "", nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil, "", status.FromContextError(err).Err()
	}
	if errors.Is(err, engine.ErrFailed) || errors.Is(err, engine.ErrCorrupt) {
		s.log.Error("a request met a broken store", "err", err)
	}
	return nil, err.Error(), nil
}

// pairsFailure is answerable for the responses that consist of pairs and have no field for an error. As in TiKV the
// text goes into the error of a single pair. TiKV's Go client does not look there and would take it for an empty pair,
// so the same text is also sent as the one region error at which that client gives up at once.
func (s *Server) pairsFailure(err error) (*errorpb.Error, []*kvrpcpb.KvPair, error) {
	e, text, left := s.answerable(err)
	if text == "" {
		return e, nil, left
	}
	refused := hopeless(text)
	if errors.Is(err, raw.ErrResultTooLarge) {
		// The size tells this from other refusals: who asks for less gets an answer.
		refused.RaftEntryTooLarge.EntrySize = raw.MaxResultSize
	}
	return refused, []*kvrpcpb.KvPair{{Error: &kvrpcpb.KeyError{Abort: text}}}, nil
}

// hopeless is a region error that no client answers with another try.
func hopeless(text string) *errorpb.Error {
	return &errorpb.Error{Message: text, RaftEntryTooLarge: &errorpb.RaftEntryTooLarge{}}
}

// regionError returns the region error for err, or nil if it is of another kind.
func regionError(err error) *errorpb.Error {
	e := &errorpb.Error{Message: err.Error()}
	var (
		notFound  *region.NotFoundError
		notLeader *region.NotLeaderError
		epoch     *region.EpochNotMatchError
		store     *region.StoreNotMatchError
		peer      *region.PeerNotMatchError
		key       *region.KeyNotInRegionError
		busy      *region.BusyError
		stale     *region.StaleCommandError
		tooLarge  *tooLargeError
	)
	switch {
	case errors.As(err, &notFound):
		e.RegionNotFound = &errorpb.RegionNotFound{RegionId: notFound.RegionID}
	case errors.As(err, &notLeader):
		e.NotLeader = &errorpb.NotLeader{RegionId: notLeader.RegionID, Leader: regionpb.FromPeer(notLeader.Leader)}
	case errors.As(err, &epoch):
		e.EpochNotMatch = &errorpb.EpochNotMatch{}
		for _, r := range epoch.Current {
			e.EpochNotMatch.CurrentRegions = append(e.EpochNotMatch.CurrentRegions, regionpb.FromRegion(r))
		}
	case errors.As(err, &store):
		e.StoreNotMatch = &errorpb.StoreNotMatch{RequestStoreId: store.Requested, ActualStoreId: store.Actual}
	case errors.As(err, &peer):
		e.MismatchPeerId = &errorpb.MismatchPeerId{RequestPeerId: peer.Requested, StorePeerId: peer.Actual}
	case errors.As(err, &key):
		e.KeyNotInRegion = &errorpb.KeyNotInRegion{
			Key: key.Key, RegionId: key.RegionID, StartKey: key.Range.Start, EndKey: key.Range.End,
		}
	case errors.As(err, &busy):
		e.ServerIsBusy = &errorpb.ServerIsBusy{Reason: busy.Reason, BackoffMs: uint64(busy.Backoff.Milliseconds())}
	case errors.As(err, &stale):
		e.StaleCommand = &errorpb.StaleCommand{}
	case errors.As(err, &tooLarge):
		e.RaftEntryTooLarge = &errorpb.RaftEntryTooLarge{RegionId: tooLarge.regionID, EntrySize: uint64(tooLarge.size)}
	case errors.Is(err, engine.ErrClosed):
		e.ServerIsBusy = &errorpb.ServerIsBusy{Reason: "the store is stopping"}
	case errors.Is(err, errTooLong):
		e.ServerIsBusy = &errorpb.ServerIsBusy{Reason: errTooLong.Error()}
	default:
		return nil
	}
	return e
}
