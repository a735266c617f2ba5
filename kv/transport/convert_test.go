// Conversion there and back, and what is refused.

package transport

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"tinykv/kv/region"
	"tinykv/kv/replica"
	"tinykv/proto/storepb"
	"tinykv/raft"
)

// messageOf makes a message from store 1 to store 2 that uses every field.
func messageOf(t raft.MessageType, entries ...raft.Entry) replica.Message {
	return replica.Message{
		RegionID: 5,
		From:     region.Peer{ID: 11, StoreID: 1},
		To:       region.Peer{ID: 12, StoreID: 2},
		Epoch:    region.Epoch{ConfVer: 3, Version: 4},
		Raft: raft.Message{
			Type: t, Reject: true, Force: true, From: 11, To: 12, Term: 6, LogTerm: 5, Index: 7, Commit: 8, Hint: 9,
			Context: 10, Entries: entries,
		},
	}
}

// overTheWire is what arrives when messages are sent from store 1 to store 2.
func overTheWire(t *testing.T, messages []replica.Message) []replica.Message {
	t.Helper()
	bytes, err := proto.Marshal(toFrame(messages))
	if err != nil {
		t.Fatal(err)
	}
	frame := new(storepb.Frame)
	if err := proto.Unmarshal(bytes, frame); err != nil {
		t.Fatal(err)
	}
	got, err := toMessages(frame, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEveryTypeOfMessageArrivesAsItWas(t *testing.T) {
	var messages []replica.Message
	for kind := raft.MsgProp; kind <= raft.MsgReadIndexResp; kind++ {
		if kind == raft.MsgSnap {
			continue
		}
		messages = append(messages, messageOf(kind,
			raft.Entry{Term: 6, Index: 8, Data: []byte("put")},
			raft.Entry{Term: 6, Index: 9, Type: raft.EntryConfChange, Data: []byte("add")},
			raft.Entry{Term: 6, Index: 10}))
	}
	for i := range messages {
		if err := checkSendable(&messages[i], 1, 2); err != nil {
			t.Errorf("%v can't be sent: %v", messages[i].Raft.Type, err)
		}
	}
	if got := overTheWire(t, messages); !reflect.DeepEqual(got, messages) {
		t.Errorf("arrived:\n%+v\nsent:\n%+v", got, messages)
	}
}

// A field that raft.Message gains must not be lost on the way without anybody noticing.
func TestEveryFieldOfAMessageIsKnownToTheConversion(t *testing.T) {
	for _, test := range []struct {
		value any
		known string
	}{
		{raft.Message{}, "Type Reject Force From To Term LogTerm Index Commit Hint Context Entries Snapshot"},
		{raft.Entry{}, "Term Index Type Data"},
		{replica.Message{}, "RegionID From To Epoch Raft"},
		{region.Epoch{}, "ConfVer Version"},
		{region.Peer{}, "ID StoreID"},
	} {
		var names []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(test.value)) {
			names = append(names, field.Name)
		}
		if got := strings.Join(names, " "); got != test.known {
			t.Errorf("%T has the fields %s; the conversion knows %s: extend it, and then this test",
				test.value, got, test.known)
		}
	}
}

func TestConversionAllocatesByTheFrame(t *testing.T) {
	messages := make([]replica.Message, 100)
	for i := range messages {
		messages[i] = messageOf(raft.MsgApp, raft.Entry{Term: 1, Index: 1}, raft.Entry{Term: 1, Index: 2})
	}
	frame := toFrame(messages)
	// The frame, its messages, pointers to them, their entries, pointers to those.
	if n := testing.AllocsPerRun(100, func() { toFrame(messages) }); n != 5 {
		t.Errorf("%v allocations to make a frame of 100 messages, want 5", n)
	}
	// The messages and their entries.
	if n := testing.AllocsPerRun(100, func() { _, _ = toMessages(frame, 1, 2) }); n != 2 {
		t.Errorf("%v allocations to take a frame of 100 messages apart, want 2", n)
	}
}

func TestBytesOnTheWire(t *testing.T) {
	beat := heartbeat(1, 2, 1)
	beat.RegionID, beat.Raft.Term, beat.Raft.Commit = 1000, 10, 100_000
	put := heartbeat(1, 2, 0)
	put.Raft.Type, put.Raft.Index, put.Raft.LogTerm = raft.MsgApp, 100_000, 10
	put.Raft.Entries = []raft.Entry{{Term: 10, Index: 100_001, Data: make([]byte, 256)}}
	for _, test := range []struct {
		name string
		m    replica.Message
		want int
	}{{"heartbeat", beat, 19}, {"append_of_256_bytes", put, 287}} {
		t.Run(test.name, func(t *testing.T) {
			if n := proto.Size(toFrame([]replica.Message{test.m})); n != test.want {
				t.Errorf("%d bytes, want %d", n, test.want)
			}
			if n := sizeOf(&test.m); n < test.want {
				t.Errorf("counts as %d bytes against limits, but has %d", n, test.want)
			}
		})
	}
}

func TestConversionSharesTheDataOfEntries(t *testing.T) {
	data := []byte("immutable")
	frame := toFrame([]replica.Message{messageOf(raft.MsgApp, raft.Entry{Term: 1, Index: 1, Data: data})})
	if &frame.Messages[0].Entries[0].Data[0] != &data[0] {
		t.Error("the data of an entry was copied on its way into a frame")
	}
	messages, err := toMessages(frame, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if &messages[0].Raft.Entries[0].Data[0] != &data[0] {
		t.Error("the data of an entry was copied on its way out of a frame")
	}
}

// Entries of messages lie in one slab: to append to those of one must not write over those of the next.
func TestEntriesOfOneMessageCantGrowIntoThoseOfTheNext(t *testing.T) {
	one, two := raft.Entry{Term: 1, Index: 1}, raft.Entry{Term: 1, Index: 2}
	got := overTheWire(t, []replica.Message{messageOf(raft.MsgApp, one), messageOf(raft.MsgApp, two)})
	_ = append(got[0].Raft.Entries, raft.Entry{Term: 9, Index: 9})
	if e := got[1].Raft.Entries[0]; e.Index != 2 {
		t.Errorf("the second message's entry has become %+v", e)
	}
}

func TestMalformedFramesAreRefusedByField(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(*storepb.Frame)
		want   string
	}{
		{"no_region", func(f *storepb.Frame) { f.Messages[1].RegionId = 0 }, "messages[1]: region_id: 0"},
		{"no_sender", func(f *storepb.Frame) { f.Messages[1].FromPeer = 0 }, "messages[1]: from_peer: 0"},
		{"no_receiver", func(f *storepb.Frame) { f.Messages[0].ToPeer = 0 }, "messages[0]: to_peer: 0"},
		{"no_type", func(f *storepb.Frame) { f.Messages[0].Type = 0 }, "messages[0]: type: unknown, 0"},
		{"type_of_a_later_version", func(f *storepb.Frame) { f.Messages[0].Type = 99 }, "messages[0]: type: unknown, 99"},
		{"negative_type", func(f *storepb.Frame) { f.Messages[0].Type = -1 }, "messages[0]: type: unknown, -1"},
		{"snapshot_as_a_message", func(f *storepb.Frame) { f.Messages[0].Type = 10 }, "messages[0]: type: unknown, 10"},
		{"nil_message", func(f *storepb.Frame) { f.Messages[1] = nil }, "messages[1]: missing"},
		{"nil_entry", func(f *storepb.Frame) { f.Messages[0].Entries[1] = nil }, "messages[0]: entries[1]: missing"},
		{"unknown_entry", func(f *storepb.Frame) { f.Messages[0].Entries[1].Type = 2 },
			"messages[0]: entries[1]: type: unknown, 2"},
		{"negative_entry", func(f *storepb.Frame) { f.Messages[0].Entries[1].Type = -1 },
			"messages[0]: entries[1]: type: unknown, -1"},
		{"absurdly_many_entries", func(f *storepb.Frame) { f.Messages[0].Entries = make([]*storepb.Entry, maxEntries+1) },
			"messages[0]: entries: 65537 of them, at most 65536"},
		{"absurdly_many_messages", func(f *storepb.Frame) { f.Messages = make([]*storepb.Message, maxFrameMessages+1) },
			"messages: 65537 in a frame, at most 65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := messageOf(raft.MsgApp, raft.Entry{Term: 1, Index: 8}, raft.Entry{Term: 1, Index: 9})
			frame := toFrame([]replica.Message{m, m})
			test.damage(frame)
			messages, err := toMessages(frame, 1, 2)
			if err == nil || err.Error() != test.want || messages != nil {
				t.Errorf("got %d messages and %v, want the error %s", len(messages), err, test.want)
			}
		})
	}
	if messages, err := toMessages(nil, 1, 2); err != nil || len(messages) != 0 {
		t.Errorf("no frame: %v, %v", messages, err)
	}
}

func TestMessagesThatCantBeSentAreFoundByField(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(*replica.Message)
		want   string
	}{
		{"of_another_store", func(m *replica.Message) { m.From.StoreID = 3 }, "from: store 3, but this is store 1"},
		{"to_another_store", func(m *replica.Message) { m.To.StoreID = 3 }, "to: store 3, but it was to be sent to store 2"},
		{"two_senders", func(m *replica.Message) { m.Raft.From = 99 }, "raft from: 99, but the peer is 11"},
		{"two_receivers", func(m *replica.Message) { m.Raft.To = 99 }, "raft to: 99, but the peer is 12"},
		{"no_region", func(m *replica.Message) { m.RegionID = 0 }, "region 0, from peer 11, to peer 12: none may be 0"},
		{"snapshot", func(m *replica.Message) { m.Raft.Type = raft.MsgSnap }, "raft snapshot: snapshots travel by SendSnapshot"},
		{"with_a_snapshot", func(m *replica.Message) { m.Raft.Snapshot = new(raft.Snapshot) },
			"raft snapshot: snapshots travel by SendSnapshot"},
		{"no_type", func(m *replica.Message) { m.Raft.Type = 0 }, "raft type: unknown, 0"},
		{"later_type", func(m *replica.Message) { m.Raft.Type = 200 }, "raft type: unknown, 200"},
		{"unknown_entry", func(m *replica.Message) { m.Raft.Entries = []raft.Entry{{Type: 7}} },
			"raft entries[0] type: unknown, 7"},
		{"too_many_entries", func(m *replica.Message) { m.Raft.Entries = make([]raft.Entry, maxEntries+1) },
			"raft entries: 65537 of them, at most 65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := messageOf(raft.MsgApp)
			test.damage(&m)
			if err := checkSendable(&m, 1, 2); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// Whatever can be sent arrives as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a message of any type with some entries and odd numbers"))
	f.Add([]byte("\x02\x01\x05\x0b\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x01\x01abc\x01\x02\x02\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		d := &dice{input}
		var messages []replica.Message
		for len(d.rest) > 0 && len(messages) < 20 {
			messages = append(messages, d.message())
		}
		for i := range messages {
			if err := checkSendable(&messages[i], 1, 2); err != nil {
				t.Fatalf("%+v: %v", messages[i], err)
			}
		}
		got := overTheWire(t, messages)
		if len(got) != len(messages) {
			t.Fatalf("%d messages arrived of %d", len(got), len(messages))
		}
		for i := range messages {
			if !reflect.DeepEqual(got[i], messages[i]) {
				t.Errorf("arrived:\n%+v\nsent:\n%+v", got[i], messages[i])
			}
		}
	})
}

// No bytes make the conversion panic, and what it lets pass can be sent back.
func FuzzFramesFromAnywhere(f *testing.F) {
	good, err := proto.Marshal(toFrame([]replica.Message{messageOf(raft.MsgApp, raft.Entry{Term: 6, Index: 8}),
		messageOf(raft.MsgHeartbeat)}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("\x12\x00\x12\x02\x5a\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		frame := new(storepb.Frame)
		if proto.Unmarshal(input, frame) != nil {
			return
		}
		messages, err := toMessages(frame, 1, 2)
		if err != nil {
			if messages != nil {
				t.Errorf("messages beside the error %v", err)
			}
			return
		}
		for i := range messages {
			if err := checkSendable(&messages[i], 1, 2); err != nil {
				t.Errorf("came in and can't go out: %v", err)
			}
		}
	})
}

// dice makes messages out of bytes.
type dice struct{ rest []byte }

func (d *dice) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.rest = nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *dice) bytes() []byte {
	n := min(int(d.number()%64), len(d.rest))
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	if n == 0 {
		return nil
	}
	return b
}

func (d *dice) message() replica.Message {
	kind := raft.MessageType(d.number()%uint64(raft.MsgReadIndexResp)) + 1
	if kind == raft.MsgSnap {
		kind = raft.MsgApp
	}
	flags := d.number()
	from, to := d.number()|1, d.number()|2
	m := replica.Message{
		RegionID: d.number() | 1,
		From:     region.Peer{ID: from, StoreID: 1},
		To:       region.Peer{ID: to, StoreID: 2},
		Epoch:    region.Epoch{ConfVer: d.number(), Version: d.number()},
		Raft: raft.Message{
			Type: kind, Reject: flags&1 != 0, Force: flags&2 != 0, From: from, To: to, Term: d.number(),
			LogTerm: d.number(), Index: d.number(), Commit: d.number(), Hint: d.number(), Context: d.number(),
		},
	}
	for range d.number() % 5 {
		m.Raft.Entries = append(m.Raft.Entries, raft.Entry{
			Term: d.number(), Index: d.number(), Type: raft.EntryType(d.number() % 2), Data: d.bytes(),
		})
	}
	return m
}
