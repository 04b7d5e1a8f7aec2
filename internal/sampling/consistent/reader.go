package consistent

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Reader reads and writes trace states and the attributes of log records. It
// remembers what it read and wrote last: spans of a batch mostly have no trace
// state or few different ones, and get few different thresholds. Then a span costs
// 9 to 24 ns and no allocation; one with a trace state of its own, as rv makes it,
// costs what pkg/sampling needs to parse and write it, 320 to 420 ns
// (BenchmarkSpan). A Reader takes 40 KiB, and the trace states in it, of 1 KiB each
// at most.
//
// The zero value is ready. A Reader must not be used by several goroutines at a
// time: take one a batch from a pool.
type Reader struct {
	// last is the trace state that was hashed last: a Write follows its Read.
	last     string
	lastHash uint64

	read    [readSets]readSet
	written [writtenSets]writtenSet
	texts   [textSlots]textSlot
	buf     buffer
	lost    int
}

// The caches have several places for an entry, by its hash, so that those which
// meet do not push out one another again and again. The hash has no secret: whoever
// makes trace states meet makes them cost what they would cost without a cache.
// Sizes are powers of two.
const (
	readSets    = 16
	writtenSets = 128
	ways        = 4
	textSlots   = 64
)

type readSet struct {
	slots [ways]readSlot
	next  uint8 // the slot to be overwritten, modulo ways
}

type readSlot struct {
	raw string
	state
}

type writtenSet struct {
	slots [ways]writtenSlot
	next  uint8
}

type writtenSlot struct {
	raw, out string
	to       Threshold
	lost     int
	used     bool
}

type textSlot struct {
	text string
	of   Threshold
}

// Read reads the trace state of a span.
func (r *Reader) Read(traceState string, id pcommon.TraceID) Incoming {
	var in Incoming
	if traceState != "" {
		in = r.find(traceState).in
	}
	if !in.HasRandomness && !id.IsEmpty() {
		in.Randomness, in.HasRandomness = sampling.TraceIDToRandomness(id), true
	}
	return in.consistent()
}

// Write returns a trace state with the threshold t in place of any that it had.
// It is written also if it is lower, so call it only if a Decision is Changed. A
// malformed ot member is replaced; a trace state that does not parse as a whole is
// returned as it is.
//
// If the result would be longer than W3C Trace Context and pkg/sampling allow, the
// members of others go first, as W3C Trace Context says: those of more than 128
// bytes, then those at the end. Lost counts them.
func (r *Reader) Write(traceState string, t Threshold) string {
	if len(traceState) > maxLength {
		return traceState
	}
	at := mix(t)
	if traceState != "" {
		at ^= r.hash(traceState)
	}
	set := &r.written[at%writtenSets]
	for i := range set.slots {
		if slot := &set.slots[i]; slot.to == t && slot.raw == traceState && slot.used {
			r.lost += slot.lost
			return slot.out
		}
	}
	var s state
	if traceState != "" {
		s = *r.find(traceState)
	}
	if s.in.Problem == UnreadableTraceState {
		return traceState
	}
	out, lost := r.buf.with(s, t)
	set.slots[set.next%ways] = writtenSlot{raw: traceState, out: out, to: t, lost: lost, used: true}
	set.next++
	r.lost += lost
	return out
}

// Erase returns a trace state without a threshold, or without its ot member if
// that is malformed.
func (r *Reader) Erase(traceState string) string {
	return r.Write(traceState, sampling.NeverSampleThreshold) // which has no text
}

// Lost is how many members of others Write left out so far, because there was no
// room beside the threshold.
func (r *Reader) Lost() int { return r.lost }

// find returns what a trace state says. It is valid until the next call.
func (r *Reader) find(raw string) *state {
	if len(raw) > maxLength {
		return &unreadableState
	}
	set := &r.read[r.hash(raw)%readSets]
	for i := range set.slots {
		if set.slots[i].raw == raw {
			return &set.slots[i].state
		}
	}
	slot := &set.slots[set.next%ways]
	set.next++
	*slot = readSlot{raw, parse(raw)}
	return &slot.state
}

// mix spreads thresholds, which mostly end in zeros.
func mix(t Threshold) uint64 { return t.Unsigned() * 0x9e3779b97f4a7c15 >> 48 }

func (r *Reader) hash(s string) uint64 {
	if s != r.last {
		r.last, r.lastHash = s, xxh3.HashString(s)
	}
	return r.lastHash
}
