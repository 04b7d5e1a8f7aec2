package spatial_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

func bounds(tb testing.TB, edges ...float64) *spatial.Bounds {
	tb.Helper()
	b, v := spatial.NewBounds(edges)
	require.Equal(tb, spatial.Accepted, v)
	return b
}

// bucketed is the point that an SDK makes of values: upper bounds are inclusive.
func bucketed(b *spatial.Bounds, values []float64) spatial.HistogramPoint {
	p := spatial.HistogramPoint{Bounds: b, Counts: make([]uint64, b.Buckets()), Count: uint64(len(values))}
	p.Known = spatial.HasSum
	for i, v := range values {
		at := slices.IndexFunc(b.Edges(), func(edge float64) bool { return v <= edge })
		if at < 0 {
			at = b.Buckets() - 1
		}
		p.Counts[at]++
		p.Sum += v
		if i == 0 || v < p.Min {
			p.Min = v
		}
		if i == 0 || v > p.Max {
			p.Max = v
		}
		p.Known |= spatial.HasMin | spatial.HasMax
	}
	return p
}

// sample is what one input measured, and over which bounds.
type sample struct {
	bounds *spatial.Bounds
	values []float64
}

// samples draws inputs whose bounds all contain 4; values are whole, so that sums are exact in any order.
var samples = rapid.Custom(func(t *rapid.T) []sample {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sample {
		var edges []float64
		for edge := -2.0; edge <= 9; edge++ {
			if edge == 4 || rapid.Bool().Draw(t, "edge") {
				edges = append(edges, edge)
			}
		}
		b, _ := spatial.NewBounds(edges)
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(-4, 12), func(i int) float64 { return float64(i) }), 0, 12).Draw(t, "values")
		return sample{b, values}
	}), 1, 8).Draw(t, "samples")
})

func shared(inputs []sample) []float64 {
	edges := inputs[0].bounds.Edges()
	for _, in := range inputs[1:] {
		edges = slices.DeleteFunc(slices.Clone(edges), func(e float64) bool { return !slices.Contains(in.bounds.Edges(), e) })
	}
	return edges
}

// mergeHistograms merges samples: the product's, or a mutant's.
type mergeHistograms func(inputs []sample) spatial.HistogramPoint

// merged adds the samples to two halves and merges those.
func merged(inputs []sample) spatial.HistogramPoint {
	var halves [2]spatial.Histogram
	for i, in := range inputs {
		p := bucketed(in.bounds, in.values)
		if v := halves[i%2].Add(&p); v != spatial.Accepted {
			panic(v)
		}
	}
	if v := halves[0].Merge(&halves[1]); v != spatial.Accepted {
		panic(v)
	}
	return halves[0].Point()
}

// checkMergedHistogram requires what bucketing all values over the shared bounds gives.
func checkMergedHistogram(merge mergeHistograms, inputs []sample) string {
	b, _ := spatial.NewBounds(shared(inputs))
	var all []float64
	for _, in := range inputs {
		all = append(all, in.values...)
	}
	want, got := bucketed(b, all), merge(inputs)
	if !slices.Equal(want.Bounds.Edges(), got.Bounds.Edges()) || !slices.Equal(want.Counts, got.Counts) || want.Count != got.Count {
		return fmt.Sprintf("%v %v (%d) is not %v %v (%d)", got.Bounds.Edges(), got.Counts, got.Count, want.Bounds.Edges(), want.Counts, want.Count)
	}
	if want.Moments != got.Moments {
		return fmt.Sprintf("%+v is not %+v", got.Moments, want.Moments)
	}
	return ""
}

func TestMergedHistogramIsThatOfAllValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, checkMergedHistogram(merged, samples.Draw(t, "samples")))
	})
}

func TestHistogramMergeCommutesAndAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inputs := samples.Draw(t, "samples")
		want := merged(inputs)
		require.Equal(t, want, merged(rapid.Permutation(inputs).Draw(t, "order")))
		var tree []*spatial.Histogram
		for _, in := range inputs {
			h, p := new(spatial.Histogram), bucketed(in.bounds, in.values)
			require.Equal(t, spatial.Accepted, h.Add(&p))
			tree = append(tree, h)
		}
		for len(tree) > 1 {
			i := rapid.IntRange(0, len(tree)-2).Draw(t, "pair")
			require.Equal(t, spatial.Accepted, tree[i].Merge(tree[i+1]))
			tree = slices.Delete(tree, i+1, i+2)
		}
		require.Equal(t, want, tree[0].Point())
		require.Equal(t, spatial.Accepted, tree[0].Merge(new(spatial.Histogram))) // nothing adds nothing
		require.Equal(t, want, tree[0].Point())
	})
}

// keep_bounds: bounds that the user names, whatever finer ones the inputs have.
func TestCoarseningIsBucketingAtTheCoarseBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inputs := samples.Draw(t, "samples")
		common, _ := spatial.NewBounds(shared(inputs))
		named := rapid.SliceOf(rapid.SampledFrom(common.Edges())).Draw(t, "named")
		target, err := common.Keep(named)
		require.NoError(t, err)
		h := spatial.NewHistogram(target)
		var all []float64
		for _, in := range inputs {
			p := bucketed(in.bounds, in.values)
			require.Equal(t, spatial.Accepted, h.Add(&p))
			all = append(all, in.values...)
		}
		want := bucketed(target, all)
		require.Equal(t, want, h.Point())
		h.Reset()
		require.Equal(t, bucketed(target, nil), h.Point())
	})
}

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		edges []float64
		want  spatial.Verdict
	}{
		"none":                 {nil, spatial.Accepted},
		"infinite ends":        {[]float64{math.Inf(-1), 0, math.Inf(1)}, spatial.Accepted},
		"equal neighbours":     {[]float64{1, 2, 2}, spatial.BoundsNotIncreasing},
		"falling":              {[]float64{1, 3, 2}, spatial.BoundsNotIncreasing},
		"NaN":                  {[]float64{1, math.NaN(), 2}, spatial.BoundsNotIncreasing},
		"only NaN":             {[]float64{math.NaN()}, spatial.BoundsNotIncreasing},
		"more than are listed": {make([]float64, spatial.MaxListed), spatial.TooManyBuckets},
	} {
		t.Run(name, func(t *testing.T) {
			b, v := spatial.NewBounds(c.edges)
			require.Equal(t, c.want, v)
			require.Equal(t, v == spatial.Accepted, b.Equal(c.edges) && b != nil)
		})
	}

	a, b, none := bounds(t, 1, 2, 3), bounds(t, 2, 3, 4), bounds(t)
	got, err := spatial.Common(a, b)
	require.NoError(t, err)
	require.Equal(t, []float64{2, 3}, got.Edges())
	for _, pair := range [][2]*spatial.Bounds{{a, bounds(t, 9)}, {a, none}, {none, a}, {nil, a}} {
		_, err = spatial.Common(pair[0], pair[1])
		require.ErrorIs(t, err, spatial.ErrNoCommonBounds)
	}
	got, err = spatial.Common(none, nil)
	require.NoError(t, err)
	require.Empty(t, got.Edges())
	coarse := bounds(t, 2)
	for _, pair := range [][2]*spatial.Bounds{{a, coarse}, {coarse, a}} {
		got, err = spatial.Common(pair[0], pair[1])
		require.NoError(t, err)
		require.Same(t, coarse, got)
	}

	got, err = a.Keep([]float64{3, 99, 1})
	require.NoError(t, err)
	require.Equal(t, []float64{1, 3}, got.Edges())
	got, err = a.Keep([]float64{1, 2, 3, 4})
	require.NoError(t, err)
	require.Same(t, a, got)
	_, err = a.Keep([]float64{99})
	require.ErrorIs(t, err, spatial.ErrNoCommonBounds)
	got, err = none.Keep([]float64{1})
	require.NoError(t, err)
	require.Same(t, none, got)
}

func TestHistogramsWithoutCommonBoundsStayApart(t *testing.T) {
	var h spatial.Histogram
	p, q := bucketed(bounds(t, 1, 2), []float64{1, 5}), bucketed(bounds(t, 3), []float64{1, 5})
	summary := spatial.SummaryPoint(spatial.Span{}, 3, 7)
	require.Equal(t, spatial.Accepted, h.Add(&p))
	before := h.Point()
	require.Equal(t, spatial.NoCommonBounds, h.Add(&q))
	require.Equal(t, spatial.NoCommonBounds, h.Add(&summary))
	require.Equal(t, before, h.Point())

	var other spatial.Histogram // and the other way round
	require.Equal(t, spatial.Accepted, other.Add(&summary))
	require.Equal(t, spatial.NoCommonBounds, other.Add(&p))

	counted := spatial.NewHistogram(nil) // unless count and sum are all that is wanted
	for _, point := range []*spatial.HistogramPoint{&p, &q, &summary} {
		require.Equal(t, spatial.Accepted, counted.Add(point))
	}
	require.Equal(t, []uint64{7}, counted.Point().Counts)
	require.Equal(t, 19.0, counted.Point().Sum)
	require.Equal(t, spatial.Accepted, h.Merge(counted))
	require.Equal(t, []uint64{9}, h.Point().Counts)
}

func TestMalformedHistogramsAreRefused(t *testing.T) {
	b := bounds(t, 1, 2)
	for name, c := range map[string]struct {
		change func(p *spatial.HistogramPoint)
		want   spatial.Verdict
	}{
		"sound":               {func(*spatial.HistogramPoint) {}, spatial.Accepted},
		"count too small":     {func(p *spatial.HistogramPoint) { p.Count-- }, spatial.CountMismatch},
		"count too large":     {func(p *spatial.HistogramPoint) { p.Count++ }, spatial.CountMismatch},
		"a bucket too few":    {func(p *spatial.HistogramPoint) { p.Counts = p.Counts[:2] }, spatial.BucketsMismatch},
		"a bucket too many":   {func(p *spatial.HistogramPoint) { p.Counts = append(p.Counts, 0) }, spatial.BucketsMismatch},
		"no buckets":          {func(p *spatial.HistogramPoint) { p.Counts = nil }, spatial.BucketsMismatch},
		"no bounds":           {func(p *spatial.HistogramPoint) { p.Bounds = nil }, spatial.BucketsMismatch},
		"neither":             {func(p *spatial.HistogramPoint) { p.Bounds, p.Counts = nil, nil }, spatial.Accepted},
		"one bucket":          {func(p *spatial.HistogramPoint) { p.Bounds, p.Counts = nil, []uint64{3} }, spatial.Accepted},
		"counts wrap to fit":  {func(p *spatial.HistogramPoint) { p.Counts = []uint64{math.MaxUint64, 2, 2} }, spatial.CountOverflow},
		"a sum of nothing":    {func(p *spatial.HistogramPoint) { p.Count, p.Counts = 0, make([]uint64, 3) }, spatial.SumWithoutCount},
		"extremes exchanged":  {func(p *spatial.HistogramPoint) { p.Min, p.Max = p.Max, p.Min }, spatial.MinAboveMax},
		"minimum not a value": {func(p *spatial.HistogramPoint) { p.Min = math.NaN() }, spatial.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			p := bucketed(b, []float64{0, 1, 5})
			p.Span = span(100, 110)
			c.change(&p)
			require.Equal(t, c.want, p.Check())
			var h, increment spatial.Histogram
			require.Equal(t, c.want, h.Add(&p))
			var in spatial.HistogramInput
			v := in.Advance(&increment, &p, watching)
			require.Equal(t, c.want == spatial.Accepted, v == spatial.First, v)
			require.Equal(t, c.want, new(spatial.HistogramInput).Restore(&p))
			if c.want != spatial.Accepted {
				require.Equal(t, c.want, v)
				require.Zero(t, h)
				require.Zero(t, in)
			}
		})
	}
}

func TestCountsThatDoNotFitAreRefused(t *testing.T) {
	p := spatial.HistogramPoint{Counts: []uint64{math.MaxUint64 - 1}, Count: math.MaxUint64 - 1}
	var h spatial.Histogram
	require.Equal(t, spatial.Accepted, h.Add(&p))
	require.Equal(t, spatial.CountOverflow, h.Add(&p))
	require.Equal(t, spatial.CountOverflow, h.Merge(&h))
	require.Equal(t, p.Counts, h.Point().Counts)
}

// One input without a sum, or with a sum that is NaN: half a sum would be a wrong mean, two points under one identity a
// conflict (which is what contrib makes of one with and one without a minimum).
func TestAFieldIsKnownWhileAllKnowIt(t *testing.T) {
	b := bounds(t, 1, 2)
	for name, c := range map[string]struct {
		change func(p *spatial.HistogramPoint)
		known  spatial.Fields
	}{
		"all":         {func(*spatial.HistogramPoint) {}, spatial.HasSum | spatial.HasMin | spatial.HasMax},
		"no sum":      {func(p *spatial.HistogramPoint) { p.Known &^= spatial.HasSum }, spatial.HasMin | spatial.HasMax},
		"NaN":         {func(p *spatial.HistogramPoint) { p.Sum = math.NaN() }, spatial.HasMin | spatial.HasMax},
		"infinite":    {func(p *spatial.HistogramPoint) { p.Sum = math.Inf(-1) }, spatial.HasMin | spatial.HasMax},
		"no minimum":  {func(p *spatial.HistogramPoint) { p.Known &^= spatial.HasMin }, spatial.HasSum | spatial.HasMax},
		"NaN maximum": {func(p *spatial.HistogramPoint) { p.Max = math.NaN() }, spatial.HasSum | spatial.HasMin},
		"nothing measured, nothing known": {func(p *spatial.HistogramPoint) {
			*p = spatial.HistogramPoint{Bounds: b, Counts: make([]uint64, 3)}
		}, spatial.HasSum | spatial.HasMin | spatial.HasMax},
	} {
		t.Run(name, func(t *testing.T) {
			p, q := bucketed(b, []float64{1, 2}), bucketed(b, []float64{3, 4})
			c.change(&q)
			for _, pair := range [][2]*spatial.HistogramPoint{{&p, &q}, {&q, &p}} {
				var h spatial.Histogram
				require.Equal(t, spatial.Accepted, h.Add(pair[0]))
				require.Equal(t, spatial.Accepted, h.Add(pair[1]))
				got := h.Point()
				require.Equal(t, c.known, got.Known)
				require.Equal(t, p.Count+q.Count, got.Count)
			}
		})
	}
	var h spatial.Histogram
	huge := spatial.HistogramPoint{Count: 1, Moments: spatial.Moments{Sum: math.MaxFloat64, Known: spatial.HasSum}}
	require.Equal(t, spatial.Accepted, h.Add(&huge))
	require.Equal(t, spatial.Accepted, h.Add(&huge))
	require.Zero(t, h.Point().Known) // a sum past the largest double is not known
}

func TestHistogramSumsAreCompensated(t *testing.T) {
	var h spatial.Histogram
	want := new(big.Rat)
	for i := range 100_000 {
		p := spatial.SummaryPoint(spatial.Span{}, 1, 0.1+float64(i%7))
		require.Equal(t, spatial.Accepted, h.Add(&p))
		want.Add(want, new(big.Rat).SetFloat64(p.Sum))
	}
	nearest, _ := want.Float64()
	require.Equal(t, nearest, h.Point().Sum)
}
