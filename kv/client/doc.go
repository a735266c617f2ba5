// Package client reads and writes a cluster: it finds the store that holds a key, asks it, and corrects its picture
// of the cluster when the store says that it is out of date.
//
//	Raw.Get, Put, Scan ...            what a program calls: keys and values
//	      │ one key, or many that are split by region
//	      ▼
//	   routing ───► cache of regions ──miss──► scheduler
//	      │              ▲
//	      │              │ verdict: what an error of the store teaches
//	      ▼              │
//	   one attempt ──────┘──► pause (backoff), then again, until the context ends
//	      │
//	      ▼
//	   transport: unary calls, or all requests to a store gathered in frames of one BatchCommands stream
//
// A client never asks anybody whether its picture is right. It sends with the epoch of the region it believes in, and
// the store refuses what does not fit, with a hint (epoch_not_match carries the present regions, not_leader the
// leader). So a request costs one round trip in the good case, and the scheduler is asked only for what nobody else
// can tell.
//
// What always holds:
//
//  1. A call ends when its context does; one without a deadline ends after DefaultTimeout. Within that time every
//     error that may pass is retried.
//  2. A call on one key is one request to one region, so it is atomic. A batch, a scan or a range is split by region,
//     and it is not: other writers may come between, and after an error some parts may have been written and others
//     not.
//  3. A write is sent again only while it is certain that it has not happened and will not. One that was sent and not
//     answered ends with ErrUndetermined, because a second copy of it could take effect after what others have written
//     since the first. An error that is, or wraps, ErrUndetermined means that the write may or may not have happened; any
//     other, that it did not.
//  4. What is decided without I/O (cache, verdict, backoff) is plain data, and the source of randomness has a seed.
//  5. After Close every call fails, and no goroutine and no connection is left.
//
// Example:
//
//	c, err := client.New(client.Options{Scheduler: []string{"127.0.0.1:2379"}})
//	defer c.Close()
//	kv := c.Raw()
//	err = kv.Put(ctx, []byte("a"), []byte("1"))
//	value, found, err := kv.Get(ctx, []byte("a"))
//	for pair, err := range kv.All(ctx, client.ScanOptions{Start: []byte("a")}) { ... }
//
// Left out for now: transactions, reads from followers, and a check of a store's health before it is asked.
package client
