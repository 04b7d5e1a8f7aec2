package consistent

import (
	"errors"
	"slices"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
)

// The bounds of pkg/sampling on what it parses. W3C Trace Context allows 32
// members, pkg/sampling refuses the 32nd.
const (
	maxLength  = 1024 // of a trace state, bytes
	maxMembers = 31
	maxValue   = 256 // of a member, bytes
)

// state is a trace state, parsed.
type state struct {
	// in lacks the randomness of the trace id.
	in Incoming
	// w3c has the members of others, and the ot member unless it is malformed.
	w3c sampling.W3CTraceState
}

var unreadableState = state{in: Incoming{Status: Status{Problem: UnreadableTraceState}}}

func parse(raw string) state {
	w3c, err := sampling.NewW3CTraceState(raw)
	if err == nil && severalOT(raw) {
		err = errSeveral
	}
	if err != nil {
		if unreadable(raw, w3c, err) {
			return unreadableState
		}
		*w3c.OTelValue() = sampling.OpenTelemetryTraceState{}
		return state{in: Incoming{Status: Status{Problem: MalformedTraceState}}, w3c: w3c}
	}
	s := state{w3c: w3c}
	s.in.Threshold, s.in.Known = w3c.OTelValue().TValueThreshold()
	s.in.Randomness, s.in.HasRandomness = w3c.OTelValue().RValueRandomness()
	return s
}

var errSeveral = errors.New("several ot members")

// unreadable says whether an error of pkg/sampling is about the whole trace state
// rather than about its ot member. Its result tells: it has the members of others
// unless the syntax of the whole is wrong. Whether there are none of others, a
// second attempt with one more shows.
func unreadable(raw string, w3c sampling.W3CTraceState, err error) bool {
	switch {
	case errors.Is(err, sampling.ErrTraceStateSize):
		return true // or too many members, or too long a key: some are missing in w3c
	case errors.Is(err, errSeveral), len(w3c.ExtraValues()) > 0:
		return false
	}
	probe, _ := sampling.NewW3CTraceState("probe=0," + raw)
	return len(probe.ExtraValues()) == 0
}

// severalOT says whether a valid trace state has more than one ot member, which
// W3C Trace Context forbids; pkg/sampling takes the last. An equals sign ends a
// key and stands nowhere else.
func severalOT(raw string) bool {
	n := 0
	for rest := raw; ; {
		i := strings.Index(rest, "ot=")
		if i < 0 {
			return n > 1
		}
		if i == 0 || strings.IndexByte(", \t", rest[i-1]) >= 0 {
			n++
		}
		rest = rest[i+len("ot="):]
	}
}

// buffer writes trace states.
type buffer struct{ bytes []byte }

// WriteString implements io.StringWriter.
func (b *buffer) WriteString(s string) (int, error) {
	b.bytes = append(b.bytes, s...)
	return len(s), nil
}

// with returns a trace state with a threshold and how many members of others had
// to go for it.
func (b *buffer) with(s state, t Threshold) (out string, lost int) {
	ot := *s.w3c.OTelValue()
	ot.ClearTValue()
	_ = ot.UpdateTValueWithSampling(t) // fails only if there is a threshold
	b.bytes = b.bytes[:0]
	b.member(&ot)
	if len(b.bytes) > maxValue+len("ot=") {
		// The fields of others in the ot member go: it has no other way of
		// shortening. They are what OpenTelemetry has not defined so far.
		lost = len(ot.ExtraValues())
		var short sampling.OpenTelemetryTraceState
		if rnd, ok := ot.RValueRandomness(); ok {
			short.SetRValue(rnd)
		}
		_ = short.UpdateTValueWithSampling(t)
		b.bytes = b.bytes[:0]
		b.member(&short)
	}
	others := s.w3c.ExtraValues()
	kept := fit(others, len(b.bytes))
	for _, kv := range kept {
		if len(b.bytes) > 0 {
			b.bytes = append(b.bytes, ',')
		}
		b.bytes = append(append(append(b.bytes, kv.Key...), '='), kv.Value...)
	}
	return string(b.bytes), lost + len(others) - len(kept)
}

func (b *buffer) member(ot *sampling.OpenTelemetryTraceState) {
	if ot.HasAnyValue() {
		b.bytes = append(b.bytes, "ot="...)
		_ = ot.Serialize(b) // as b does not fail
	}
}

// fit returns the members that have room beside an ot member of so many bytes. It
// does not change what it is given.
func fit(members []sampling.KV, ot int) []sampling.KV {
	room, length := maxMembers, -1
	if ot > 0 {
		room, length = room-1, ot
	}
	for _, kv := range members {
		length += size(kv)
	}
	if len(members) <= room && length <= maxLength {
		return members
	}
	kept := slices.Clone(members)
	for length > maxLength {
		i := len(kept) - 1
		for j := i; j >= 0; j-- {
			if size(kept[j]) > large {
				i = j
				break
			}
		}
		length -= size(kept[i])
		kept = slices.Delete(kept, i, i+1)
	}
	return kept[:min(len(kept), room)]
}

// large is the size of members, in bytes, that W3C Trace Context drops first.
const large = 128

// size is that of key, equals sign, value and the comma before.
func size(kv sampling.KV) int { return len(kv.Key) + len(kv.Value) + 2 }
