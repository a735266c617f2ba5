// Who is there: what a client asks first, and every minute again.

package server

import (
	"context"
	"fmt"
	"hash/fnv"

	"tinykv/proto/metapb"
	"tinykv/proto/pdpb"
)

// GetMembers lists the schedulers. It is how a client learns the cluster's id, so it takes requests with any.
func (s *Server) GetMembers(context.Context, *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	m := s.member()
	return &pdpb.GetMembersResponse{Header: s.header(), Members: []*pdpb.Member{m}, Leader: m, EtcdLeader: m}, nil
}

// member is this server. Its id is made of what tells it from others, as etcd does it, so it is the same after a
// restart.
func (s *Server) member() *pdpb.Member {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", s.clusterID, s.opts.Name)
	return &pdpb.Member{Name: s.opts.Name, MemberId: h.Sum64() | 1, ClientUrls: s.opts.AdvertiseURLs,
		PeerUrls: s.opts.AdvertiseURLs}
}

// GetClusterInfo says that everything is served here: there are no separate services for timestamps or scheduling.
func (s *Server) GetClusterInfo(context.Context, *pdpb.GetClusterInfoRequest) (*pdpb.GetClusterInfoResponse, error) {
	return &pdpb.GetClusterInfoResponse{
		Header: s.header(), ServiceModes: []pdpb.ServiceMode{pdpb.ServiceMode_PD_SVC_MODE},
	}, nil
}

// GetClusterConfig returns the cluster's id and how many replicas a region should have: as many as the first one has. Nobody
// decides on it yet.
func (s *Server) GetClusterConfig(
	_ context.Context, req *pdpb.GetClusterConfigRequest,
) (*pdpb.GetClusterConfigResponse, error) {
	if err := s.checkCluster(req.GetHeader()); err != nil {
		return nil, err
	}
	replicas := 1
	s.mu.RLock()
	if first, ok := s.cluster.RegionByKey(nil); ok {
		replicas = len(first.Region.Peers)
	}
	s.mu.RUnlock()
	return &pdpb.GetClusterConfigResponse{
		Header: s.header(), Cluster: &metapb.Cluster{Id: s.clusterID, MaxPeerCount: uint32(replicas)},
	}, nil
}
