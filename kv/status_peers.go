// Orders that change which stores have the data, by the status port of the store that leads.
//
//	POST /peers/add?store=4      every region that this store leads gets a peer on store 4, which is sent a snapshot
//	POST /peers/remove?store=3   the peers on store 3 are members no more, whether it is alive or not
//
// A store that is lost is replaced by removing it and adding another one, in this order: the new one's vote counts while it
// is still empty, and together with the lost one that would be two of four who can't give theirs.

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/kv/replicated"
	"tinykv/raft"
	"tinykv/scheduler/client"
)

// memberOrders carries out the orders.
type memberOrders struct {
	store     *replicated.Store
	scheduler *client.Client
}

// on adds the orders to a page.
func (o *memberOrders) on(mux *http.ServeMux) {
	mux.HandleFunc("POST /peers/add", o.serve(o.add))
	mux.HandleFunc("POST /peers/remove", o.serve(o.remove))
}

// serve carries out an order for every region that this store leads. One that was carried out before is no error.
func (o *memberOrders) serve(order func(ctx context.Context, v *replica.View, storeID uint64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := storeParameter(w, r)
		if !ok {
			return
		}
		leads := 0
		for _, v := range o.store.Views() {
			if !v.Leads() {
				continue
			}
			leads++
			if err := order(r.Context(), &v, id); err != nil {
				http.Error(w, fmt.Sprintf("region %d: %v", v.Region.ID, err), http.StatusConflict)
				return
			}
		}
		if leads == 0 {
			http.Error(w, "this store leads no region: ask the one that does (/status says which)", http.StatusConflict)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// add gives a region a peer on a store that the scheduler knows.
func (o *memberOrders) add(ctx context.Context, v *replica.View, storeID uint64) error {
	if _, has := v.Region.PeerOn(storeID); has {
		return nil
	}
	switch _, err := o.scheduler.Store(ctx, storeID); {
	case errors.Is(err, client.ErrUnknownStore):
		return fmt.Errorf("the scheduler knows no store %d: start it, with --join, before it is given peers", storeID)
	case err != nil:
		return err
	}
	id, err := o.scheduler.AllocID(ctx)
	if err != nil {
		return err
	}
	return o.store.ChangePeer(ctx, v.Region.ID, raft.ConfChangeAddNode, region.Peer{ID: id, StoreID: storeID})
}

// remove ends the membership of a store's peer.
func (o *memberOrders) remove(ctx context.Context, v *replica.View, storeID uint64) error {
	peer, has := v.Region.PeerOn(storeID)
	if !has {
		return nil
	}
	if peer == v.Peer {
		return errors.New("this store leads it: hand leadership over first (POST /leader?store=ID)")
	}
	return o.store.ChangePeer(ctx, v.Region.ID, raft.ConfChangeRemoveNode, peer)
}
