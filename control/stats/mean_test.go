package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// noise is an autoregression of variance 1 that starts in its stationary
// distribution.
func noise(rng *rand.Rand, phi float64, n int) []float64 {
	list := make([]float64, n)
	v := rng.NormFloat64()
	for i := range list {
		v = phi*v + math.Sqrt(1-phi*phi)*rng.NormFloat64()
		list[i] = v
	}
	return list
}

func TestMeanErrsSeldomAtAnyLook(t *testing.T) {
	const runs, looks, alpha = 200, 700, 0.05
	for _, phi := range []float64{-0.5, 0, 0.5, 0.8, 0.9, 0.95, 0.98} {
		rng := rand.New(rand.NewPCG(3, uint64(100+100*phi)))
		above, missed := 0, 0
		for range runs {
			var m Mean
			crossed, outside := false, false
			for i, x := range noise(rng, phi, looks) {
				m.Add(7 + 0.05*x)
				crossed = crossed || m.AgainstAtMost(7) >= -math.Log(alpha)
				if i%20 == 0 {
					v := m.Interval(alpha / 2)
					outside = outside || v.Lower > 7 || v.Upper < 7
				}
			}
			above += count(crossed)
			missed += count(outside)
		}
		most := mostErrors(runs, alpha)
		assert.LessOrEqual(t, above, most, "φ = %v", phi)
		assert.LessOrEqual(t, missed, most, "φ = %v", phi)
	}
}

// Noise is not as the model has it: now quiet and now loud, with outliers, in steps.
func TestMeanErrsSeldomWithOtherNoise(t *testing.T) {
	const runs, looks, alpha = 200, 700, 0.05
	for name, draw := range map[string]func(rng *rand.Rand) func(i int) float64{
		"louder": func(rng *rand.Rand) func(int) float64 {
			return func(i int) float64 { return rng.NormFloat64() * (0.001 + float64(count(i > 300))) }
		},
		"quieter": func(rng *rand.Rand) func(int) float64 {
			return func(i int) float64 { return rng.NormFloat64() * (0.01 + float64(count(i < 300))) }
		},
		"by the day": func(rng *rand.Rand) func(int) float64 {
			return func(i int) float64 { return rng.NormFloat64() * (1.1 + math.Sin(float64(i)/100)) }
		},
		"outliers": func(rng *rand.Rand) func(int) float64 {
			return func(int) float64 {
				return 0.05*rng.NormFloat64() + float64(rng.IntN(3)-1)*float64(count(rng.IntN(20) == 0))
			}
		},
		"opposite": func(rng *rand.Rand) func(int) float64 {
			last := 0.0
			return func(int) float64 {
				e := rng.NormFloat64()
				defer func() { last = e }()
				return e - 0.9*last
			}
		},
		"twice filtered": func(rng *rand.Rand) func(int) float64 {
			a, b := 0.0, 0.0
			return func(int) float64 {
				a = 0.8*a + rng.NormFloat64()
				b = 0.8*b + a
				return b
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(9, 9))
			above, below := 0, 0
			for range runs {
				var m Mean
				next := draw(rng)
				over, under := false, false
				for i := range looks {
					m.Add(next(i))
					over = over || m.AgainstAtMost(0) >= -math.Log(alpha)
					under = under || m.AgainstAtLeast(0) >= -math.Log(alpha)
				}
				above += count(over)
				below += count(under)
			}
			assert.LessOrEqual(t, above, mostErrors(runs, alpha))
			assert.LessOrEqual(t, below, mostErrors(runs, alpha))
		})
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mostErrors is the largest number of errors for which the one-sided binomial test at
// 99 % does not reject a rate of alpha.
func mostErrors(runs int, alpha float64) int {
	rest, p := 1.0, math.Pow(1-alpha, float64(runs))
	for k := 0; ; k++ {
		if rest -= p; rest < 0.01 {
			return k
		}
		p *= float64(runs-k) / float64(k+1) * alpha / (1 - alpha)
	}
}

func TestMostErrors(t *testing.T) {
	assert.Equal(t, 123, mostErrors(2000, 0.05), "the number of the issue")
}

// A t-test at every look is what this is for: it errs nearly always.
func TestPeekingErrsOften(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	wrong := 0
	for range 100 {
		n, sum, squares, crossed := 0.0, 0.0, 0.0, false
		for _, x := range noise(rng, 0.8, 1000) {
			n, sum, squares = n+1, sum+x, squares+x*x
			mean := sum / n
			crossed = crossed || n > 5 && mean/math.Sqrt((squares/n-mean*mean)/n) > 1.96
		}
		wrong += count(crossed)
	}
	assert.Greater(t, wrong, mostErrors(100, 0.05))
}

func TestMeanFindsADifference(t *testing.T) {
	f := func(phi, sd float64, within int) {
		t.Helper()
		rng := rand.New(rand.NewPCG(4, 4))
		found := 0
		for range 50 {
			var m Mean
			for _, x := range noise(rng, phi, within) {
				if m.Add(0.05 + sd*x); m.AgainstAtMost(0) >= math.Log(200) {
					found++
					break
				}
			}
		}
		assert.GreaterOrEqual(t, found, 45, "φ = %v, σ = %v", phi, sd)
	}
	f(0, 0, 8)
	f(0, 0.001, 30)
	f(0, 0.05, 120)
	f(0.5, 0.05, 250)
	f(0.8, 0.05, 800)
	f(0.9, 0.05, 1500)
}

// A series that is not an autoregression around one mean is no evidence against a
// mean that it does have.
func TestDriftIsNoEvidence(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var level, walk Mean
	at := 0.0
	for i := range 2000 {
		step := -0.5
		if i > 300 {
			step = -0.1
		}
		level.Add(step + 0.01*rng.NormFloat64())
		at += 0.01 * rng.NormFloat64()
		walk.Add(min(at, 0))
		assert.Less(t, level.AgainstAtMost(0), math.Log(20))
		assert.Less(t, walk.AgainstAtMost(0), math.Log(20))
	}
}

func drawMean(t *rapid.T) (*Mean, []float64) {
	values := rapid.SliceOfN(rapid.Float64Range(-1, 1), 0, 60).Draw(t, "values")
	var m Mean
	for i, x := range values {
		m.Add(x)
		if i%17 == 16 {
			m.Break()
		}
	}
	return &m, values
}

func TestMeanMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, values := drawMean(t)
		var other Mean
		for i, x := range values {
			other.Add(-x)
			if i%17 == 16 {
				other.Break()
			}
		}
		bound := rapid.Float64Range(-1, 1).Draw(t, "bound")
		assert.InDelta(t, max(m.AgainstAtMost(bound), -5), max(other.AgainstAtLeast(-bound), -5), 1e-6)
		v, w := m.Interval(0.01), other.Interval(0.01)
		near(t, v.Lower, -w.Upper)
		near(t, v.Upper, -w.Lower)
	})
}

func near(t require.TestingT, want, got float64) {
	if math.IsInf(want, 0) || math.IsInf(got, 0) {
		assert.Equal(t, want, got)
		return
	}
	assert.InDelta(t, want, got, 1e-3*(1+math.Abs(want)))
}

func TestMeanEvidenceFallsWithTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := drawMean(t)
		a, b := rapid.Float64Range(-2, 2).Draw(t, "a"), rapid.Float64Range(-2, 2).Draw(t, "b")
		a, b = min(a, b), max(a, b)
		counts := func(e float64) float64 { return max(e, -5) } // below it rounding decides, and nothing else
		assert.GreaterOrEqual(t, counts(m.AgainstAtMost(a)), counts(m.AgainstAtMost(b))-1e-6)
		assert.LessOrEqual(t, counts(m.AgainstAtLeast(a)), counts(m.AgainstAtLeast(b))+1e-6)
	})
}

func TestIntervalIsWhatIsNotRefuted(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var m Mean
	for i, x := range noise(rng, 0.6, 600) {
		m.Add(0.3 + 0.1*x)
		if i < 5 || i%37 != 0 {
			continue
		}
		const alpha = 0.01
		v := m.Interval(alpha)
		require.LessOrEqual(t, v.Lower, v.Value)
		require.LessOrEqual(t, v.Value, v.Upper)
		width := v.Upper - v.Lower
		for _, e := range []struct {
			bound   float64
			refuted bool
		}{{v.Upper + width/100, true}, {v.Upper - width/100, false}} {
			assert.Equal(t, e.refuted, m.AgainstAtLeast(e.bound) >= -math.Log(alpha), "after %d at %v", i, e.bound)
		}
		assert.Less(t, m.AgainstAtMost(v.Lower+width/100), -math.Log(alpha))
		assert.GreaterOrEqual(t, m.AgainstAtMost(v.Lower-width/100), -math.Log(alpha))
	}
}

// The largest likelihood under a hypothesis is that which a search over all means and
// correlations finds.
func TestLeastSquaresAgainstSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		var p Pairs
		list := noise(rng, rng.Float64(), 20)
		for i := 1; i < len(list); i++ {
			p.add(list[i-1], list[i])
		}
		search := func(mean float64) float64 {
			least := math.Inf(1)
			for phi := minCorrelation; phi <= MaxCorrelation+1e-9; phi += 0.001 {
				sum := 0.0
				for i := 1; i < len(list); i++ {
					e := list[i] - mean - phi*(list[i-1]-mean)
					sum += e * e
				}
				least = min(least, sum)
			}
			return least
		}
		for _, mean := range []float64{-1, 0, 0.3, 4} {
			assert.InEpsilon(t, search(mean), p.at(mean, MaxCorrelation), 1e-3)
		}
		squares, best := p.free(MaxCorrelation)
		assert.InEpsilon(t, squares, p.at(best, MaxCorrelation), 1e-6)
		for mean := best - 1; mean < best+1; mean += 0.05 {
			assert.LessOrEqual(t, squares, search(mean)+1e-9)
		}
	}
}

// The predictor is a density: it is 1 in all.
func TestPredictionIsADensity(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	var m Mean
	for i, x := range noise(rng, 0.7, 40) {
		m.Add(x)
		if i < training || i%5 != 0 {
			continue
		}
		sum := 0.0
		for y := -2000.0; y < 2000; y += 0.01 {
			sum += 0.01 * math.Exp(m.predict(m.Last, y))
		}
		assert.InDelta(t, 1, sum, 0.02, "after %d", i)
	}
}

func TestMeanOfLittle(t *testing.T) {
	var m Mean
	assert.True(t, m.Valid())
	for i := range training {
		v := m.Interval(0.05)
		assert.Equal(t, []float64{math.Inf(-1), math.Inf(1)}, []float64{v.Lower, v.Upper}, "after %d", i)
		assert.Zero(t, m.AgainstAtMost(-1e9))
		m.Add(float64(i))
		assert.True(t, m.Valid())
	}
	before := m
	m.Add(math.NaN())
	m.Add(math.Inf(1))
	assert.Equal(t, before, m, "what is no number is ignored")
	var short Mean
	short.Add(1)
	short.Break()
	assert.Equal(t, Mean{}, short, "too little to go on with after a gap")
	equal := Mean{}
	for range 100 {
		equal.Add(0)
		assert.LessOrEqual(t, equal.AgainstAtMost(0), 0.0)
		assert.True(t, equal.Valid())
	}
}

func TestGapLinksNothing(t *testing.T) {
	var m Mean
	for range 10 {
		m.Add(1)
	}
	m.Break()
	n := m.Seen.N
	m.Add(5)
	assert.InDelta(t, n, m.Seen.N, 0, "the value after a gap has none before it")
	m.Add(5)
	assert.InDelta(t, n+1, m.Seen.N, 0)
}

func BenchmarkMean(b *testing.B) {
	var m Mean
	rng := rand.New(rand.NewPCG(1, 7))
	for range 1000 {
		m.Add(rng.NormFloat64())
	}
	for b.Loop() {
		m.Interval(0.01)
	}
}
