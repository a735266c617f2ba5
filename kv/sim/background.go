// What goes on beside a store's loop: streams of snapshots, installs, syncs of the data. Each is a job that proceeds step
// by step, so that everything else can happen in between, a crash too.

package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tinykv/kv/engine"
	"tinykv/kv/snapshot"
	"tinykv/kv/store"
)

// spools is where a store keeps snapshots that it receives. It survives crashes.
type spools struct{ *snapshot.Memory }

func newSpools(c *Cluster, storeID uint64) spools {
	seed := c.draw(drawChunk, storeID)
	return spools{snapshot.NewMemory(rand.New(rand.NewPCG(seed, storeID)))}
}

// tidySpools removes what a crash has left and nobody needs.
func (p *process) tidySpools() {
	names, _ := p.spools.List()
	needed := p.core.Spools()
	for _, name := range names {
		if !slices.Contains(needed, name) {
			p.c.saw("leftover spool removed")
			_ = p.spools.Remove(name)
		}
	}
}

// later schedules a step of a job of this process.
func (p *process) later(delay time.Duration, j job) {
	p.c.at(p.c.now+delay, event{kind: evJob, process: p, life: p.life, job: j})
}

// chunkBytes is so small that the few pairs of a simulated region take several chunks.
const chunkBytes = 150

// stream is a snapshot on its way: one chunk at a time.
type stream struct {
	c        *Cluster
	effect   store.Stream
	from, to *process
	number   uint64 // by which its chance is drawn
	source   *snapshot.Source
	receiver *snapshot.Receiver // nil: no chunk has arrived yet
	chunks   uint64
	twice    bool
	over     bool
}

// stream begins to send a snapshot.
func (p *process) stream(e store.Stream) {
	c := p.c
	c.streams++
	s := &stream{c: c, effect: e, from: p, to: c.process(e.Head.To.StoreID), number: c.streams,
		source: snapshot.NewSource(e.Source, e.Head, chunkBytes)}
	p.streams = append(p.streams, s)
	p.checkStreams()
	if c.opts.Trace {
		c.tell(p, "streams its state at %v to store %d, ticket %d", e.Head.Position, s.to.id, e.Ticket)
	}
	p.later(s.delay(), s)
}

// chance is drawn for each chunk.
func (s *stream) chance() uint64 { return s.c.draw(drawChunk, s.number, s.chunks) }

func (s *stream) delay() time.Duration { return s.c.network.latency(s.chance()) }

// step sends the next chunk.
func (s *stream) step() {
	if s.over || s.from.dies("Chunk") {
		return
	}
	chunk, err := s.source.Next()
	if err == io.EOF {
		s.end(true)
		return
	}
	if err != nil {
		s.from.trouble = err
		s.end(false)
		return
	}
	s.chunks++
	chance := s.chance()
	w := &s.c.network
	if w.link(s.from.id, s.to.id).cut || s.to.core == nil || int(chance%1000)*4 < w.lose {
		s.c.saw("stream broken")
		s.end(false)
		return
	}
	if !slices.Contains(s.to.streams, s) {
		s.to.streams = append(s.to.streams, s)
	}
	if s.c.faults && chance>>50%200 == 0 {
		chunk[chance%uint64(len(chunk))] ^= 1 << (chance >> 20 % 8)
		s.to.later(s.delay(), &arrival{stream: s, chunk: chunk, damaged: true})
		return
	}
	s.to.later(s.delay(), &arrival{stream: s, chunk: chunk})
}

// arrival is a chunk that comes to its store.
type arrival struct {
	stream  *stream
	chunk   snapshot.Chunk
	damaged bool
}

// step takes the chunk.
func (a *arrival) step() {
	s, p := a.stream, a.stream.to
	if s.over || p.dies("Chunk") {
		return
	}
	if s.receiver == nil {
		s.receiver = snapshot.NewReceiver(p.spools, snapshot.Wanted{ClusterID: clusterID, StoreID: p.id})
	}
	complete, err := s.receiver.Accept(a.chunk)
	switch {
	case err != nil && !a.damaged:
		s.c.fail("snapshot", "store %d refuses a chunk of a good snapshot: %v", p.id, err)
	case err != nil:
		s.c.saw("damaged chunk refused")
		s.end(false)
	case a.damaged:
		s.c.fail("snapshot", "store %d accepts a damaged chunk", p.id)
	case complete:
		s.arrived()
	default:
		s.from.later(s.delay(), s)
	}
}

// arrived is a snapshot that has arrived as a whole. Now and then it comes once more, as if it had been sent again.
func (s *stream) arrived() {
	head, name := s.receiver.Head(), s.receiver.Name()
	s.c.saw("snapshot received")
	s.to.lastHead = head
	s.leave()
	if s.c.faults && !s.twice && s.chance()>>30%8 == 0 {
		s.c.saw("snapshot sent twice")
		s.twice, s.receiver = true, nil
		s.source = snapshot.NewSource(s.effect.Source, s.effect.Head, chunkBytes)
		s.from.later(time.Duration(s.chance()%uint64(20*tick)), s)
	} else {
		s.end(!s.c.faults || s.chance()>>40%8 > 0) // or the sender never learns of it
	}
	s.to.receive(store.SnapshotReceived{Head: head, Spool: name})
}

// leave takes the receiver's side away.
func (s *stream) leave() {
	if s.receiver != nil {
		_ = s.receiver.Close()
	}
	s.to.streams = slices.DeleteFunc(s.to.streams, func(other *stream) bool { return other == s })
}

// end is the end of the stream, on both sides, as far as they are there.
func (s *stream) end(ok bool) {
	if s.over {
		return
	}
	s.over = true
	s.leave()
	_ = s.effect.Source.Close()
	s.from.streams = slices.DeleteFunc(s.from.streams, func(other *stream) bool { return other == s })
	if s.from.core != nil {
		s.from.receive(store.StreamEnded{Ticket: s.effect.Ticket, OK: ok})
	}
}

// breakStreams breaks all streams from and to a process that ends.
func (p *process) breakStreams() {
	down := p.core
	p.core = nil // it hears nothing of it
	for _, s := range slices.Clone(p.streams) {
		p.c.saw("stream broken")
		s.end(false)
	}
	p.core = down
}

// installJob installs a snapshot that was received, batch by batch.
type installJob struct {
	p         *process
	effect    store.Install
	file      io.ReadCloser
	data      engine.Snapshot
	installer *snapshot.Installer
	batches   uint64
}

func (p *process) install(e store.Install) {
	if p.c.opts.Trace {
		p.c.tell(p, "installs %s at %v", e.Spool, e.Head.Position)
	}
	if strings.HasPrefix(e.Spool, strayName) {
		p.c.fail("snapshot", "store %d installs %s, which contradicts what it knows", p.id, e.Spool)
	}
	if at := e.Head.Position.Index; p.mirror.there && !p.mirror.installing && p.mirror.applied >= at {
		p.c.fail("snapshot", "store %d installs a snapshot at %d, and has applied %d", p.id, at, p.mirror.applied)
	}
	p.mirror.installing, p.mirror.allowed = true, 0
	j := &installJob{p: p, effect: e}
	p.later(j.pause(), j)
}

// step writes the next batch.
func (j *installJob) step() {
	p := j.p
	if p.dies("InstallStep") {
		return
	}
	finished, err := j.write()
	switch {
	case err != nil:
		p.c.note(p, "install failed")
		p.installFailed = true
		p.receive(store.InstallEnded{RegionID: j.effect.RegionID, Spool: j.effect.Spool, Err: err})
	case finished:
		j.end()
	default:
		p.later(j.pause(), j)
	}
}

// pause is how long the next batch takes: now and then so long that much happens in between.
func (j *installJob) pause() time.Duration {
	p := j.p
	j.batches++
	chance := p.c.draw(drawInstall, p.id, uint64(p.life), j.batches)
	if p.c.faults && chance%3 == 0 {
		return time.Duration(chance >> 8 % uint64(20*tick))
	}
	return p.data.latency(engine.Synced)
}

func (j *installJob) write() (finished bool, err error) {
	p := j.p
	if j.installer == nil {
		if j.file, err = p.spools.Open(j.effect.Spool); err != nil {
			return false, err
		}
		if j.data, err = p.engine.Snapshot(); err != nil {
			return false, err
		}
		p.installs++
		j.installer = snapshot.NewInstaller(j.file, j.effect.Head, j.data, j.effect.Records)
	}
	batch, err := j.installer.Next()
	if err == io.EOF {
		return true, errors.Join(p.engine.Write(new(engine.Batch), engine.Synced), j.close())
	}
	if err != nil {
		return false, errors.Join(err, j.close())
	}
	p.c.counts.DataWrites++
	return false, p.engine.Write(batch, engine.Buffered)
}

func (j *installJob) close() error {
	j.p.installs--
	return errors.Join(j.file.Close(), j.data.Close())
}

// end tells the store that the snapshot is installed. From here on its data can be held against that of others.
func (j *installJob) end() {
	p := j.p
	p.c.counts.DataSyncs++
	p.c.saw("snapshot installed")
	if applied, _, _ := p.readState(); applied != j.effect.Head.Position {
		p.c.fail("snapshot", "store %d installed a snapshot at %v, and its data is at %v", p.id, j.effect.Head.Position, applied)
	}
	p.mirror.installing = false
	p.readMirror()
	p.durable.applied = p.mirror.applied
	p.c.note(p, "installed", p.mirror.applied)
	p.receive(store.InstallEnded{RegionID: j.effect.RegionID, Spool: j.effect.Spool})
}

// held is how many states of the engine the process has reason to keep: one for each snapshot that it sends or installs.
func (p *process) held() int {
	held := p.installs
	for _, s := range p.streams {
		if s.from == p {
			held++
		}
	}
	return held
}

// discard removes a spool that the store gives up: at once, or a while later, if the process is busy with other things.
func (p *process) discard(e store.Discard) {
	p.discards++
	if chance := p.c.draw(drawDiscard, p.id, uint64(p.life), p.discards); p.hesitant && !p.c.calm && chance%2 == 0 {
		p.discarding++
		p.later(time.Duration(chance>>8%uint64(20*tick)), &discardJob{p, e.Spool})
		return
	}
	_ = p.spools.Remove(e.Spool)
}

type discardJob struct {
	p     *process
	spool string
}

func (j *discardJob) step() {
	j.p.discarding--
	_ = j.p.spools.Remove(j.spool)
}

// syncData makes durable what is written by now, and not what is written until it ends: that is all that was asked for.
func (p *process) syncData(e store.SyncData) {
	p.c.counts.DataSyncs++
	p.c.saw("data synced")
	if p.trouble = p.engine.Write(new(engine.Batch), engine.Synced); p.trouble != nil {
		return
	}
	p.durable.applied = p.mirror.applied
	p.later(p.data.latency(engine.Synced), &syncJob{p, e.Token})
}

type syncJob struct {
	p     *process
	token uint64
}

func (j *syncJob) step() {
	if !j.p.dies("DataSynced") {
		j.p.receive(store.DataSynced{Token: j.token})
	}
}
