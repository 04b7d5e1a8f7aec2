package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// Point is one point of an input, as a view: nothing of it is retained.
type Point struct {
	// Input is the identity of the stream as it came, Output of what stays of
	// it under the rule.
	Input, Output Key
	Rule          RuleID
	Kind          Kind
	// Policy is how a Gauge becomes one value.
	Policy spatial.Policy
	// Stale marks a point without a value (NoRecordedValue), whose time is that
	// of Sum.
	Stale bool
	// Now is the time of arrival. It decides who is stale; times within points
	// come from other clocks.
	Now uint64
	// Since is until when a new input may have gone elsewhere: one that began before
	// counts from its first point on.
	Since uint64

	// Sum is the value of a sum or a gauge.
	Sum spatial.SumPoint
	// Histogram is the value of a histogram or a summary. Its Bounds should be
	// shared: see Engine.Bounds.
	Histogram *spatial.HistogramPoint
	// Exponential is the value of an exponential histogram.
	Exponential *spatial.ExponentialPoint
}

// Span is the time that the point is about.
func (p *Point) Span() spatial.Span { return p.span() }

func (p *Point) span() spatial.Span {
	if !p.Stale {
		switch p.Kind.form() {
		case histogram:
			return p.Histogram.Span
		case exponential:
			return p.Exponential.Span
		default:
		}
	}
	return p.Sum.Span
}

// check returns Accepted if the point is well formed.
func (p *Point) check() spatial.Verdict {
	switch p.Kind {
	case Gauge:
		var fresh spatial.Latest
		return fresh.ObserveGauge(p.Sum)
	case DeltaSum, CumulativeSum:
		if v := p.checkTimes(); v != spatial.Accepted {
			return v
		}
		return p.Sum.Value.Monotonic()
	case DeltaUpDown, CumulativeUpDown:
		var fresh spatial.Latest
		return fresh.ObserveSum(p.Sum)
	case DeltaHistogram, CumulativeHistogram, Summary:
		if v := p.checkTimes(); v != spatial.Accepted {
			return v
		}
		return p.Histogram.Check()
	default:
		if v := p.checkTimes(); v != spatial.Accepted {
			return v
		}
		return p.Exponential.Check()
	}
}

// checkTimes judges the times alone.
func (p *Point) checkTimes() spatial.Verdict {
	var fresh spatial.Latest
	return fresh.ObserveGauge(spatial.SumPoint{Span: p.span()})
}

// Description is what the engine asks once, when an output is new.
type Description struct {
	// Owner is kept with the output and handed back with what it emits, say a
	// copy of the attributes.
	Owner any
	// Bounds, if KeepBounds is set, are those of a histogram under a rule that
	// names them: see spatial.Bounds.Keep. Otherwise the inputs decide.
	Bounds     *spatial.Bounds
	KeepBounds bool
}

// Describer describes the outputs of a point. It is asked in Feed and must not
// call the engine.
type Describer interface {
	// Describe describes Point.Output.
	Describe() Description
	// Overflow names and describes the output that takes the points of the
	// metric's inputs beyond MaxStreams.
	Overflow() (Key, Description)
}

// Coverer is a Describer that knows by what rules inputs went.
type Coverer interface {
	// Covered reports whether at any time since, up to now, a rule took points of
	// the input whose point is fed. The engine asks if the rule by which it went was
	// retired then and the present one began later; without an answer it assumes
	// that the input passed meanwhile.
	Covered(since uint64) bool
}

// Event is a set of things that happened with a point beside its verdict.
type Event uint16

// The events.
const (
	// NewInput was not known, or was forgotten.
	NewInput Event = 1 << iota
	// NewOutput was made for this point.
	NewOutput
	// Moved means that a known input feeds another output than before.
	Moved
	// Folded means that the input has no room and the point went to the overflow
	// output. Of a delta the value is in it; of cumulative streams and gauges
	// nobody can say what it contributes without remembering it.
	Folded
	// Dropped means that there was no room for an overflow output either.
	Dropped
	// PastInteger means that an integer sum became a double.
	PastInteger
	// BoundsApart means that the histogram shares no bounds with its output and
	// feeds another one of the same identity: see Emission.Variant.
	BoundsApart
	// Ended means that a stale marker ended a known input.
	Ended
	// LateDelta is a delta older than the last one: it counts, in this interval.
	LateDelta
	// Anew means that an input, which is known, passed before its rule began: the
	// point is its base line. It is Moved, too.
	Anew
	// Taken means that it is the first point of an input that passed until it was
	// taken over: see InputState.Passed.
	Taken
	// Unknown means that a stale marker ended an input that is not known.
	Unknown
	// RuleMoved means that the rule went on in another engine, which has to be fed:
	// see Release.
	RuleMoved
)

// Outcome says what became of a point.
type Outcome struct {
	Verdict  spatial.Verdict
	Happened Event
	// Increment is by how much the point raised its output: of a sum in its unit,
	// of a histogram or summary in measurements. A level has none.
	Increment float64
}

// Emission is one point that goes out. It is valid until emit returns.
type Emission struct {
	Output Key
	// Variant is not 0 for histograms that share no bounds with the other inputs
	// of the same output. The writer must tell them apart.
	Variant uint64
	// Rule is the one that made the output; others may feed it.
	Rule  RuleID
	Owner any
	Kind  Kind
	// Policy is that of a gauge.
	Policy spatial.Policy
	// Stale marks the end of the output: there is no value.
	Stale bool
	// Start is 0 for a gauge, and Time the edge.
	Start, Time uint64

	// One of these is set, by kind.
	Number      spatial.Number
	Histogram   *spatial.HistogramPoint
	Exponential *spatial.ExponentialPoint
}
