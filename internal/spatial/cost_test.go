package spatial_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// What a live input costs beside its key and the slot of its table: the budget is 100 bytes for a sum, 350 for a histogram of
// 15 buckets, all included.
func TestInputsAreSmall(t *testing.T) {
	require.Equal(t, uintptr(24), unsafe.Sizeof(spatial.SumInput{}))
	require.Equal(t, uintptr(16), unsafe.Sizeof(spatial.Latest{}))
	require.Equal(t, uintptr(56), unsafe.Sizeof(spatial.HistogramInput{}))
	require.Equal(t, uintptr(104), unsafe.Sizeof(spatial.ExponentialInput{}))

	var in spatial.HistogramInput
	p := steadyHistogram(t)
	require.True(t, in.Advance(new(spatial.Histogram), &p, watching).Counted())
	require.LessOrEqual(t, int(unsafe.Sizeof(in))+8*cap(in.Last().Counts), 176)
}

func steadyHistogram(tb testing.TB) spatial.HistogramPoint {
	tb.Helper()
	p := spatial.HistogramPoint{
		Span: span(100, 110), Counts: make([]uint64, 15), Count: 15, Moments: spatial.Moments{Sum: 7, Known: spatial.HasSum},
		Bounds: bounds(tb, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10),
	}
	for i := range p.Counts {
		p.Counts[i] = 1
	}
	return p
}

// grow is the next point of a steady histogram.
func grow(p *spatial.HistogramPoint) {
	p.Time++
	p.Counts[p.Time%15]++
	p.Count++
	p.Sum += 0.125
}

func steadyExponential() spatial.ExponentialPoint {
	p := *positive(5, -80, make([]uint64, 160)...)
	for i := range p.Positive.Counts {
		p.Positive.Counts[i] = 1
	}
	p.Count, p.Span, p.Moments = 160, span(100, 110), spatial.Moments{Sum: 7, Known: spatial.HasSum}
	return p
}

func growExponential(p *spatial.ExponentialPoint) {
	p.Time++
	p.Positive.Counts[p.Time%160]++
	p.Count++
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	var in spatial.SumInput
	var total spatial.Total
	value := int64(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		value += 3
		n, _ := in.Advance(spatial.SumPoint{Span: spatial.Span{Start: 1, Time: uint64(value)}, Value: spatial.Int(value)}, watching)
		total.Add(n)
	}))

	var histogram spatial.HistogramInput
	increment, out, coarse := new(spatial.Histogram), new(spatial.Histogram), spatial.NewHistogram(bounds(t, .1, 1, 10))
	p := steadyHistogram(t)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		grow(&p)
		histogram.Advance(increment, &p, watching)
		out.Merge(increment)
		coarse.Merge(increment)
		out.Add(&p)
	}))

	var summary spatial.HistogramInput
	ofSummaries := new(spatial.Histogram)
	s := spatial.SummaryPoint(span(100, 110), 1, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s.Time++
		s.Count++
		summary.Advance(ofSummaries, &s, watching)
	}))

	var exponential spatial.ExponentialInput
	exponentialIncrement, exponentialOut := spatial.NewExponential(0), spatial.NewExponential(0)
	e := steadyExponential()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		growExponential(&e)
		exponential.Advance(exponentialIncrement, &e, watching)
		exponentialOut.Merge(exponentialIncrement)
		exponentialOut.Add(&e)
	}))

	var level spatial.Level
	require.Zero(t, testing.AllocsPerRun(100, func() {
		level.Reset()
		level.Observe(spatial.Double(0.1), 1)
		level.Observe(spatial.Int(2), 1)
		level.Value(spatial.PolicyMean)
	}))
}

// A list of millions, offsets at the ends of int32, and zeros without end claim no memory.
func TestHostilePointsClaimNoMemory(t *testing.T) {
	h, increment := spatial.NewExponential(0), spatial.NewExponential(0)
	var in spatial.ExponentialInput
	millions := make([]uint64, 4_000_000)
	millions[0] = 1
	points := []*spatial.ExponentialPoint{
		positive(0, 0, millions...), positive(0, math.MaxInt32, 1), positive(0, math.MinInt32, 1), positive(-40, 0, 1), positive(40, 0, 1),
	}
	for _, p := range points {
		p.Span = span(100, 110)
		require.Zero(t, testing.AllocsPerRun(10, func() {
			require.True(t, h.Add(p).Refused())
			require.True(t, in.Advance(increment, p, watching).Refused())
		}))
	}
	spread := make([]uint64, spatial.MaxListed)
	spread[0], spread[len(spread)-1] = 1, 1
	wide := positive(20, math.MinInt32/2, spread...)
	wide.Span = span(100, 110)
	for _, far := range []*spatial.ExponentialPoint{wide, positive(20, 1<<30-1, 1), positive(20, -1075<<20, 1)} {
		require.Equal(t, spatial.Accepted, h.Add(far), far.Positive.Offset)
	}
	require.LessOrEqual(t, cap(h.Point().Positive.Counts), spatial.DefaultBuckets)
	require.Equal(t, spatial.First, in.Advance(increment, wide, watching))
	require.LessOrEqual(t, cap(in.Last().Positive.Counts), spatial.DefaultBuckets)
}

func BenchmarkSumAdvance(b *testing.B) {
	for name, number := range map[string]func(uint64) spatial.Number{
		"int":    func(v uint64) spatial.Number { return spatial.Int(int64(v)) },
		"double": func(v uint64) spatial.Number { return spatial.Double(float64(v)) },
	} {
		b.Run(name, func(b *testing.B) {
			var in spatial.SumInput
			p := spatial.SumPoint{Span: spatial.Span{Start: 1}}
			for b.Loop() {
				p.Time++
				p.Value = number(p.Time)
				in.Advance(p, watching)
			}
		})
		b.Run(name+"AndTotal", func(b *testing.B) {
			var in spatial.SumInput
			var out spatial.Total
			p := spatial.SumPoint{Span: spatial.Span{Start: 1}}
			for b.Loop() {
				p.Time++
				p.Value = number(p.Time)
				n, _ := in.Advance(p, watching)
				out.Add(n)
			}
		})
	}
}

func BenchmarkHistogramAdvance15(b *testing.B) {
	var in spatial.HistogramInput
	var increment, out spatial.Histogram
	p := steadyHistogram(b)
	for b.Loop() {
		grow(&p)
		in.Advance(&increment, &p, watching)
		out.Merge(&increment)
	}
}

func BenchmarkExponentialAdvance160(b *testing.B) {
	var in spatial.ExponentialInput
	increment, out := spatial.NewExponential(0), spatial.NewExponential(0)
	p := steadyExponential()
	for b.Loop() {
		growExponential(&p)
		in.Advance(increment, &p, watching)
		out.Merge(increment)
	}
}

func BenchmarkExponentialMerge160(b *testing.B) {
	out := spatial.NewExponential(0)
	p := steadyExponential()
	for b.Loop() {
		out.Add(&p)
	}
}
