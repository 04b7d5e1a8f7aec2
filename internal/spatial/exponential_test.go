package spatial_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// roomy is a limit that the samples of ±12 octaves up to scale 8 do not reach.
const roomy = 16000

func TestMergedExponentialIsThatOfAllValues(t *testing.T) {
	for name, c := range map[string]struct {
		octaves         int
		lowest, highest int32
		thresholds      bool
		limit           int
	}{
		"without a limit":            {12, -10, 8, false, roomy},
		"with thresholds":            {12, -10, 8, true, roomy},
		"160 buckets":                {12, -3, 20, false, 160},
		"160 buckets and thresholds": {12, -3, 20, true, 160},
		"8 buckets, all doubles":     {1022, -10, 20, true, 8},
		"4 buckets, all doubles":     {1022, -10, 20, false, 4},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				inputs := exponentialSamples(c.octaves, c.lowest, c.highest, c.thresholds).Draw(t, "inputs")
				inputs = slices.DeleteFunc(inputs, tooLong)
				require.Empty(t, checkMergedExponential(mergedExponential, inputs, c.limit))
			})
		})
	}
}

// tooLong is a sample that would be refused for its length: fine scales over a wide range.
func tooLong(s exponentialSample) bool {
	return count(s.above(), s.scale, 0).width() > spatial.MaxListed-4
}

// plain makes no difference between no list and an empty one.
func plain(p spatial.ExponentialPoint) spatial.ExponentialPoint {
	for _, list := range []*[]uint64{&p.Positive.Counts, &p.Negative.Counts} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return p
}

// tree merges the samples pair by pair in a drawn order.
func tree(t *rapid.T, inputs []exponentialSample, limit int) spatial.ExponentialPoint {
	var nodes []*spatial.Exponential
	for _, in := range rapid.Permutation(inputs).Draw(t, "order") {
		h, p := spatial.NewExponential(limit), in.point()
		require.Equal(t, spatial.Accepted, h.Add(&p))
		nodes = append(nodes, h)
	}
	for len(nodes) > 1 {
		i := rapid.IntRange(0, len(nodes)-2).Draw(t, "pair")
		require.Equal(t, spatial.Accepted, nodes[i].Merge(nodes[i+1]))
		nodes = slices.Delete(nodes, i+1, i+2)
	}
	require.Equal(t, spatial.Accepted, nodes[0].Merge(spatial.NewExponential(limit))) // nothing adds nothing
	return plain(nodes[0].Point())
}

func TestExponentialMergeCommutesAndAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inputs := exponentialSamples(12, -10, 8, true).Draw(t, "inputs")
		a, b := tree(t, inputs, roomy), tree(t, inputs, roomy)
		require.InDelta(t, a.Sum, b.Sum, 1e-9)
		a.Sum = b.Sum
		require.Equal(t, a, b)
	})
}

// Under a limit, and with equal thresholds, too. With different ones, buckets that were folded away later may have cost
// resolution before; brought to one scale the results are the same.
func TestExponentialMergeUnderALimitCommutesAndAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		thresholds := rapid.Bool().Draw(t, "thresholds")
		inputs := slices.DeleteFunc(exponentialSamples(40, -5, 20, thresholds).Draw(t, "inputs"), tooLong)
		if len(inputs) == 0 {
			return
		}
		limit := rapid.IntRange(4, 20).Draw(t, "limit")
		p, q := tree(t, inputs, limit), tree(t, inputs, limit)
		a, b := read(&p), read(&q)
		if !thresholds {
			require.Equal(t, a, b)
		}
		if a.scale < b.scale {
			a, b = b, a
		}
		require.Equal(t, b, a.at(b.scale, b.zero))
	})
}

// What comes out can go in: at the next collector the threshold stays where it is, although it is a rounded double.
func TestAThresholdDoesNotWidenFromHopToHop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.Int32Range(-10, 20).Draw(t, "scale")
		p := exponentialSample{scale, math.Abs(aValue(1000).Draw(t, "threshold")), []float64{math.Ldexp(1.5, 1010)}}.point()
		for hop := range 4 {
			h := spatial.NewExponential(0)
			require.Equal(t, spatial.Accepted, h.Add(&p))
			next := h.Point()
			require.GreaterOrEqual(t, next.ZeroThreshold, p.ZeroThreshold*(1-1e-12))
			if hop > 0 {
				require.Equal(t, p.ZeroThreshold, next.ZeroThreshold)
			}
			p = next
		}
	})
	for _, threshold := range []float64{math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-128, 1, math.MaxFloat64} {
		for _, scale := range []int32{-10, 0, 20} {
			h := spatial.NewExponential(0)
			p := spatial.ExponentialPoint{Scale: scale, ZeroThreshold: threshold, ZeroCount: 1, Count: 1}
			require.Equal(t, spatial.Accepted, h.Add(&p))
			require.Equal(t, threshold, h.Point().ZeroThreshold)
		}
	}
}

func TestTheBucketThatTheThresholdSplitsGoesToZero(t *testing.T) {
	wide := spatial.ExponentialPoint{ZeroThreshold: 3, ZeroCount: 1, Count: 1}
	inBothOrders := func(a, b *spatial.ExponentialPoint, want spatial.ExponentialPoint) {
		t.Helper()
		for _, pair := range [][2]*spatial.ExponentialPoint{{a, b}, {b, a}} {
			h := spatial.NewExponential(0)
			require.Equal(t, spatial.Accepted, h.Add(pair[0]))
			require.Equal(t, spatial.Accepted, h.Add(pair[1]))
			got := plain(h.Point())
			got.Moments = spatial.Moments{}
			require.Equal(t, want, got)
		}
	}
	inBothOrders(positive(0, 0, 5, 6, 7), &wide, spatial.ExponentialPoint{ // (1,2] (2,4] (4,8]
		ZeroThreshold: 4, ZeroCount: 12, Count: 19, Positive: spatial.Buckets{Offset: 2, Counts: []uint64{7}},
	})
	inBothOrders(positive(0, -4, 1), positive(-2, 0, 1), spatial.ExponentialPoint{ // no threshold, no fold
		Scale: -2, Count: 2, Positive: spatial.Buckets{Offset: -1, Counts: []uint64{1, 1}},
	})
}

var malformedExponentials = map[string]struct {
	change func(p *spatial.ExponentialPoint)
	want   spatial.Verdict
}{
	"sound":                      {func(*spatial.ExponentialPoint) {}, spatial.Accepted},
	"count too small":            {func(p *spatial.ExponentialPoint) { p.Count-- }, spatial.CountMismatch},
	"zeros not counted":          {func(p *spatial.ExponentialPoint) { p.ZeroCount++ }, spatial.CountMismatch},
	"negatives not counted":      {func(p *spatial.ExponentialPoint) { p.Negative.Counts = []uint64{1} }, spatial.CountMismatch},
	"buckets wrap":               {func(p *spatial.ExponentialPoint) { p.Positive.Counts = []uint64{math.MaxUint64, 4} }, spatial.CountOverflow},
	"sides wrap":                 {func(p *spatial.ExponentialPoint) { p.Negative.Counts = []uint64{math.MaxUint64} }, spatial.CountOverflow},
	"zeros wrap":                 {func(p *spatial.ExponentialPoint) { p.ZeroCount = math.MaxUint64 }, spatial.CountOverflow},
	"scale above 20":             {func(p *spatial.ExponentialPoint) { p.Scale = 21 }, spatial.ScaleOutOfRange},
	"scale of 2^31-1":            {func(p *spatial.ExponentialPoint) { p.Scale = math.MaxInt32 }, spatial.ScaleOutOfRange},
	"scale below -10":            {func(p *spatial.ExponentialPoint) { p.Scale = -11 }, spatial.ScaleOutOfRange},
	"scale of -2^31":             {func(p *spatial.ExponentialPoint) { p.Scale = math.MinInt32 }, spatial.ScaleOutOfRange},
	"offset of 2^31-1":           {func(p *spatial.ExponentialPoint) { p.Positive.Offset = math.MaxInt32 }, spatial.OffsetOutOfRange},
	"offset of -2^31":            {func(p *spatial.ExponentialPoint) { p.Positive.Offset = math.MinInt32 }, spatial.OffsetOutOfRange},
	"last double":                {func(p *spatial.ExponentialPoint) { p.Positive.Offset = 1022 }, spatial.Accepted},
	"past the last double":       {func(p *spatial.ExponentialPoint) { p.Positive.Offset = 1023 }, spatial.OffsetOutOfRange},
	"first double":               {func(p *spatial.ExponentialPoint) { p.Positive.Offset = -1075 }, spatial.Accepted},
	"before the first double":    {func(p *spatial.ExponentialPoint) { p.Positive.Offset = -1076 }, spatial.OffsetOutOfRange},
	"last double, scale -4":      {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = -4, 62 }, spatial.Accepted},
	"past the last, scale -4":    {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = -4, 63 }, spatial.OffsetOutOfRange},
	"first double, scale -4":     {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = -4, -68 }, spatial.Accepted},
	"before the first, scale -4": {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = -4, -69 }, spatial.OffsetOutOfRange},
	"last double, scale 20":      {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = 20, 1<<30-2 }, spatial.Accepted},
	"past the last, scale 20":    {func(p *spatial.ExponentialPoint) { p.Scale, p.Positive.Offset = 20, 1<<30-1 }, spatial.OffsetOutOfRange},
	"an offset without counts":   {func(p *spatial.ExponentialPoint) { p.Negative.Offset = math.MinInt32 }, spatial.Accepted},
	"an offset with zeros": {func(p *spatial.ExponentialPoint) {
		p.Negative = spatial.Buckets{Offset: math.MaxInt32, Counts: []uint64{0, 0}}
	}, spatial.Accepted},
	"four million buckets": {func(p *spatial.ExponentialPoint) { p.Positive.Counts, p.Count = fourMillion(), 2 }, spatial.TooManyBuckets},
	"threshold below zero": {func(p *spatial.ExponentialPoint) { p.ZeroThreshold = -1 }, spatial.BadZeroThreshold},
	"threshold NaN":        {func(p *spatial.ExponentialPoint) { p.ZeroThreshold = math.NaN() }, spatial.BadZeroThreshold},
	"threshold infinite":   {func(p *spatial.ExponentialPoint) { p.ZeroThreshold = math.Inf(1) }, spatial.BadZeroThreshold},
	"largest threshold":    {func(p *spatial.ExponentialPoint) { p.ZeroThreshold = math.MaxFloat64 }, spatial.Accepted},
	"a sum of nothing":     {func(p *spatial.ExponentialPoint) { p.Positive.Counts, p.Count = nil, 0 }, spatial.SumWithoutCount},
	"extremes exchanged":   {func(p *spatial.ExponentialPoint) { p.Min, p.Max = 2, 1 }, spatial.MinAboveMax},
}

func fourMillion() []uint64 {
	counts := make([]uint64, 4_000_000)
	counts[0], counts[len(counts)-1] = 1, 1
	return counts
}

func TestMalformedExponentialsAreRefused(t *testing.T) {
	for name, c := range malformedExponentials {
		t.Run(name, func(t *testing.T) {
			p := positive(0, 3, 1, 2)
			p.Span, p.Moments = span(100, 110), spatial.Moments{Sum: 9, Min: 1, Max: 2, Known: spatial.HasSum | spatial.HasMin | spatial.HasMax}
			c.change(p)
			require.Equal(t, c.want, p.Check())
			h, increment := spatial.NewExponential(0), spatial.NewExponential(0)
			require.Equal(t, c.want, h.Add(p))
			var in spatial.ExponentialInput
			v := in.Advance(increment, p, watching)
			require.Equal(t, c.want == spatial.Accepted, v == spatial.First, v)
			require.Equal(t, c.want, new(spatial.ExponentialInput).Restore(p, 0))
			if c.want != spatial.Accepted {
				require.Equal(t, c.want, v)
				require.Equal(t, spatial.NewExponential(0), h)
				require.Zero(t, in)
			}
		})
	}
}

func TestExponentialCountsThatDoNotFitAreRefused(t *testing.T) {
	h := spatial.NewExponential(0)
	require.Equal(t, spatial.Accepted, h.Add(positive(0, 3, math.MaxUint64-1)))
	require.Equal(t, spatial.CountOverflow, h.Add(positive(0, 3, 2)))
	require.Equal(t, spatial.CountOverflow, h.Merge(h))
	require.Equal(t, uint64(math.MaxUint64-1), h.Point().Count)
	require.Equal(t, spatial.Accepted, h.Add(positive(0, 4, 1)))
}

// An SDK reports nothing but zeros at any scale; that must not cost others their resolution.
func TestAPointWithoutBucketsForcesNoScale(t *testing.T) {
	zeros := spatial.ExponentialPoint{Scale: -4, ZeroCount: 3, Count: 3}
	inBothOrders(t, positive(5, 7, 1, 2), &zeros, 5, 7, 1, 2)
}
