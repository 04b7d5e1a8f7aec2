package seriesratio_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/sampling/seriesratio"
)

func ratio(t require.TestingT, share float64, seed uint64) seriesratio.Ratio {
	r, err := seriesratio.New(share, seed)
	require.NoError(t, err)
	return r
}

var shares = rapid.Float64Range(seriesratio.MinRatio, 1)

func TestSamplesNest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a, b := shares.Draw(t, "a"), shares.Draw(t, "b")
		small, large := ratio(t, min(a, b), seed), ratio(t, max(a, b), seed)
		for range 20 {
			k := seriesratio.Key{A: rapid.Uint64().Draw(t, "A"), B: rapid.Uint64().Draw(t, "B")}
			require.True(t, !small.Kept(k) || large.Kept(k))
			require.Equal(t, small.Kept(k), small.Kept(k) && large.Kept(k), "two stages are one")
		}
		require.Equal(t, small, small.Stricter(large))
		require.Equal(t, small, large.Stricter(small))
		require.InEpsilon(t, 1/small.Share(), small.AdjustedCount(), 1e-12)
	})
}

func TestTheShareIsWhatWasAsked(t *testing.T) {
	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	for _, share := range []float64{0.001, 0.01, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1} {
		for seed := range uint64(5) {
			r := ratio(t, share, seed)
			kept := 0
			for range n {
				if r.Kept(seriesratio.Key{A: rng.Uint64(), B: rng.Uint64()}) {
					kept++
				}
			}
			require.InDelta(t, share*n, kept, 4*math.Sqrt(share*(1-share)*n), "%g, seed %d", share, seed)
		}
	}
}

// Keys that differ in few bits, seeds that differ by one, and what else is decided by bits of the key: all independent.
func TestTheChoiceIsIndependent(t *testing.T) {
	const n = 100_000
	a, b := ratio(t, 0.5, 1), ratio(t, 0.5, 2)
	agree, low, high := 0, 0, 0
	for i := range uint64(n) {
		k := seriesratio.Key{A: i, B: i << 32}
		if a.Kept(k) == b.Kept(k) {
			agree++
		}
		if a.Kept(k) && i&1 == 0 {
			low++
		}
		if a.Kept(k) && i < n/2 {
			high++
		}
	}
	require.InDelta(t, n/2, agree, 4*math.Sqrt(n)/2)
	require.InDelta(t, n/4, low, 4*math.Sqrt(n)/2)
	require.InDelta(t, n/4, high, 4*math.Sqrt(n)/2)
}

func TestThresholds(t *testing.T) {
	require.Equal(t, "c", ratio(t, 0.25, 0).Threshold())
	require.Equal(t, "0", ratio(t, 1, 0).Threshold())
	require.Equal(t, 4.0, ratio(t, 0.25, 0).AdjustedCount())
	var all seriesratio.Ratio
	require.True(t, all.Kept(seriesratio.Key{}))
	require.Equal(t, 1.0, all.AdjustedCount())
	for _, share := range []float64{0, -1, 1.1, math.NaN(), math.Inf(1), 1e-20} {
		_, err := seriesratio.New(share, 0)
		require.ErrorContains(t, err, "ratio: must be at least 2^-56 and at most 1")
	}
}

// Series of a heavy-tailed value, sampled under many seeds: the mean of the totals is the total, the mean of the variances the
// variance of the totals, and the interval holds as often as it says.
func TestTheEstimateIsUnbiased(t *testing.T) {
	const n, runs = 2000, 1000
	rng := rand.New(rand.NewPCG(3, 4))
	values, keys, truth := make([]float64, n), make([]seriesratio.Key, n), 0.0
	for i := range values {
		values[i] = math.Exp(rng.NormFloat64())
		keys[i] = seriesratio.Key{A: rng.Uint64(), B: rng.Uint64()}
		truth += values[i]
	}
	for _, share := range []float64{0.05, 0.25, 0.8} {
		var mean, square, variance, series float64
		covered := 0
		for seed := range uint64(runs) {
			r := ratio(t, share, seed)
			var parts [2]seriesratio.Estimate
			for i, k := range keys {
				if r.Kept(k) {
					require.True(t, parts[i%2].Add(values[i], r))
				}
			}
			e := parts[0]
			e.Merge(&parts[1])
			off := e.Total() - truth
			mean += off / runs
			square += off * off / runs
			variance += e.Variance() / runs
			count, _ := e.Series()
			series += count / runs
			if low, high := e.Interval(); low <= truth && truth <= high {
				covered++
			}
		}
		t.Logf("%g: off by %.2f of %.0f (standard error %.2f), variance %.0f, estimated %.0f, covered %.1f %%",
			share, mean, truth, math.Sqrt(square/runs), square, variance, 100*float64(covered)/runs)
		require.LessOrEqual(t, math.Abs(mean), 3*math.Sqrt(square/runs))
		require.InEpsilon(t, square, variance, 0.15)
		require.InEpsilon(t, n, series, 0.01)
		require.Greater(t, float64(covered)/runs, 0.91)
	}
}

func TestEstimateOfMixedRatios(t *testing.T) {
	var e seriesratio.Estimate
	require.True(t, e.Add(10, ratio(t, 0.25, 0)))
	require.True(t, e.Add(-4, ratio(t, 1, 0)))
	require.False(t, e.Add(math.NaN(), ratio(t, 1, 0)))
	require.False(t, e.Add(math.Inf(1), ratio(t, 1, 0)))
	require.Equal(t, 2, e.Kept())
	require.Equal(t, 36.0, e.Total())
	require.Equal(t, 1200.0, e.Variance()) // 0.75 · 40²
	n, _ := e.Series()
	require.Equal(t, 5.0, n)
}

func BenchmarkKept(b *testing.B) {
	r := ratio(b, 0.1, 1)
	kept := 0
	b.ReportAllocs()
	for i := range b.N {
		if r.Kept(seriesratio.Key{A: uint64(i), B: uint64(i) << 7}) {
			kept++
		}
	}
}

func TestKeptDoesNotAllocate(t *testing.T) {
	r := ratio(t, 0.1, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Kept(seriesratio.Key{A: 1, B: 2}) }))
}
