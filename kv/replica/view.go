// What others may know of a peer without asking, and until when they may read by it.

package replica

import (
	"time"

	"tinykv/kv/region"
)

// publish tells what changed since the view that is published. The present one ([Replica.view]) is the next, and Done
// will call it published. It goes to Work.Views, unless it says nothing new (sameView). If readers may still trust a
// lease that is gone by now, or ends earlier, that is withdrawn first (Revoke).
func (r *Replica) publish(w *Work) {
	r.next = r.view()
	if r.next.LeaseUntil < r.published.LeaseUntil {
		r.Revoke(w)
	}
	if !sameView(&r.next, &r.published) {
		w.Views = append(w.Views, r.next)
	}
}

// Revoke withdraws the lease, if readers may trust one: the view that is published goes to Work.Revoked without it.
// What they know of this peer stays as it is, but for that.
func (r *Replica) Revoke(w *Work) {
	if r.published.LeaseUntil > 0 {
		v := r.published
		v.LeaseUntil = 0
		w.Revoked = append(w.Revoked, v)
	}
}

// view is the peer as it will be when this turn's work is carried out.
func (r *Replica) view() View {
	return View{
		Region: r.region, Peer: r.peer, Leader: r.book.find(r.node.Lead()), Term: r.node.Term(),
		LeaseUntil: r.leaseUntil(), Applied: r.applied, Kept: r.compact.kept, Last: r.node.LastIndex(),
		Installs: r.install.begun, Installing: r.installing(), Gone: r.removed != nil,
	}
}

// leaseUntil is the time up to which readers may serve from the data store without asking this peer; 0: they may not.
//
// Raft's lease says that nobody else leads (raft.LeaseTicks). The data store must also hold everything that was ever
// acknowledged. What this peer acknowledged it had applied; what leaders before it acknowledged is applied once an
// entry of its own term is, because that comes after all of theirs.
//
// The lease is counted in ticks (Config.TickInterval), from the time at which the last one was due (tickedAt): it may
// have been given late, but the promise of the quorum runs since then. While a snapshot is being installed there is no
// state to read, and a peer that was removed serves nobody.
func (r *Replica) leaseUntil() time.Duration {
	ticks := r.node.LeaseTicks()
	if ticks == 0 || r.applied.Term != r.node.Term() || r.removed != nil {
		return 0
	}
	return r.tickedAt + time.Duration(ticks)*r.cfg.TickInterval
}

// sameView compares what a view says, but for Last, which alone is no news. Regions with the same epoch are the same.
func sameView(a, b *View) bool {
	return a.Region.Epoch == b.Region.Epoch && a.Peer == b.Peer && a.Leader == b.Leader && a.Term == b.Term &&
		a.LeaseUntil == b.LeaseUntil && a.Applied == b.Applied && a.Kept == b.Kept &&
		a.Installs == b.Installs && a.Installing == b.Installing && a.Gone == b.Gone
}

// Leader is the peer that leads as far as this one knows; zero if it knows none.
func (r *Replica) Leader() region.Peer { return r.book.find(r.node.Lead()) }
