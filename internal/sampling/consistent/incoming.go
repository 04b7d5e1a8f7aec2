package consistent

import "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

// Randomness is the 56 bits that decide.
type Randomness = sampling.Randomness

// Threshold is a probability as the number of values of Randomness, of 2^56, that
// are left out.
type Threshold = sampling.Threshold

// Incoming is what an item says about how it was sampled before.
//
// It is built so that it stays in registers, which a struct of more than four
// fields does not: with seven BenchmarkSpan/none took 28 ns, with three it takes 9.
type Incoming struct {
	// Threshold is that of earlier stages, 0 if not Known.
	Threshold Threshold
	// Randomness is set if HasRandomness.
	Randomness Randomness
	Status
}

// Status is what is known of an item.
type Status struct {
	// Known says that there is a threshold, and one to go by.
	Known bool
	// HasRandomness says that the item can be sampled.
	HasRandomness bool
	// Problem is what is wrong, if anything.
	Problem Problem
	record  recordStatus
}

// recordStatus is what WriteRecord needs to know of a log record.
type recordStatus uint8

const (
	// ownRandomness: Randomness is the caller's, see WithRandomness.
	ownRandomness recordStatus = 1 << iota
	// malformed: attributes do not parse, also if Problem says something else.
	malformed
)

// Problem is what is wrong with an item. See the package's table.
type Problem uint8

// The problems. An item has the last one that applies.
const (
	NoProblem Problem = iota
	InconsistentThreshold
	MalformedTraceState
	MalformedAttributes
	UnreadableTraceState
	NoRandomness

	// Problems is how many there are, NoProblem included.
	Problems
)

var problems = [Problems]string{
	InconsistentThreshold: "inconsistent_threshold",
	MalformedTraceState:   "malformed_tracestate",
	MalformedAttributes:   "malformed_attributes",
	UnreadableTraceState:  "malformed_tracestate",
	NoRandomness:          "no_randomness",
}

// String is the name of the problem in telemetry: two have the same one, for
// their cause is the same. It is empty for NoProblem.
func (p Problem) String() string {
	if p >= Problems {
		return ""
	}
	return problems[p]
}

// Represented is how many items this one stands for, itself included: the inverse
// of the probability of earlier stages, 1 if that is unknown.
func Represented(in Incoming) float64 {
	if !in.Known {
		return 1 // as below, without the division
	}
	return in.Threshold.AdjustedCount()
}

// consistent drops a threshold that would have left the item out.
func (in Incoming) consistent() Incoming {
	if in.Known && in.HasRandomness && !in.Threshold.ShouldSample(in.Randomness) {
		in.Known, in.Threshold = false, Threshold{}
		in.Problem = max(in.Problem, InconsistentThreshold)
	}
	if !in.HasRandomness {
		in.Problem = NoRandomness
	}
	return in
}
