// Records that were deleted: without them numbers would be handed out twice.

package server_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"tinykv/proto/pdpb"
	"tinykv/scheduler/server"
)

// forgetful is a storage whose records can be deleted, and whose saves can be made to fail.
type forgetful struct {
	records map[string][]byte
	saves   int // that may still succeed; negative: all
}

func (f *forgetful) Load(_ context.Context, name string) ([]byte, error) {
	value, ok := f.records[name]
	if !ok {
		return nil, server.ErrNoRecord
	}
	return value, nil
}

func (f *forgetful) Save(_ context.Context, name string, value []byte) error {
	if f.saves == 0 {
		return errors.New("the process died")
	}
	f.saves--
	f.records[name] = value
	return nil
}

func (f *forgetful) Close() error { return nil }

func begun(t *testing.T, f *forgetful) (*server.Server, error) {
	t.Helper()
	s, err := server.New(server.Options{Storage: f, AdvertiseURLs: []string{"http://127.0.0.1:1"}})
	if err == nil {
		t.Cleanup(func() { _ = s.Close(t.Context()) })
	}
	return s, err
}

func TestAMissingRecordIsNotANewCluster(t *testing.T) {
	whole := &forgetful{records: map[string][]byte{}, saves: -1}
	s, err := begun(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AllocID(t.Context(), allocRequest(s)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cluster", "ids", "timestamp"} {
		f := &forgetful{records: maps.Clone(whole.records), saves: -1}
		delete(f.records, name)
		if _, err := begun(t, f); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "restore") {
			t.Errorf("without the record %q: %v", name, err)
		}
	}
}

func TestABirthThatWasInterruptedIsBegunAgain(t *testing.T) {
	for saves := range 3 {
		f := &forgetful{records: map[string][]byte{}, saves: saves}
		if _, err := begun(t, f); err == nil {
			t.Fatalf("began with %d saves", saves)
		}
		f.saves = -1
		if _, err := begun(t, f); err != nil {
			t.Errorf("after a crash behind %d saves: %v", saves, err)
		}
	}
}

func allocRequest(s *server.Server) *pdpb.AllocIDRequest {
	return &pdpb.AllocIDRequest{Header: &pdpb.RequestHeader{ClusterId: s.ClusterID()}}
}
