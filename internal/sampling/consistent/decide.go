package consistent

import (
	"math"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
)

// Decision is what happens to an item.
type Decision struct {
	// Threshold is what the item goes on with.
	Threshold Threshold
	// Keep says whether it goes on at all.
	Keep bool
	// Changed says that Threshold is to be written: it is not what the item came
	// with.
	Changed bool
}

// Decide samples an item with a threshold of ours. One that has no randomness is
// kept as it is.
func Decide(in Incoming, ours Threshold) Decision {
	if !in.HasRandomness {
		return Decision{Threshold: in.Threshold, Keep: true}
	}
	if in.Known && !sampling.ThresholdGreater(ours, in.Threshold) {
		return Decision{Threshold: in.Threshold, Keep: true} // R ≥ T, or it would not be Known
	}
	return Decision{Threshold: ours, Keep: ours.ShouldSample(in.Randomness), Changed: in.writable()}
}

// Keep is the decision about an item that a condition keeps, whatever its
// randomness: its threshold stays, and is 0 where there was none.
func Keep(in Incoming) Decision {
	return Decision{Threshold: in.Threshold, Keep: true, Changed: !in.Known && in.HasRandomness && in.writable()}
}

func (in Incoming) writable() bool { return in.Problem != UnreadableTraceState }

// Precision is how many hex digits a threshold of ours has, leading digits 0 or f
// not counted. Down to 2^-43 the probability is off by one part in 8,192 at most;
// adjusted counts are exact, for they are those of the rounded threshold.
// More digits are more bytes on each span and more distinct trace states. Contrib's
// probabilistic_sampler has 4 too.
const Precision = 4

// FromProbability is the threshold of a probability. One below 2^-56 is raised to
// 2^-56, one above 1 is 1, and NaN is 1 too: nothing is lost by a mistake.
func FromProbability(p float64) Threshold {
	if math.IsNaN(p) {
		return sampling.AlwaysSampleThreshold
	}
	// In this range there is no error.
	t, _ := sampling.ProbabilityToThresholdWithPrecision(min(1, max(sampling.MinSamplingProbability, p)), Precision)
	return t
}
