package consistent

import (
	"math/bits"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The attributes of a log record that say how it was sampled, as contrib's
// probabilistic_sampler writes them: text, as th and rv have it.
const (
	ThresholdAttribute  = "sampling.threshold"
	RandomnessAttribute = "sampling.randomness"
)

// ReadRecord reads the attributes of a log record. Its randomness is that of the
// attribute or else of its trace id, so that a record is kept with its trace. To
// one that has neither the caller may give some by WithRandomness.
func (*Reader) ReadRecord(attributes pcommon.Map, id pcommon.TraceID) Incoming {
	var in Incoming
	var errThreshold, errRandomness error
	if v, ok := attributes.Get(ThresholdAttribute); ok {
		in.Threshold, errThreshold = sampling.TValueToThreshold(text(v))
		in.Known = true
	}
	if v, ok := attributes.Get(RandomnessAttribute); ok {
		in.Randomness, errRandomness = sampling.RValueToRandomness(text(v))
		in.HasRandomness = true
	}
	if errThreshold != nil || errRandomness != nil {
		in = Incoming{Status: Status{Problem: MalformedAttributes, record: malformed}}
	}
	if !in.HasRandomness && !id.IsEmpty() {
		in.Randomness, in.HasRandomness = sampling.TraceIDToRandomness(id), true
	}
	return in.consistent()
}

// text is empty, which is malformed, for a value that is none.
func text(v pcommon.Value) string {
	if v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()
}

// WithRandomness gives randomness of the caller's to a record that has none:
// either random bits, or the hash of an attribute (see FromHash), if records with
// the same value are to be kept or left out together. WriteRecord writes it to the
// record, so that later stages, which know neither, decide by the same.
//
// A record with a threshold but without randomness was sampled by somebody whose
// randomness was at or above the threshold and is lost. So what is given is scaled
// to that range. Taken as it is, it would contradict most thresholds, and the
// counts with them.
func (in Incoming) WithRandomness(rnd Randomness) Incoming {
	if in.HasRandomness {
		return in
	}
	if in.Known {
		t := in.Threshold.Unsigned()
		hi, lo := bits.Mul64(rnd.Unsigned(), sampling.MaxAdjustedCount-t)
		rnd, _ = sampling.UnsignedToRandomness(t + hi<<8 + lo>>56) // less than 2^56, as rnd is
	}
	in.Randomness, in.HasRandomness, in.Problem = rnd, true, NoProblem
	in.record |= ownRandomness
	if in.record&malformed != 0 {
		in.Problem = MalformedAttributes
	}
	return in
}

// FromHash is the randomness of a hash: its upper 56 bits, which must be well
// mixed, as those of xxHash are.
func FromHash(hash uint64) Randomness {
	rnd, _ := sampling.UnsignedToRandomness(hash >> 8) // 56 bits are in range
	return rnd
}

// WriteRecord writes a decision to the attributes of a record that is kept.
func (r *Reader) WriteRecord(attributes pcommon.Map, in Incoming, d Decision) {
	if !d.Changed {
		return
	}
	if in.record&malformed != 0 {
		attributes.Remove(RandomnessAttribute)
	}
	attributes.PutStr(ThresholdAttribute, r.text(d.Threshold))
	if in.record&ownRandomness != 0 {
		attributes.PutStr(RandomnessAttribute, in.Randomness.RValue())
	}
}

// EraseRecord takes the threshold off a record, and malformed randomness too.
func (*Reader) EraseRecord(attributes pcommon.Map, in Incoming) {
	attributes.Remove(ThresholdAttribute)
	if in.record&malformed != 0 {
		attributes.Remove(RandomnessAttribute)
	}
}

// text is the threshold as text, remembered.
func (r *Reader) text(t Threshold) string {
	slot := &r.texts[mix(t)%textSlots]
	if slot.text == "" || slot.of != t {
		*slot = textSlot{t.TValue(), t}
	}
	return slot.text
}
