package cost

import (
	"math"
	"time"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Basis says how well a number is known.
type Basis string

// From the best to the worst.
const (
	// BasisExact: every series was counted.
	BasisExact Basis = "exact"
	// BasisEstimated: from sketches, which err by a known amount.
	BasisEstimated Basis = "estimated"
	// BasisBounded: only bounds are known; a preview of the rule measures it.
	BasisBounded Basis = "bounded"
)

// Estimate is a number of series.
type Estimate struct {
	// Value is what is expected. Min and Max bound it as far as the counts of the
	// report can say; both equal Value where it was counted. Otherwise Value is
	// what a set of labels leaves if they are independent, and Max for all else:
	// what nothing is known of is not promised.
	Value, Min, Max uint64
	// StandardError is one standard error of the sketches that the numbers came
	// from, 0 if they are exact.
	StandardError float64
}

// Exactly is a count without error.
func Exactly(series uint64) Estimate { return Estimate{Value: series, Min: series, Max: series} }

func (e Estimate) basis() Basis {
	switch {
	case e.Min < e.Max:
		return BasisBounded
	case e.StandardError > 0:
		return BasisEstimated
	}
	return BasisExact
}

// Effect is what a change does to one metric of one budget group.
type Effect struct {
	Key
	// Attributes are those that go or change, as qualified names; for readers.
	Attributes []string
	// After is the number of backend series that stay.
	After Estimate
}

// Assumptions are what the report does not say.
type Assumptions struct {
	// Interval is how often tag_consolidation emits its outputs: after a change
	// each series is a sample in so long, and never more samples than before.
	// Default: each series goes on sending as often as now.
	Interval time.Duration
	// SketchError is one standard error, as a fraction, of estimates whose error
	// the report does not state: the series without an attribute of a metric
	// whose own series were counted exactly. Default: that of precision 15,
	// 0.57 %, the default of the cardinality processor.
	SketchError float64
}

const defaultPrecision = 15

// errorOf is one standard error, as a fraction, of what stays of a metric.
func (a Assumptions) errorOf(m report.MetricCardinality) float64 {
	switch {
	case !m.Estimated:
		return 0
	case m.RelativeError > 0:
		return m.RelativeError
	case a.SketchError > 0:
		return a.SketchError
	}
	return sketch.StandardError(defaultPrecision)
}

// scaled multiplies what stays by a factor, which is known only as a range up to
// 1. It promises no more than the larger factor does.
func (e Estimate) scaled(low, high float64) Estimate {
	return Estimate{
		Value: toUint(math.Ceil(float64(e.Value) * high)), Max: toUint(math.Ceil(float64(e.Max) * high)),
		Min:           toUint(math.Floor(float64(e.Min) * low)),
		StandardError: e.StandardError * high,
	}
}

// atMost is what stays if a limit folds labels. How much goes beyond what the
// limit asks for depends on the label that folds.
func (e Estimate) atMost(limit uint64) Estimate {
	if e.Max <= limit {
		return e
	}
	return Estimate{Value: min(e.Value, limit), Min: min(e.Min, 1), Max: limit, StandardError: e.StandardError}
}

// or is what is known if either may be.
func (e Estimate) or(f Estimate) Estimate {
	return Estimate{
		Value: max(e.Value, f.Value), Min: min(e.Min, f.Min), Max: max(e.Max, f.Max),
		StandardError: max(e.StandardError, f.StandardError),
	}
}
