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

// histogramHistory is what arrives of one cumulative histogram.
type histogramHistory struct {
	watch  spatial.Watch
	points []spatial.HistogramPoint
}

var layouts = [][]float64{{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}, {2, 4}, {2, 3, 5}, {7}, {}}

var histogramHistories = rapid.Custom(func(t *rapid.T) histogramHistory {
	w, base := aWatch(t)
	h, last := histogramHistory{watch: w}, base
	edges := layouts[0]
	var values []float64
	for range rapid.IntRange(1, 25).Draw(t, "points") {
		last = nextSpan(t, last)
		switch rapid.IntRange(0, 9).Draw(t, "values") {
		case 0:
			values = nil
		case 1:
			if n := len(values); n > 0 { // as many as before, elsewhere: only a bucket tells
				values = append(slices.Clone(values[:n-1]), rapid.SampledFrom([]float64{1, 3, 6}).Draw(t, "moved"))
			}
		case 2:
			edges = rapid.SampledFrom(layouts).Draw(t, "bounds")
		}
		values = append(slices.Clone(values), rapid.SliceOfN(rapid.SampledFrom([]float64{-3, 1, 2, 2.5, 3, 4, 6}), 0, 6).Draw(t, "more")...)
		b, _ := spatial.NewBounds(edges)
		p := bucketed(b, values)
		switch rapid.IntRange(0, 14).Draw(t, "flaws") {
		case 0:
			p.Count++
		case 1:
			p.Known = 0
		case 2:
			p.Sum = math.NaN()
		}
		p.Span = last
		h.points = append(h.points, p)
		if last.Time == 0 || last.Time >= 1<<62 {
			last = base
		}
	}
	return h
})

// atMost is a histogram as Prometheus writes it: how many are ≤ each bound. What two histograms can tell each other is then the
// difference where both have a bound.
func atMost(p *spatial.HistogramPoint) map[float64]uint64 {
	le := map[float64]uint64{math.Inf(1): p.Count}
	sum := uint64(0)
	for i, e := range p.Bounds.Edges() {
		sum += p.Counts[i]
		le[e] = sum
	}
	return le
}

// difference returns b − a over the bounds of both, whether a bucket between them fell, and whether there were none.
func difference(a, b map[float64]uint64) (le map[float64]uint64, fell, none bool) {
	le = map[float64]uint64{}
	before, after := uint64(0), uint64(0)
	edges := slices.DeleteFunc(slices.Sorted(maps.Keys(a)), func(e float64) bool { _, ok := b[e]; return !ok })
	for _, e := range edges {
		fell = fell || b[e]-after < a[e]-before
		before, after = a[e], b[e]
		le[e] = b[e] - a[e]
	}
	none = len(edges) == 1 && len(a)+len(b) > 2
	return le, fell || none && b[math.Inf(1)] < a[math.Inf(1)], none
}

// stepHistogram is one step of an input: the product's, or a mutant's.
type stepHistogram func(in *spatial.HistogramInput, increment *spatial.Histogram, p *spatial.HistogramPoint, w spatial.Watch) spatial.Verdict

func checkHistogramHistory(step stepHistogram, h histogramHistory) string {
	var in spatial.HistogramInput
	var increment spatial.Histogram
	var last *spatial.HistogramPoint
	for i := range h.points {
		p := &h.points[i]
		var before *spatial.Span
		want, fell, none := atMost(p), false, false
		if last != nil {
			before = &last.Span
			var le map[float64]uint64
			if le, fell, none = difference(atMost(last), atMost(p)); !fell {
				want = le
			}
		}
		verdict := judge(before, p.Span, fell, h.watch)
		switch bad := p.Check(); {
		case bad != spatial.Accepted && verdict < spatial.Late:
			verdict = bad
		case none && (verdict == spatial.Increased || verdict == spatial.StartShift):
			verdict = spatial.BaselineBoundsChanged
		case verdict == spatial.ResetByStart:
			want = atMost(p)
		}
		if got := step(&in, &increment, p, h.watch); got != verdict {
			return fmt.Sprintf("point %d is %s, not %s", i, got, verdict)
		}
		if verdict.Counted() {
			if problem := checkIncrement(increment.Point(), want, last, p, verdict); problem != "" {
				return fmt.Sprintf("point %d, %s: %s", i, verdict, problem)
			}
		}
		if verdict.Counted() || verdict.Baseline() {
			last = p
		}
	}
	return ""
}

func checkIncrement(got spatial.HistogramPoint, want map[float64]uint64, last, p *spatial.HistogramPoint, v spatial.Verdict) string {
	if bad := got.Check(); bad != spatial.Accepted && bad != spatial.SumWithoutCount {
		return "the increment is malformed: " + bad.String()
	}
	if le := atMost(&got); !maps.Equal(le, want) {
		return fmt.Sprintf("%v is not %v", le, want)
	}
	known := p.Known&spatial.HasSum != 0 && p.Sum == p.Sum || p.Count == 0
	sum := p.Sum
	if v == spatial.Increased || v == spatial.StartShift {
		known = p.Known&last.Known&spatial.HasSum != 0 && p.Sum == p.Sum && last.Sum == last.Sum
		sum -= last.Sum
	}
	switch {
	case known != (got.Known&spatial.HasSum != 0) && got.Count > 0:
		return "a sum is known that cannot be, or unknown that is"
	case known && got.Count > 0 && got.Sum != sum:
		return fmt.Sprintf("the sum %v is not %v", got.Sum, sum)
	case got.Known&^spatial.HasSum != 0:
		return "extremes of an interval cannot be known"
	}
	return ""
}

func advanceHistogram(in *spatial.HistogramInput, increment *spatial.Histogram, p *spatial.HistogramPoint, w spatial.Watch) spatial.Verdict {
	return in.Advance(increment, p, w)
}

func TestHistogramAdvanceAgainstTheFullHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, checkHistogramHistory(advanceHistogram, histogramHistories.Draw(t, "history")))
	})
}

// Over one segment, what was added is last − base; here with every kind of point in between.
func TestHistogramIncrementsAreConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramHistories.Draw(t, "history")
		var in spatial.HistogramInput
		var increment spatial.Histogram
		total := spatial.NewHistogram(nil)
		var want, base uint64
		for i := range h.points {
			p := &h.points[i]
			before := in.Last()
			v := in.Advance(&increment, p, h.watch)
			if v.Reset() || v == spatial.BaselineBoundsChanged { // the segment before this one ends
				want += before.Count - base
				base = 0
			}
			if v.Baseline() {
				base = p.Count
			}
			if v.Counted() {
				require.Equal(t, spatial.Accepted, total.Merge(&increment))
			}
		}
		require.Equal(t, want+in.Last().Count-base, total.Point().Count)
	})
}

func TestHistogramInputIsItsLastPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramHistories.Draw(t, "history")
		var in spatial.HistogramInput
		var a, b spatial.Histogram
		for i := range h.points {
			var restored spatial.HistogramInput
			if last := in.Last(); last.Time != 0 {
				require.Equal(t, spatial.Accepted, restored.Restore(&last))
			}
			v := in.Advance(&a, &h.points[i], h.watch)
			require.Equal(t, v, restored.Advance(&b, &h.points[i], h.watch))
			if v.Counted() {
				require.Equal(t, a.Point(), b.Point())
			}
		}
	})
	require.Equal(t, spatial.NoTime, new(spatial.HistogramInput).Restore(&spatial.HistogramPoint{}))
}

// Summaries: count and sum go on as a histogram without bounds.
func TestSummariesCountAndSum(t *testing.T) {
	var in spatial.HistogramInput
	var increment, out spatial.Histogram
	for _, c := range []struct {
		span    spatial.Span
		count   uint64
		sum     float64
		verdict spatial.Verdict
	}{
		{span(100, 110), 3, 30, spatial.First},
		{span(100, 120), 5, 45, spatial.Increased},
		{span(100, 130), 2, 7, spatial.ResetByValue},
		{span(100, 140), 3, 6, spatial.Increased}, // a negative value: the sum falls, nothing begins again
	} {
		p := spatial.SummaryPoint(c.span, c.count, c.sum)
		require.Equal(t, c.verdict, in.Advance(&increment, &p, watching))
		require.Equal(t, spatial.Accepted, out.Merge(&increment))
	}
	require.Equal(t, uint64(8), out.Point().Count)
	require.Equal(t, 51.0, out.Point().Sum)
}
