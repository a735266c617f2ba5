// Virtual time: what happens when. Everything that will happen is in one queue (rafttest.Queue).

package sim

import (
	"tinykv/kv/replica"
)

type eventKind uint8

const (
	evTurn     eventKind = iota + 1 // a process looks at its clock and its inbox
	evStep                          // a write is done: the next effect
	evDeliver                       // a message arrives at a store
	evJob                           // a background job goes on
	evRequest                       // a client's request arrives at a store
	evLook                          // a reader that trusts a lease takes its engine snapshot
	evThought                       // a swap has thought about what it has read
	evReply                         // an answer arrives at a client
	evGiveUp                        // a client's patience is over
	evAgain                         // a call is tried once more
	evNext                          // a client begins its next call
	evCancel                        // a store is told that nobody waits for a request any more
	evResume                        // a process that was paused goes on
	evRestart                       // a process that died is started
	evNemesis                       // somebody makes trouble
	evCalm                          // trouble is over
	evDecision                      // the next decision of a trace that is played
	evPlayed                        // a trace was played to its end
)

// event happens to a process, a call or a client. Those that belong to a life of a process are void after it.
type event struct {
	kind    eventKind
	client  int // evNext
	process *process
	life    int
	attempt *attempt
	call    *call
	job     job
	message *replica.Message
}

// job is what a process does in the background, step by step. It schedules its own next step.
type job interface{ step() }
