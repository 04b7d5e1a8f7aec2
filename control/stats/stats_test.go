package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBetsErrSeldom(t *testing.T) {
	const runs, alpha = 1000, 0.05
	rng := rand.New(rand.NewPCG(1, 1))
	for _, fair := range []float64{0.01, 0.3, 0.5, 0.9} {
		wrong, missed := 0, 0
		for range runs {
			var b Bets
			crossed, outside := false, false
			for range 300 {
				failures := 1 + rng.IntN(5)
				own := 0
				for range failures {
					own += count(rng.Float64() < fair)
				}
				b.Add(float64(own)/float64(failures), fair)
				crossed = crossed || b.Against() >= -math.Log(alpha)
				v := b.Odds(alpha / 2)
				outside = outside || v.Lower > 1 || v.Upper < 1
			}
			wrong += count(crossed)
			missed += count(outside)
		}
		assert.LessOrEqual(t, wrong, mostErrors(runs, alpha), "fair share %v", fair)
		assert.LessOrEqual(t, missed, mostErrors(runs, alpha), "fair share %v", fair)
	}
}

func TestBetsFindFailures(t *testing.T) {
	f := func(share, fair float64, looks int) {
		t.Helper()
		var b Bets
		for range looks {
			b.Add(share, fair)
		}
		assert.GreaterOrEqual(t, b.Against(), math.Log(200))
	}
	f(1, 0.5, 11)     // the candidate alone
	f(1, 0.01, 2)     // which has one unit of a hundred
	f(2.0/3, 0.5, 55) // twice as often
}

func TestBetsTakeNothingThatIsNoShare(t *testing.T) {
	var b Bets
	for _, v := range [][2]float64{{math.NaN(), 0.5}, {-0.1, 0.5}, {1.1, 0.5}, {0.5, 0}, {0.5, 1}, {0.5, math.NaN()}} {
		b.Add(v[0], v[1])
	}
	assert.Equal(t, Bets{}, b)
	assert.Zero(t, b.Against())
	assert.True(t, b.Valid())
	b.Add(0, 0.5)
	assert.True(t, b.Valid())
	b.Share = 2
	assert.False(t, b.Valid())
}

// An e-value's mean is 1 if the hypothesis holds: summed over all that can happen.
func TestSampleRatioIsAnEValue(t *testing.T) {
	for _, share := range []float64{0.01, 0.05, 0.25, 0.5, 0.99} {
		for _, n := range []int{1, 10, 100, 1000} {
			sum := 0.0
			for k := range n + 1 {
				choose := -logBeta(float64(k+1), float64(n-k+1)) - math.Log(float64(n+1))
				sum += math.Exp(choose + float64(k)*math.Log(share) + float64(n-k)*math.Log1p(-share) + SampleRatio(uint64(n-k), uint64(k), share))
			}
			assert.InDelta(t, 1, sum, 1e-6, "%v of %d", share, n)
		}
	}
}

func TestSampleRatioAtAnyLook(t *testing.T) {
	const runs, alpha = 2000, 0.01
	rng := rand.New(rand.NewPCG(2, 2))
	for _, share := range []float64{0.05, 0.5} {
		wrong := 0
		for range runs {
			var units [2]uint64
			crossed := false
			for range 500 {
				units[count(rng.Float64() < share)]++
				crossed = crossed || SampleRatio(units[0], units[1], share) >= -math.Log(alpha)
			}
			wrong += count(crossed)
		}
		assert.LessOrEqual(t, wrong, mostErrors(runs, alpha))
	}
	assert.Greater(t, SampleRatio(400, 600, 0.5), math.Log(1000), "two fifths instead of a half")
	assert.Greater(t, SampleRatio(1000, 0, 0.05), math.Log(1000), "none instead of a twentieth")
	assert.Less(t, SampleRatio(4_960_000, 5_040_000, 0.5), 0.0, "sketches err by so much")
	assert.Zero(t, SampleRatio(5, 5, 0))
	assert.Zero(t, SampleRatio(5, 5, 1))
	assert.InDelta(t, 0, SampleRatio(0, 0, 0.3), 1e-9)
}

func TestSpend(t *testing.T) {
	sum := 0.0
	for j := 1; j <= 100_000; j++ {
		sum += Spend(0.05, j)
	}
	assert.InDelta(t, 0.05, sum, 1e-6)
	assert.LessOrEqual(t, sum, 0.05)
	assert.InDelta(t, 0.025, Spend(0.05, 0), 1e-12)
}

func TestIntervals(t *testing.T) {
	inf := math.Inf(1)
	assert.True(t, Interval{0, -0.1, 0.1}.Within(-0.1, 0.1))
	assert.False(t, Interval{0, -0.1, 0.2}.Within(-0.1, 0.1))
	assert.True(t, Interval{0, -0.1, 0.2}.Within(-inf, 0.2))
	assert.False(t, Unknown().Within(-1, 1))
	assert.Equal(t, Interval{0.5, 0.4, 0.6}, Interval{0.3, 0.1, 0.6}.And(Interval{0.5, 0.4, 0.9}))
	assert.Equal(t, Interval{0.6, 0.4, 0.6}, Interval{0.3, 0.1, 0.6}.And(Interval{0.8, 0.4, 0.9}))
	assert.Equal(t, Interval{0.8, 0.7, 0.9}, Interval{0.3, 0.1, 0.6}.And(Interval{0.8, 0.7, 0.9}), "the newer one")
	assert.Equal(t, Interval{1, 0, 2}, Unknown().And(Interval{1, 0, 2}))
}

func sortedNormal(rng *rand.Rand, n int, mean, sd float64) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = mean + sd*rng.NormFloat64()
	}
	slices.Sort(list)
	return list
}

func TestShiftIsTheMedianOfDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 20 {
		x, y := sortedNormal(rng, 31+rng.IntN(40), 0, 1), sortedNormal(rng, 31+rng.IntN(40), 1, 2)
		var all []float64
		for _, a := range x {
			for _, b := range y {
				all = append(all, b-a)
			}
		}
		slices.Sort(all)
		v := Shift(x, y, 0.05)
		assert.InDelta(t, (all[(len(all)-1)/2]+all[len(all)/2])/2, v.Value, 0.02)
		assert.Less(t, v.Lower, v.Value)
		assert.Less(t, v.Value, v.Upper)
	}
}

func TestShiftMirrorsAndMoves(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rng := rand.New(rand.NewPCG(4, rapid.Uint64().Draw(r, "seed")))
		x := sortedNormal(rng, rapid.IntRange(30, 80).Draw(r, "n"), 0, 1)
		y := sortedNormal(rng, rapid.IntRange(30, 80).Draw(r, "m"), 0, 2)
		v, w := Shift(x, y, 0.02), Shift(y, x, 0.02)
		assert.InDelta(r, v.Value, -w.Value, 1e-5)
		assert.InDelta(r, v.Lower, -w.Upper, 1e-5)
		by := rapid.Float64Range(-3, 3).Draw(r, "by")
		for i := range y {
			y[i] += by
		}
		moved := Shift(x, y, 0.02)
		assert.InDelta(r, v.Value+by, moved.Value, 1e-5)
		assert.InDelta(r, v.Upper+by, moved.Upper, 1e-5)
		wider := Shift(x, y, 0.001)
		assert.LessOrEqual(r, wider.Lower, moved.Lower+1e-6)
		assert.GreaterOrEqual(r, wider.Upper, moved.Upper-1e-6)
	})
}

// Of all assignments that could have been made few refute that the arms are equal,
// whatever the units do, also where little error is left.
func TestShiftOverAssignments(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for name, draw := range map[string]func() float64{
		"normal":           rng.NormFloat64,
		"pareto 1.2":       func() float64 { return math.Pow(1-rng.Float64(), -1/1.2) },
		"ties":             func() float64 { return float64(rng.IntN(3)) },
		"mostly the same":  func() float64 { return float64(count(rng.Float64() < 0.1)) },
		"two kinds of one": func() float64 { return 10*float64(rng.IntN(2)) + rng.NormFloat64() },
	} {
		for _, sides := range [][2]int{{30, 30}, {30, 300}, {300, 30}} {
			units := make([]float64, sides[0]+sides[1])
			for i := range units {
				units[i] = draw()
			}
			const runs = 5000
			wrong := map[float64]int{}
			for range runs {
				rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
				x, y := slices.Sorted(slices.Values(units[:sides[0]])), slices.Sorted(slices.Values(units[sides[0]:]))
				p := place(x, y, 0)
				for _, alpha := range []float64{0.025, 0.001} {
					wrong[alpha] += count(p.above(alpha))
				}
			}
			for alpha, n := range wrong {
				assert.LessOrEqual(t, n, mostErrors(runs, alpha), "%s %v at %v", name, sides, alpha)
			}
		}
	}
}

// The effect need not be the same on all units, nor the arms vary alike: the shift
// that half of the pairs exceed is covered all the same.
func TestShiftOfUnequalArms(t *testing.T) {
	const runs, alpha = 2000, 0.025
	rng := rand.New(rand.NewPCG(6, 6))
	for _, sides := range [][2]int{{40, 200}, {200, 40}, {50, 50}} {
		low, high := 0, 0
		for range runs {
			v := Shift(sortedNormal(rng, sides[0], 0, 0.2), sortedNormal(rng, sides[1], 0.5, 1.5), alpha)
			low += count(v.Lower > 0.5)
			high += count(v.Upper < 0.5)
		}
		assert.LessOrEqual(t, low, mostErrors(runs, alpha), "%v", sides)
		assert.LessOrEqual(t, high, mostErrors(runs, alpha), "%v", sides)
	}
}

func TestShiftOfConstants(t *testing.T) {
	x, y := make([]float64, 40), make([]float64, 40)
	for i := range y {
		y[i] = -0.5
	}
	v := Shift(x, y, 0.001)
	for _, got := range []float64{v.Value, v.Lower, v.Upper} {
		assert.InDelta(t, -0.5, got, 1e-5)
	}
	assert.Equal(t, Unknown(), Shift(x[:29], y, 0.05), "too few")
	assert.Equal(t, Unknown(), Shift(x, y[:29], 0.05), "too few")
}

func TestSlope(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var groups [2][]Unit
	for i := range 2000 {
		before := 2 * rng.NormFloat64()
		groups[i%2] = append(groups[i%2], Unit{before, 0.7*before + float64(5*(i%2)) + 0.3*rng.NormFloat64()})
	}
	assert.InDelta(t, 0.7, Slope(groups[0], groups[1]), 0.02, "what the arms differ by has no part in it")
	require.Zero(t, Slope(nil, nil))
	assert.Zero(t, Slope([]Unit{{1, 5}, {2, 1}}), "it never turns the sign")
	assert.InDelta(t, 1, Slope([]Unit{{1, 1}, {2, 9}}), 0, "nor makes more of the pre-period than it was")
}
