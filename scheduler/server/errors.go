// Errors on their way to the wire, in one place.

package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tinykv/proto/pdpb"
	"tinykv/scheduler/cluster"
	"tinykv/scheduler/tso"
)

// header is that of every good answer.
func (s *Server) header() *pdpb.ResponseHeader {
	return &pdpb.ResponseHeader{ClusterId: s.clusterID}
}

// checkCluster refuses a request meant for another cluster. The words are PD's, by which its clients know the case.
func (s *Server) checkCluster(h *pdpb.RequestHeader) error {
	select {
	case <-s.closing:
		return toStatus(tso.ErrStopped)
	default:
	}
	if h.GetClusterId() != s.clusterID {
		return status.Error(codes.FailedPrecondition, fmt.Sprintf(
			"mismatch cluster id, need %d but got %d: the caller has the address of another cluster's scheduler",
			s.clusterID, h.GetClusterId()))
	}
	return nil
}

// reply turns what was decided into a header, if it is about the cluster, or into a gRPC status.
func (s *Server) reply(err error) (*pdpb.ResponseHeader, error) {
	h := s.header()
	if err == nil {
		return h, nil
	}
	kind, isAboutCluster := errorType(err)
	if !isAboutCluster {
		return nil, toStatus(err)
	}
	h.Error = &pdpb.Error{Type: kind, Message: err.Error()}
	return h, nil
}

func errorType(err error) (pdpb.ErrorType, bool) {
	switch {
	case errors.Is(err, cluster.ErrNotBootstrapped):
		return pdpb.ErrorType_NOT_BOOTSTRAPPED, true
	case errors.Is(err, cluster.ErrBootstrapped):
		return pdpb.ErrorType_ALREADY_BOOTSTRAPPED, true
	case errors.Is(err, cluster.ErrTombstone):
		return pdpb.ErrorType_STORE_TOMBSTONE, true
	case errors.Is(err, cluster.ErrInvalid):
		return pdpb.ErrorType_INVALID_VALUE, true
	case errors.Is(err, cluster.ErrUnknownStore), errors.Is(err, cluster.ErrStale):
		return pdpb.ErrorType_UNKNOWN, true
	}
	return 0, false
}

// toStatus is for what says nothing about the cluster.
func toStatus(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.Is(err, tso.ErrCount):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, tso.ErrExhausted):
		return status.Error(codes.OutOfRange, err.Error())
	}
	// A server that stops, a disk that fails, too many at once: the caller should look for the leader, and retry.
	return status.Error(codes.Unavailable, err.Error())
}

// endOfStream is what a stream's handler returns when nothing more comes.
func endOfStream(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
