package verdict

import (
	"math"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/stats"
)

// trackMeasures are those that are compared look by look.
var trackMeasures = [trackCount]experiment.Measure{
	experiment.MeasureSeries, experiment.MeasurePoints, experiment.MeasureBytes,
	experiment.MeasureCost, experiment.MeasureLatency, experiment.MeasureMemory,
}

const trackCount = 6

// Looks of a block of points and bytes: arms send in turns of their own, so a look
// may have one turn of one arm and two of the other. A block has at least minBlock,
// and ends when both arms have sent, or after maxBlock.
const minBlock, maxBlock = 2, 16

// track follows one measure of both arms, one relative difference a look:
//
//	u = (candidate − baseline) / (candidate + baseline)
//
// Swapping the arms changes its sign and nothing else, so that noise that is the
// same in both arms is no difference; log-ratios have that too, but no value where
// an arm sent nothing. u is between −1 and 1, and candidate/baseline is
// (1 + u)/(1 − u).
type track struct {
	Mean stats.Mean
	// Baseline and Candidate add up the block, of Looks looks.
	Baseline, Candidate float64
	Looks               uint32
	// Begun counts the looks in which both arms had some, up to settling: the first
	// ones are left out, because the arms do not begin at once.
	Begun uint32
	// Doubt is the newest standard error of the measurement itself, as part of the
	// ratio. It does not go away with more looks.
	Doubt float64
}

func (t *track) gap() {
	t.Mean.Break()
	t.Baseline, t.Candidate, t.Looks, t.Begun = 0, 0, 0, 0
}

func (t *track) take(measure experiment.Measure, mode experiment.Mode, l Look) {
	baseline, candidate := value(*l.Baseline, measure), value(*l.Candidate, measure)
	if mode == experiment.ModeSplit {
		// Arms of a split hold different units: their totals cannot be compared. The
		// time of a batch, and memory, grow with what comes in, and at most as much.
		if measure != experiment.MeasureLatency && measure != experiment.MeasureMemory {
			return
		}
		scale := load(l, measure == experiment.MeasureLatency)
		if math.IsNaN(scale) {
			return
		}
		baseline *= max(1, scale)
	}
	if t.Begun < settling {
		if baseline > 0 && candidate > 0 {
			t.Begun++
		}
		return
	}
	t.Baseline += baseline
	t.Candidate += candidate
	t.Looks++
	counted := measure == experiment.MeasurePoints || measure == experiment.MeasureBytes
	both := t.Baseline > 0 && t.Candidate > 0
	if counted && (t.Looks < minBlock || !both && t.Looks < maxBlock) {
		return
	}
	if sum := t.Baseline + t.Candidate; both || counted && sum > 0 {
		t.Mean.Add((t.Candidate - t.Baseline) / sum)
		t.Doubt = math.Hypot(l.Baseline.doubt(measure), l.Candidate.doubt(measure))
	} else {
		t.Mean.Break()
	}
	t.Baseline, t.Candidate, t.Looks = 0, 0, 0
}

// load is how much more the router gave to the candidate than to the baseline, in
// all or in a batch; NaN if that is not known.
func load(l Look, batch bool) float64 {
	b, c := *l.Baseline, *l.Candidate
	if !(b.Given > 0 && c.Given > 0 && b.Batches > 0 && c.Batches > 0) {
		return math.NaN()
	}
	if batch {
		return c.Given / c.Batches / (b.Given / b.Batches)
	}
	return c.Given / b.Given
}

func value(c Counts, m experiment.Measure) float64 {
	v := math.NaN()
	switch m {
	case experiment.MeasureSeries:
		v = c.Series
	case experiment.MeasurePoints:
		v = c.Points
	case experiment.MeasureBytes:
		v = c.Bytes
	case experiment.MeasureCost:
		v = c.CostMicros
	case experiment.MeasureLatency:
		v = c.Latency.Seconds()
	case experiment.MeasureMemory:
		v = c.MemoryBytes
	case experiment.MeasureErrors, experiment.MeasureRefused, experiment.MeasureFidelity:
	}
	if !(v >= 0 && v < 1e300) { // NaN too
		return 0
	}
	return v
}

// doubt is the standard error of a measured value as a fraction. Costs follow from
// series.
func (c Counts) doubt(m experiment.Measure) float64 {
	if m != experiment.MeasureSeries && m != experiment.MeasureCost || !(c.SeriesError > 0) {
		return 0
	}
	return min(c.SeriesError, 1)
}

// change is the relative change from baseline to candidate, with bounds that each
// err with alpha.
func (t *track) change(alpha float64) stats.Interval {
	v := t.Mean.Interval(alpha)
	v = stats.Interval{Value: fromDifference(v.Value), Lower: fromDifference(v.Lower), Upper: fromDifference(v.Upper)}
	if t.Doubt > 0 {
		margin := t.Doubt * normalQuantile(alpha)
		v.Lower = (1+v.Lower)*(1-min(margin, 1)) - 1
		v.Upper = (1+v.Upper)*(1+margin) - 1
	}
	return v
}

// fromDifference and toDifference take u to the change that it stands for, and back.
func fromDifference(u float64) float64 {
	switch {
	case u <= -1:
		return -1
	case u >= 1:
		return math.Inf(1)
	}
	return 2 * u / (1 - u)
}

func toDifference(change float64) float64 { return change / (2 + change) }
