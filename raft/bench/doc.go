// Package bench measures package raft side by side with the Raft that most systems use, go.etcd.io/raft/v3. It is a
// module of its own, so that nobody who uses this tree carries that dependency.
//
//	cd raft/bench && go test -bench . -count 5
//
// Both are driven by the same kind of loop: three nodes in one goroutine, in-memory storage, all that a Ready asks for
// done in order. What is measured is all that the library and its storage cost on three nodes.
package bench
