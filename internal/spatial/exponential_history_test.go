package spatial_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// exponentialHistory is what arrives of one cumulative exponential histogram.
type exponentialHistory struct {
	watch   spatial.Watch
	spans   []spatial.Span
	reports []exponentialSample // all values since the process began
	points  []spatial.ExponentialPoint
}

// exponentialHistories draws processes that measure, restart, change scale and threshold and, if not truthful, lie about times
// and values.
func exponentialHistories(truthful bool) *rapid.Generator[exponentialHistory] {
	return rapid.Custom(func(t *rapid.T) exponentialHistory {
		w, base := aWatch(t)
		h, last := exponentialHistory{watch: w}, base
		s := exponentialSample{scale: rapid.Int32Range(-2, 6).Draw(t, "scale")}
		for range rapid.IntRange(1, 20).Draw(t, "points") {
			if truthful {
				last.Time += rapid.Uint64Range(1, 5).Draw(t, "step")
			} else {
				last = nextSpan(t, last)
			}
			switch rapid.IntRange(0, 11).Draw(t, "change") {
			case 0, 1:
				s.scale = max(-5, s.scale-rapid.Int32Range(0, 3).Draw(t, "lower"))
			case 2:
				s.scale = rapid.Int32Range(-2, 8).Draw(t, "any")
			case 3:
				s.threshold = aThreshold.Draw(t, "threshold")
			case 4:
				if truthful {
					last = spatial.Span{Start: last.Time + 1, Time: last.Time + 3}
				}
				s.values = nil
			case 5:
				if n := len(s.values); n > 0 && !truthful {
					s.values = append(slices.Clone(s.values[:n-1]), aValue(6).Draw(t, "moved"))
				}
			}
			s.values = append(slices.Clone(s.values), rapid.SliceOfN(aValue(6), 0, 6).Draw(t, "more")...)
			p := s.point()
			if !truthful && rapid.IntRange(0, 14).Draw(t, "flaw") == 0 {
				p.Count++
			}
			p.Span = last
			h.spans, h.reports, h.points = append(h.spans, last), append(h.reports, s), append(h.points, p)
			if last.Time == 0 || last.Time >= 1<<62 {
				last = base
			}
		}
		return h
	})
}

// minus returns b − a where they can be compared, and whether anything fell.
func (b buckets) minus(a buckets) (grown buckets, fell bool) {
	scale := min(a.scale, b.scale)
	zero := max(raised(a.zero, a.scale-scale), raised(b.zero, b.scale-scale))
	a, b = a.at(scale, zero), b.at(scale, zero)
	fell = b.zeros < a.zeros
	b.zeros -= a.zeros
	for _, sides := range [][2]map[int]uint64{{a.positive, b.positive}, {a.negative, b.negative}} {
		for i, c := range sides[0] {
			fell = fell || sides[1][i] < c
			sides[1][i] -= c
		}
		maps.DeleteFunc(sides[1], func(_ int, c uint64) bool { return c == 0 })
	}
	return b, fell
}

// raised lowers the scale of a boundary by d, rounding up.
func raised(zero int, d int32) int {
	if zero == math.MinInt {
		return zero
	}
	return int(math.Ceil(math.Ldexp(float64(zero), -int(d))))
}

// ofPoint is read, with the bucket that the threshold splits in zero, and at the finest scale if there is nothing to be coarse about.
func ofPoint(p *spatial.ExponentialPoint) buckets {
	b := read(p)
	if b.bucketless() {
		b.scale, b.zero = spatial.MaxScale, zeroAt(p.ZeroThreshold, spatial.MaxScale)
	}
	return b.at(b.scale, b.zero)
}

// remembered is what an input keeps of a point: if all is in zero, its scale is of no more use.
func remembered(p *spatial.ExponentialPoint) buckets {
	b := ofPoint(p)
	if b.bucketless() && b.zero != math.MinInt {
		b.zero <<= spatial.MaxScale - b.scale
		b.scale = spatial.MaxScale
	}
	return b
}

// stepExponential is one step of an input: the product's, or a mutant's.
type stepExponential func(in *spatial.ExponentialInput, increment *spatial.Exponential, p *spatial.ExponentialPoint, w spatial.Watch) spatial.Verdict

func advanceExponential(in *spatial.ExponentialInput, increment *spatial.Exponential, p *spatial.ExponentialPoint, w spatial.Watch) spatial.Verdict {
	return in.Advance(increment, p, w)
}

// checkExponentialHistory compares each verdict and increment with those of the maps.
func checkExponentialHistory(step stepExponential, h exponentialHistory) string {
	var in spatial.ExponentialInput
	increment := spatial.NewExponential(roomy)
	var last *spatial.ExponentialPoint
	for i := range h.points {
		p := &h.points[i]
		var before *spatial.Span
		full, fell := ofPoint(p), false
		want := full
		if last != nil {
			before = &last.Span
			want, fell = full.minus(remembered(last))
		}
		verdict := judge(before, p.Span, fell, h.watch)
		switch bad := p.Check(); {
		case bad != spatial.Accepted && verdict < spatial.Late:
			verdict = bad
		case verdict.Reset() || verdict == spatial.First:
			want = full
		}
		if got := step(&in, increment, p, h.watch); got != verdict {
			return fmt.Sprintf("point %d is %s, not %s", i, got, verdict)
		}
		if verdict.Counted() {
			point := increment.Point()
			got := read(&point)
			if want.bucketless() {
				if !verdict.Reset() && verdict != spatial.First && got.scale != spatial.MaxScale {
					return fmt.Sprintf("point %d, %s: nothing grew and the scale is %d", i, verdict, got.scale)
				}
				want.scale, want.zero = got.scale, got.zero
			}
			switch {
			case !got.equal(want) || got.zero != want.zero:
				return fmt.Sprintf("point %d, %s: %+v is not %+v", i, verdict, got, want)
			case point.Count != want.total():
				return fmt.Sprintf("point %d, %s: the count %d is not %d", i, verdict, point.Count, want.total())
			case point.Known&^spatial.HasSum != 0:
				return fmt.Sprintf("point %d, %s: extremes of an interval cannot be known", i, verdict)
			}
			sum := p.Sum
			if verdict == spatial.Increased || verdict == spatial.StartShift {
				sum -= last.Sum
			}
			if math.Abs(point.Sum-sum) > 1e-9*(1+math.Abs(p.Sum)) {
				return fmt.Sprintf("point %d, %s: the sum %v is not %v", i, verdict, point.Sum, sum)
			}
		}
		if verdict.Counted() || verdict.Baseline() {
			last = p
		}
	}
	return ""
}

func TestExponentialAdvanceAgainstTheFullHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, checkExponentialHistory(advanceExponential, exponentialHistories(false).Draw(t, "history")))
	})
}

// A process that tells the truth, whatever limit there is: each increment is the buckets of the values measured since the last
// point, and their total the buckets of all values ever measured.
func TestExponentialIncrementsAreTheNewValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := exponentialHistories(true).Draw(t, "history")
		h.watch = spatial.Watch{}
		limit := rapid.IntRange(4, 40).Draw(t, "limit")
		increment, out := spatial.NewExponential(limit), spatial.NewExponential(limit)
		var in spatial.ExponentialInput
		var all []float64
		var seen exponentialSample
		for i, report := range h.reports {
			p := report.point()
			p.Span = h.spans[i]
			v := in.Advance(increment, &p, h.watch)
			if v.Reset() || v == spatial.First || v.Baseline() {
				seen = exponentialSample{}
			}
			fresh := report.values[len(seen.values):]
			if v.Counted() {
				require.Equal(t, spatial.Accepted, out.Merge(increment))
				all = append(all, fresh...)
				got := increment.Point()
				require.GreaterOrEqual(t, got.ZeroThreshold, max(report.threshold, seen.threshold)*(1-1e-12))
				require.True(t, read(&got).equal(count(fresh, got.Scale, got.ZeroThreshold)), "%+v", got)
				require.LessOrEqual(t, max(len(got.Positive.Counts), len(got.Negative.Counts)), limit)
			}
			seen = report
		}
		got := out.Point()
		require.True(t, read(&got).equal(count(all, got.Scale, got.ZeroThreshold)), "%+v", got)
		require.Equal(t, uint64(len(all)), got.Count)
	})
}

func TestExponentialInputIsItsLastPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := exponentialHistories(false).Draw(t, "history")
		limit := rapid.IntRange(4, 40).Draw(t, "limit")
		a, b := spatial.NewExponential(limit), spatial.NewExponential(limit)
		var in spatial.ExponentialInput
		for i := range h.points {
			var restored spatial.ExponentialInput
			if last := in.Last(); last.Time != 0 {
				require.Equal(t, spatial.Accepted, restored.Restore(&last, limit))
			}
			v := in.Advance(a, &h.points[i], h.watch)
			require.Equal(t, v, restored.Advance(b, &h.points[i], h.watch))
			if v.Counted() {
				require.Equal(t, plain(a.Point()), plain(b.Point()))
			}
		}
	})
	require.Equal(t, spatial.NoTime, new(spatial.ExponentialInput).Restore(&spatial.ExponentialPoint{}, 0))
}

// The scale of an SDK falls as its range grows; no reset, and the increment at the smaller scale.
func TestAFallingScaleIsNoReset(t *testing.T) {
	var in spatial.ExponentialInput
	increment := spatial.NewExponential(0)
	before, after := positive(1, 2, 1, 2, 3), positive(0, 1, 4, 3, 9)
	before.Span, after.Span = span(100, 110), span(100, 120)
	require.Equal(t, spatial.First, in.Advance(increment, before, watching))
	require.Equal(t, spatial.Increased, in.Advance(increment, after, watching))
	require.Equal(t, spatial.Buckets{Offset: 1, Counts: []uint64{1, 0, 9}}, increment.Point().Positive)
	require.Equal(t, uint64(10), increment.Point().Count)
}
