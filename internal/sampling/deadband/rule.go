package deadband

import (
	"errors"
	"fmt"
	"math"
)

// Predictor is what a reader takes for the value between two points.
type Predictor uint8

// The predictors.
const (
	// Hold is a reader that takes the last point: an instant query.
	Hold Predictor = iota
	// Linear is a reader that draws a line from point to point.
	Linear

	predictors
)

// String returns the predictor as configuration spells it.
func (p Predictor) String() string {
	switch p {
	case Hold:
		return "hold"
	case Linear:
		return "linear"
	default:
		return "unknown"
	}
}

// MaxOwners is of how many rules series are counted apart.
const MaxOwners = 1024

// Rule says how far a reader may be off, and for how long nothing may come. It
// is given with every point, so another rule needs no change of state.
type Rule struct {
	// Absolute is in the unit of the metric; of the counts of a histogram it is
	// in measurements. Relative is a share of the true value, 0.01 for 1 %. The
	// larger of the two bounds is the tolerance.
	Absolute, Relative float64
	// Range, in nanoseconds, is the shortest range over which a counter is read.
	// With it Relative is a share of what the counter grows in Range at the pace
	// of its last two points, if that is less than the share of its value: 1 %
	// of a counter that stands at a million hides 10,000 events, and nobody
	// reads a counter for what it stands at. 0: the share of the value.
	Range uint64
	// Heartbeat, in nanoseconds, is how long nothing may come from a series that
	// sends. It falls on the point that is nearest to it.
	Heartbeat uint64
	// Predictor is the reader that is promised the tolerance.
	Predictor Predictor
	// Corners also sends the left-out point right before one that moved, so that
	// rate() over a range that begins between the two sees the step. Linear
	// always does.
	Corners bool
	// Owner names the rule for Band.Owned; series of rules with the same number, or
	// with one that differs by a multiple of MaxOwners, count together. 0: nobody.
	Owner uint16
	// Spread gives the first heartbeat of a series a time of its own, so that
	// series that begin together do not send together ever after.
	Spread bool
}

// Validate reports everything that is wrong with r.
func (r *Rule) Validate() error {
	var errs error
	if !(r.Absolute >= 0 && r.Absolute <= math.MaxFloat64) {
		errs = errors.Join(errs, fmt.Errorf("tolerance: absolute: must be a number of at least 0, got %g", r.Absolute))
	}
	if !(r.Relative >= 0 && r.Relative < 1) {
		errs = errors.Join(errs, fmt.Errorf("tolerance: relative: must be at least 0 and below 1, got %g", r.Relative))
	}
	if r.Heartbeat == 0 || r.Heartbeat > math.MaxInt64 {
		errs = errors.Join(errs, errors.New("heartbeat: must be positive"))
	}
	if r.Predictor >= predictors {
		errs = errors.Join(errs, errors.New("predictor: must be hold or linear"))
	}
	return errs
}

// tolerance is how far a reader may be off now. growth is since the point
// before, which is so much older.
func (r *Rule) tolerance(now, growth float64, elapsed uint64, paced bool) float64 {
	share := math.Abs(now)
	if paced && r.Range > 0 {
		share = min(share, math.Abs(growth)/float64(elapsed)*float64(r.Range))
	}
	return max(r.Absolute, r.Relative*share)
}

// due reports whether a point has to pass although its value need not: the
// next one, as far away as this one from the last, would be further from the
// heartbeat.
func (r *Rule) due(now, last, sent uint64, young bool, k Key) bool {
	elapsed := float64(now - sent)
	if young && r.Spread {
		return elapsed >= float64(r.Heartbeat)*(float64(k.B>>11)/(1<<53))
	}
	return elapsed+float64(now-last)/2 >= float64(r.Heartbeat)
}
