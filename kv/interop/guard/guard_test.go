// The guard at work, and the proof that it bites: each kind of mistake that a hand can make in a .proto file is made
// here on purpose.

package guard

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/pingcap/kvproto/pkg/eraftpb"
	_ "github.com/pingcap/kvproto/pkg/errorpb"
	_ "github.com/pingcap/kvproto/pkg/kvrpcpb"
	_ "github.com/pingcap/kvproto/pkg/metapb"
	_ "github.com/pingcap/kvproto/pkg/pdpb"
	_ "github.com/pingcap/kvproto/pkg/tikvpb"
)

// protoDir is where our sources are, as seen from this package.
const protoDir = "../../../proto"

func TestOurProtocolIsASubsetOfTheOriginal(t *testing.T) {
	files := ourFiles(t)
	for _, ours := range compile(t, files, nil) {
		theirs, err := protoregistry.GlobalFiles.FindFileByPath(ours.Path())
		if err != nil {
			t.Errorf("the original has no file %s: %v", ours.Path(), err)
			continue
		}
		for _, difference := range Compare(ours, theirs) {
			t.Errorf("proto/%s: %s", ours.Path(), difference)
		}
	}
}

// needed are the methods that the clients of TiKV call for raw and transactional work.
var needed = map[string]string{
	"tikvpb.Tikv": `
		RawGet RawBatchGet RawPut RawBatchPut RawDelete RawBatchDelete RawScan RawDeleteRange RawGetKeyTTL
		RawCompareAndSwap RawChecksum BatchCommands
		KvGet KvScan KvBatchGet KvPrewrite KvCommit KvCleanup KvBatchRollback KvScanLock KvResolveLock KvPessimisticLock
		KVPessimisticRollback KvTxnHeartBeat KvCheckTxnStatus KvCheckSecondaryLocks KvGC KvDeleteRange SplitRegion
		GetStoreSafeTS UnsafeDestroyRange MvccGetByKey MvccGetByStartTs GetHealthFeedback`,
	"pdpb.PD": `
		GetMembers GetClusterInfo Tso GetStore GetAllStores GetRegion GetPrevRegion GetRegionByID ScanRegions
		BatchScanRegions GetGCSafePoint UpdateGCSafePoint UpdateServiceGCSafePoint ScatterRegion GetOperator GetMinTS
		SplitRegions`,
}

func TestEveryMethodThatClientsNeedIsDeclared(t *testing.T) {
	services := map[string]protoreflect.ServiceDescriptor{}
	for _, file := range compile(t, ourFiles(t), nil) {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			services[string(service.FullName())] = service
		}
	}
	for name, methods := range needed {
		service := services[name]
		if service == nil {
			t.Errorf("no service %s in our sources", name)
			continue
		}
		for _, method := range strings.Fields(methods) {
			if service.Methods().ByName(protoreflect.Name(method)) == nil {
				t.Errorf("%s has no method %s, which clients call", name, method)
			}
		}
	}
}

func TestGuardReportsEachKindOfMistake(t *testing.T) {
	for _, test := range []struct {
		name     string
		file     string
		old, new string
		want     string
	}{
		{
			"field_with_another_number", "metapb.proto",
			"uint64 store_id = 2;", "uint64 store_id = 9;",
			"metapb.Peer.store_id: the original has no field number 9",
		},
		{
			"number_neither_defined_nor_reserved", "metapb.proto",
			"uint64 store_id = 2;", "",
			"metapb.Peer: number 2 is store_id in the original, and here neither a field nor reserved",
		},
		{
			"field_with_another_name", "metapb.proto",
			"uint64 conf_ver = 1;", "uint64 conf_version = 1;",
			"metapb.RegionEpoch.conf_version: name is conf_version here and conf_ver in the original",
		},
		{
			"field_with_another_scalar", "metapb.proto",
			"uint64 conf_ver = 1;", "int64 conf_ver = 1;",
			"metapb.RegionEpoch.conf_ver: kind is int64 here and uint64 in the original",
		},
		{
			"field_with_another_message", "errorpb.proto",
			"NotLeader not_leader = 2;", "RegionNotFound not_leader = 2;",
			"errorpb.Error.not_leader: type is errorpb.RegionNotFound here and errorpb.NotLeader in the original",
		},
		{
			"field_with_another_label", "metapb.proto",
			"repeated Peer peers = 5;", "Peer peers = 5;",
			"metapb.Region.peers: label is optional here and repeated in the original",
		},
		{
			"field_outside_of_its_oneof", "tikvpb.proto",
			"oneof cmd {\n      // As KvGet.\n      kvrpcpb.GetRequest Get = 1;",
			"kvrpcpb.GetRequest Get = 1;\n    oneof cmd {\n",
			"tikvpb.BatchCommandsRequest.Request.Get: oneof is  here and cmd in the original",
		},
		{
			"message_of_our_own", "metapb.proto",
			"message Peer {", "message Ours {}\nmessage Peer {",
			"metapb.Ours: the original has no such message",
		},
		{
			"reserved_number_without_meaning", "metapb.proto",
			"message Peer {", "message Peer {\n  reserved 77;",
			"metapb.Peer: number 77 is reserved, but means nothing in the original",
		},
		{
			"enum_value_with_another_name", "metapb.proto",
			"Learner = 1;", "Watcher = 1;",
			"metapb.Watcher: name is Watcher here and Learner in the original",
		},
		{
			"enum_value_missing", "metapb.proto",
			"  DemotingVoter = 3;\n", "",
			"metapb.PeerRole: number 3 is DemotingVoter in the original, and here neither a value nor reserved",
		},
		{
			"method_of_our_own", "tikvpb.proto",
			"service Tikv {", "service Tikv {\n  rpc Ours(kvrpcpb.GetRequest) returns (kvrpcpb.GetResponse);",
			"tikvpb.Tikv.Ours: the original has no such method",
		},
		{
			"method_with_another_request", "tikvpb.proto",
			"rpc KvGet(kvrpcpb.GetRequest)", "rpc KvGet(kvrpcpb.ScanRequest)",
			"tikvpb.Tikv.KvGet: request is kvrpcpb.ScanRequest here and kvrpcpb.GetRequest in the original",
		},
		{
			"method_that_does_not_stream", "tikvpb.proto",
			"rpc BatchCommands(stream BatchCommandsRequest)", "rpc BatchCommands(BatchCommandsRequest)",
			"tikvpb.Tikv.BatchCommands: streaming of requests is false here and true in the original",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			edit := func(file, source string) string {
				if file != test.file {
					return source
				}
				if strings.Count(source, test.old) != 1 {
					t.Fatalf("%q is not exactly once in proto/%s; choose another place for this mistake", test.old, file)
				}
				return strings.Replace(source, test.old, test.new, 1)
			}
			ours := compile(t, []string{test.file}, edit)[0]
			theirs, err := protoregistry.GlobalFiles.FindFileByPath(test.file)
			if err != nil {
				t.Fatal(err)
			}
			got := Compare(ours, theirs)
			if !slices.Contains(got, test.want) {
				t.Errorf("the guard says %q, want among it %q", got, test.want)
			}
		})
	}
}

// internal are the sources that have no original: what our stores tell each other is our own.
var internal = []string{"storepb.proto"}

// ourFiles lists our sources of the public protocol by name.
func ourFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(protoDir, "*.proto"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources in %s (%v)", protoDir, err)
	}
	var names []string
	for _, path := range paths {
		if name := filepath.Base(path); !slices.Contains(internal, name) {
			names = append(names, name)
		}
	}
	if len(names)+len(internal) != len(paths) {
		t.Fatalf("of the internal sources %v, some are gone from %s: take them off the list", internal, protoDir)
	}
	return names
}

// compile parses and links sources of ours, after an edit of their text if one is given.
func compile(t *testing.T, names []string, edit func(file, source string) string) []protoreflect.FileDescriptor {
	t.Helper()
	resolver := &protocompile.SourceResolver{Accessor: func(name string) (io.ReadCloser, error) {
		source, err := os.ReadFile(filepath.Join(protoDir, name))
		if err != nil {
			return nil, err
		}
		if edit != nil {
			source = []byte(edit(name, string(source)))
		}
		return io.NopCloser(strings.NewReader(string(source))), nil
	}}
	compiler := protocompile.Compiler{Resolver: resolver}
	linked, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		t.Fatalf("compile the sources: %v", err)
	}
	var files []protoreflect.FileDescriptor
	for _, file := range linked {
		files = append(files, file)
	}
	return files
}
