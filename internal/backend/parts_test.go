package backend_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/backend"
)

// union is how many series points of these parts make under one label set.
func union(points ...[]uint64) int {
	all := map[uint64]bool{}
	for _, parts := range points {
		for _, p := range parts {
			all[p] = true
		}
	}
	return len(all)
}

func histogramOf(bounds ...float64) []uint64 { return backend.AppendHistogram(nil, bounds, true) }

func TestPartsOfAPoint(t *testing.T) {
	inf := math.Inf(1)
	for name, tt := range map[string]struct {
		parts []uint64
		want  int
	}{
		"a number is one series":                             {backend.AppendNumber(nil), 1},
		"a histogram has its buckets, +Inf, count and sum":   {histogramOf(1, 2, 5), 3 + 1 + 2},
		"a histogram without a sum has none":                 {backend.AppendHistogram(nil, []float64{1, 2, 5}, false), 3 + 1 + 1},
		"a histogram without bounds has the bucket +Inf":     {histogramOf(), 1 + 2},
		"neither bounds nor a sum":                           {backend.AppendHistogram(nil, nil, false), 1 + 1},
		"an explicit +Inf is the bucket that is there":       {histogramOf(1, 2, 5, inf), 3 + 1 + 2},
		"only an explicit +Inf":                              {histogramOf(inf), 1 + 2},
		"-Inf is a bound like others":                        {histogramOf(math.Inf(-1), 0), 2 + 1 + 2},
		"negative and tiny bounds":                           {histogramOf(-1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1), 5 + 1 + 2},
		"a summary has its quantiles, count and sum":         {backend.AppendSummary(nil, []float64{0.5, 0.9, 0.99}), 3 + 2},
		"a summary without quantiles has count and sum":      {backend.AppendSummary(nil, nil), 2},
		"quantiles 0 and 1 are the minimum and maximum":      {backend.AppendSummary(nil, []float64{0, 1}), 2 + 2},
		"a bound that is there twice is one series, not two": {histogramOf(1, 1, 2), 2 + 1 + 2},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, union(tt.parts))
		})
	}
}

func TestPointsWithTheSameBoundsShareAllParts(t *testing.T) {
	again := histogramOf(1, 2, 5)
	require.Equal(t, histogramOf(1, 2, 5), again)
	require.Equal(t, 6, union(histogramOf(1, 2, 5), histogramOf(1, 2, 5)))
}

// A client that was rolled out with other bounds writes the common ones again.
func TestPointsWithDifferentBoundsShareTheCommonOnes(t *testing.T) {
	require.Equal(t, 4+1+2, union(histogramOf(1, 2, 5), histogramOf(1, 2, 10)))
	require.Equal(t, 6+1+2, union(histogramOf(1, 2, 5), histogramOf(10, 20, 50)), "+Inf, count and sum are always common")
	require.Equal(t, 3+1+2, union(histogramOf(1, 2, 5), histogramOf(2)))
	require.Equal(t, 3+1+2, union(histogramOf(1, 2, 5), histogramOf(1, 2, 5, math.Inf(1))))
	require.Equal(t, 3+1+2, union(histogramOf(1, 2, 5), backend.AppendHistogram(nil, []float64{1, 2, 5}, false)))
	require.Equal(t, 3+2, union(backend.AppendSummary(nil, []float64{0.5, 0.9}), backend.AppendSummary(nil, []float64{0.9, 0.99})))
}

// A scalar and a histogram of one name do not share a series: one is m, the
// others are m_bucket, m_count and m_sum.
func TestANumberIsNoPartOfAHistogram(t *testing.T) {
	require.Equal(t, 1+3, union(backend.AppendNumber(nil), histogramOf()))
	require.Equal(t, 1+2, union(backend.AppendNumber(nil), backend.AppendSummary(nil, nil)))
}

func TestCountsAreThoseOfASet(t *testing.T) {
	bound := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, 2, 5, 10, 0.005, math.Inf(1), math.Inf(-1), 1e300}))
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOf(bound).Draw(t, "a")
		b := rapid.SliceOf(bound).Draw(t, "b")
		set := map[uint64]bool{math.Float64bits(math.Inf(1)): true}
		for _, v := range append(append([]float64{}, a...), b...) {
			set[math.Float64bits(v)] = true
		}
		require.Equal(t, len(set)+2, union(histogramOf(a...), histogramOf(b...)))
	})
}

func TestPartsAreAppended(t *testing.T) {
	dst := make([]uint64, 1, 32)
	dst[0] = 77
	dst = backend.AppendNumber(dst)
	dst = backend.AppendHistogram(dst, []float64{1, 2}, true)
	dst = backend.AppendSummary(dst, []float64{0.5})
	require.Len(t, dst, 1+1+5+3)
	require.Equal(t, uint64(77), dst[0])
	require.Equal(t, histogramOf(1, 2), dst[2:7])
}

func TestPartsDoNotAllocate(t *testing.T) {
	dst, bounds := make([]uint64, 0, 64), []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		dst = backend.AppendHistogram(dst[:0], bounds, true)
		dst = backend.AppendSummary(dst[:0], bounds)
		dst = backend.AppendNumber(dst[:0])
	}))
	require.Len(t, dst, 1)
}
