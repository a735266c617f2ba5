// Stores that come later: the cluster is there, and gives them peers when it is told to (status_peers.go).
//
//	kv serve --join --store-id 4 ─► the scheduler's word ─► known to the scheduler ─► serves nothing yet
//	POST /peers/add?store=4 to the leader ─► first message of the leader ─► a snapshot ─► serves

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"tinykv/kv/datadir"
	"tinykv/kv/engine"
	"tinykv/kv/raftlog"
	"tinykv/kv/replica"
	"tinykv/kv/store"
)

// replaceAdvice is what to do about a store whose disk was lost or can't be trusted. It must not come back under its id, as
// empty or as an old copy: it would have forgotten its votes, and entries that it promised to keep.
const replaceAdvice = "its peers have all it had: remove it from them (POST /peers/remove?store=ID to the status address of the " +
	"leader) and start a store with another id, an empty directory and --join; doc/serve.md has the steps"

// advised says what to do about a store whose log or data is damaged, if the error does not say it yet.
func advised(err error) error {
	for _, damage := range []error{raftlog.ErrCorrupt, store.ErrCorrupt, replica.ErrCorrupt, engine.ErrCorrupt} {
		if errors.Is(err, damage) && !strings.Contains(err.Error(), replaceAdvice) {
			return fmt.Errorf("%w; %s", err, replaceAdvice)
		}
	}
	return err
}

// joinLater gives its ids to a store that is none of those with which the cluster began. It has no region until it is given a
// peer of one.
func (e *enlistment) joinLater(ctx context.Context, clusterID uint64) error {
	bootstrapped, err := e.scheduler.IsBootstrapped(ctx)
	if err != nil {
		return err
	}
	if !bootstrapped {
		return errors.New("there is no cluster yet that a store could --join: start those with which it begins, with --peers")
	}
	e.ids = datadir.IDs{ClusterID: clusterID, StoreID: e.dir.Identity().StoreID}
	return e.dir.Join(e.ids)
}

// joined tells whether the store came later than the cluster's beginning.
func (e *enlistment) joined() bool { return e.ids.RegionID == 0 }

// joinsAsBefore refuses a store that has begun in the other way than it is started now.
func (e *enlistment) joinsAsBefore() error {
	id := e.dir.Identity().StoreID
	switch {
	case e.joins && !e.joined():
		return fmt.Errorf("store %d is one of those with which its cluster began: say --peers as before, not --join", id)
	case !e.joins && e.joined():
		return fmt.Errorf("store %d has joined its cluster later: say --join as before, not --peers", id)
	}
	return nil
}

// keptByJoined refuses a store that joined, has begun, and has lost its directories. (Of others, see lostNothing: one that
// joined may have been given no peer yet, and then its logs are empty.)
func keptByJoined(dir *datadir.Dir) error {
	if id := dir.Identity(); !id.Begun || id.RegionID != 0 {
		return nil
	}
	for _, part := range []string{dir.Raft(), dir.Engine()} {
		if files, err := os.ReadDir(part); err != nil || len(files) == 0 {
			return fmt.Errorf("the store has lost what it kept: %s is empty; %s", part, replaceAdvice)
		}
	}
	return nil
}
