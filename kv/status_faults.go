// Orders that come by the status port: to hand over leadership, and, if the server was started for that, to break cables.
//
//	POST /leader?store=2         every region that this store leads is to be led by store 2
//	POST /faults/cut?store=2     cut this store off from store 2
//	POST /faults/heal?store=2    mend that

package main

import (
	"fmt"
	"net/http"
	"strconv"

	"tinykv/kv/replicated"
	"tinykv/kv/transport"
)

// ordersOn adds the orders to a page. Those that break cables are left out if faults is not set.
func ordersOn(mux *http.ServeMux, store *replicated.Store, t *transport.Transport, faults bool) {
	mux.HandleFunc("POST /leader", func(w http.ResponseWriter, r *http.Request) {
		to, ok := storeParameter(w, r)
		if !ok {
			return
		}
		for _, v := range store.Views() {
			peer, has := v.Region.PeerOn(to)
			if !v.Leads() || !has || peer == v.Peer {
				continue
			}
			if err := store.TransferLeader(r.Context(), v.Region.ID, peer.ID); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	if !faults {
		return
	}
	for path, act := range map[string]func(store uint64){"POST /faults/cut": t.Cut, "POST /faults/heal": t.Heal} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if to, ok := storeParameter(w, r); ok {
				act(to)
				fmt.Fprintln(w, "ok")
			}
		})
	}
}

// storeParameter is the store that an order names. False: it names none, and was answered.
func storeParameter(w http.ResponseWriter, r *http.Request) (uint64, bool) {
	id, err := strconv.ParseUint(r.FormValue("store"), 10, 64)
	if err != nil {
		http.Error(w, "say which store: ?store=ID", http.StatusBadRequest)
		return 0, false
	}
	return id, true
}
