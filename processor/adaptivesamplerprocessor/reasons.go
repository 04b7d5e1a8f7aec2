package adaptivesamplerprocessor

// reason says why an item was kept or left out, or what was odd about it. It is
// the attribute of that name in telemetry, so the constants of this type are all
// that there are; README.md explains each. Those of one signal are in the
// reasons_….go of the signal.
type reason string

// reasons are those that the items of a signal can have. Each item that came is
// counted once, either as kept or as left out; irregular ones also as such.
type reasons struct {
	kept, leftOut, irregular []reason
}

// The reasons that several signals have.
const (
	// reasonPassed is kept: no rule, key or target has a say in it.
	reasonPassed reason = "passed"
	// reasonSampled is kept or left out by its probability.
	reasonSampled reason = "sampled"
	// reasonPreview is kept only because the rule is in preview.
	reasonPreview reason = "preview"

	// reasonMalformedTraceState is irregular: the trace state or the threshold
	// cannot be read.
	reasonMalformedTraceState reason = "malformed_tracestate"
	// reasonInconsistentThreshold is irregular: by the threshold that it came with
	// it would not be here. The threshold is erased.
	reasonInconsistentThreshold reason = "inconsistent_threshold"
	// reasonNoRandomness is irregular: there is neither a trace id nor a random
	// value to decide by.
	reasonNoRandomness reason = "no_randomness"
	// reasonNoKey is irregular: an attribute of the key is missing; it counts as
	// empty.
	reasonNoKey reason = "no_key"
	// reasonNoTime is irregular: a time that is needed is 0.
	reasonNoTime reason = "no_time"
	// reasonTimeBackwards is irregular: it ends before it begins, or is older than
	// the one before.
	reasonTimeBackwards reason = "time_backwards"
)
