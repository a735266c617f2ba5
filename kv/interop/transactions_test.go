// The transactional client against a store that knows no transactions (yet): it must be told so at once. A wrong answer
// makes it back off and try again for 40 seconds, and a learner wonder.

package interop_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/tikv"
)

// prompt is how soon the client must report an error, on a machine that does other things as well.
const prompt = 8 * time.Second

func TestTransactionOnARawStoreFailsAtOnce(t *testing.T) {
	store := transactional(t, start(t, "pebble").Scheduler)
	for _, test := range []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"get", func(ctx context.Context) error {
			transaction, err := store.Begin()
			if err != nil {
				return err
			}
			_, err = transaction.Get(ctx, []byte("k"))
			return err
		}},
		{"batch_get", func(ctx context.Context) error {
			transaction, err := store.Begin()
			if err != nil {
				return err
			}
			_, err = transaction.BatchGet(ctx, keysOf("a", "b"))
			return err
		}},
		{"scan", func(context.Context) error {
			transaction, err := store.Begin()
			if err != nil {
				return err
			}
			_, err = transaction.Iter([]byte("a"), []byte("z"))
			return err
		}},
		{"commit", func(ctx context.Context) error {
			transaction, err := store.Begin()
			if err != nil {
				return err
			}
			if err := transaction.Set([]byte("k"), []byte("v")); err != nil {
				return err
			}
			return transaction.Commit(ctx)
		}},
		{"pessimistic_lock", func(ctx context.Context) error {
			transaction, err := store.Begin()
			if err != nil {
				return err
			}
			transaction.SetPessimistic(true)
			return transaction.LockKeysWithWaitTime(ctx, 1000, []byte("k"))
		}},
		{"garbage_collection", func(ctx context.Context) error {
			_, err := store.GC(ctx, 1)
			return err
		}},
		{"unsafe_destroy_range", func(ctx context.Context) error {
			return store.UnsafeDestroyRange(ctx, []byte("a"), []byte("z"))
		}},
		{"delete_range", func(ctx context.Context) error {
			_, err := store.DeleteRange(ctx, []byte("a"), []byte("z"), 1)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), prompt)
			defer cancel()
			answer := make(chan error, 1)
			go func() { answer <- test.run(ctx) }()
			select {
			case err := <-answer:
				switch {
				case err == nil:
					t.Error("got no error from a store that knows no transactions")
				case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
					t.Errorf("the client was still trying after %v: %v", prompt, err)
				case !strings.Contains(strings.ToLower(err.Error()), "implement"):
					t.Errorf("the error does not tell that the method is not implemented: %v", err)
				}
			case <-time.After(2 * prompt):
				t.Fatalf("no error after %v", 2*prompt)
			}
		})
	}
}

// transactional makes a transactional store of the client's. It is put together from parts of the client, since its
// own constructor wants an etcd beside the placement driver, for a safe point that means nothing here.
func transactional(t *testing.T, scheduler string) *tikv.KVStore {
	t.Helper()
	unwrapped, err := tikv.NewPDClient([]string{scheduler})
	check(t, err)
	encoded := tikv.NewCodecPDClient(tikv.ModeTxn, unwrapped)
	rpc := tikv.NewRPCClient(tikv.WithCodec(encoded.GetCodec()))
	store, err := tikv.NewKVStore("interop", encoded, tikv.NewMockSafePointKV(), rpc)
	check(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}
