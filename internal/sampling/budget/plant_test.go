package budget_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

// plant says what goes out of what comes in at a level.
type plant func(in, level float64) float64

var plants = map[string]plant{
	"ratio": func(in, level float64) float64 { return in * min(1, level) },
	// A dead band over a random walk: the time to leave a band grows with its square. A heartbeat passes one in 20.
	"walk": func(in, level float64) float64 { return in * max(0.05, min(1, level*level)) },
	// Steady counters: the time to leave it grows with the band.
	"stiff": func(in, level float64) float64 { return in * math.Pow(min(1, level), 0.5) },
	// The metrics of a group have different scales: smooth, between a tenth and all.
	"mixed": func(in, level float64) float64 { return in * (0.02 + 0.98*level/(level+0.3)) },
}

// load is what comes in a second, by interval.
type load func(n int) float64

// run is what became of one load: the rates out, and the levels in force.
type run struct {
	out, level []float64
	floors     int
}

const target = 1000

func drive(t *testing.T, p plant, l load, n int, policy budget.Policy) run {
	t.Helper()
	c, err := budget.New(1)
	require.NoError(t, err)
	require.NoError(t, c.SetPolicies(map[string]budget.Policy{"g": policy}))
	var r run
	for i := range n {
		level, _ := c.Level("g")
		in := l(i)
		out := p(in, level)
		r.out, r.level = append(r.out, out), append(r.level, level)
		d, ok := c.Step("g", budget.Reading{In: in * 15, Out: out * 15, Seconds: 15})
		require.True(t, ok)
		require.True(t, d.Level >= policy.Floor && d.Level <= policy.Ceiling)
		if d.Happened == budget.FloorReached {
			r.floors++
		}
	}
	return r
}

var usual = budget.Policy{Target: target, Floor: 1e-4, Ceiling: 1}

// settled is how many intervals after from the output stays within 10 % of the target.
func (r run) settled(from, to int) int {
	last := from - 1
	for i := from; i < to; i++ {
		if math.Abs(r.out[i]/target-1) > 0.1 {
			last = i
		}
	}
	return last + 1 - from
}

// overshoot is how far the output came to the other side after the first time that it was within the target, in intervals from on.
func (r run) overshoot(from, to int) (over, under float64) {
	crossed := false
	for i := from; i < to; i++ {
		if math.Abs(r.out[i]/target-1) < 0.1 {
			crossed = true
		}
		if crossed {
			over, under = max(over, r.out[i]/target-1), max(under, 1-r.out[i]/target)
		}
	}
	return over, under
}

// turns counts how often the level changed its direction by more than 2 %.
func (r run) turns(from, to int) (n int) {
	direction := 0.0
	for i := from + 1; i < to; i++ {
		if move := math.Log(r.level[i] / r.level[i-1]); math.Abs(move) > 0.02 {
			if move*direction < 0 {
				n++
			}
			direction = move
		}
	}
	return n
}

func TestAStepOfTenIsFollowedInFiveIntervalsWithoutOscillation(t *testing.T) {
	for name, p := range plants {
		for way, l := range map[string]load{
			"up":   func(n int) float64 { return map[bool]float64{true: 1500, false: 15000}[n < 40] },
			"down": func(n int) float64 { return map[bool]float64{true: 15000, false: 1500}[n < 40] },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				r := drive(t, p, l, 100, usual)
				intervals := r.settled(40, 100)
				over, under := r.overshoot(41, 100)
				t.Logf("settled after %d intervals; overshoot +%.1f %% −%.1f %%; %d turns; first: %.0f", intervals, 100*over, 100*under, r.turns(41, 100), r.out[40:48])
				require.LessOrEqual(t, intervals, 5)
				require.LessOrEqual(t, max(over, under), 0.1)
				require.LessOrEqual(t, r.turns(41, 100), 1)
			})
		}
	}
}

// What a level does may show an interval late, as where a heartbeat is longer than an interval.
func TestAnAnswerThatComesLateIsDamped(t *testing.T) {
	for _, share := range []float64{0.3, 0.5} {
		last := 1.0
		late := func(in, level float64) float64 {
			out := in * math.Pow(level, 1-share) * math.Pow(last, share)
			last = level
			return out
		}
		r := drive(t, late, func(n int) float64 { return map[bool]float64{true: 1500, false: 15000}[n < 40] }, 120, usual)
		over, under := r.overshoot(41, 120)
		t.Logf("%.0f %% of the answer late: settled after %d intervals; overshoot +%.1f %% −%.1f %%; %d turns; first: %.0f",
			100*share, r.settled(40, 120), 100*over, 100*under, r.turns(41, 120), r.out[40:56])
		require.LessOrEqual(t, r.settled(40, 120), 12)
	}
}

func TestTheFirstIntervalsFindTheLevel(t *testing.T) {
	for name, p := range plants {
		r := drive(t, p, func(int) float64 { return 10 * target }, 40, usual)
		require.LessOrEqual(t, r.settled(0, 40), 5, "%s: %.0f", name, r.out[:8])
	}
}

func TestRamps(t *testing.T) {
	for name, p := range plants {
		r := drive(t, p, func(n int) float64 { return 2000 * math.Pow(1.05, float64(min(n, 40))) }, 80, usual)
		worst := 0.0
		for _, out := range r.out[5:] {
			worst = max(worst, math.Abs(out/target-1))
		}
		t.Logf("%s: 5 %% more an interval: at most %.1f %% off, %d turns", name, 100*worst, r.turns(5, 80))
		require.LessOrEqual(t, worst, 0.25)
		require.LessOrEqual(t, r.turns(5, 80), 2)
	}
}

func TestABurstIsOverSoon(t *testing.T) {
	for name, p := range plants {
		r := drive(t, p, func(n int) float64 {
			if n == 40 {
				return 30_000
			}
			return 3000
		}, 80, usual)
		after := r.settled(41, 80)
		t.Logf("%s: a burst of ten is over after %d intervals: %.0f", name, after, r.out[39:48])
		require.LessOrEqual(t, after, 6)
	}
}

func TestOnAndOff(t *testing.T) {
	for name, p := range plants {
		// Off is silence: the level of before is right when it comes back.
		r := drive(t, p, func(n int) float64 { return map[bool]float64{true: 8000, false: 0}[n/20%2 == 0] }, 200, usual)
		for from := 40; from < 200; from += 40 {
			require.LessOrEqual(t, r.settled(from, from+20), 2, "%s at %d", name, from)
		}
		// Off is under the budget: all passes, and the return is a step.
		r = drive(t, p, func(n int) float64 { return map[bool]float64{true: 8000, false: 500}[n/20%2 == 0] }, 200, usual)
		worst := 0
		for from := 40; from < 200; from += 40 {
			worst = max(worst, r.settled(from, from+20))
			require.Greater(t, r.out[from+39], 0.9*p(500, 1), "%s: what fits passes", name)
		}
		t.Logf("%s: back in the budget after at most %d intervals", name, worst)
		require.LessOrEqual(t, worst, 5)
	}
}

func TestNoiseIsAveragedNotFollowed(t *testing.T) {
	for name, p := range plants {
		rng := rand.New(rand.NewPCG(5, 6))
		r := drive(t, p, func(int) float64 { return 5000 * math.Exp(0.15*rng.NormFloat64()) }, 2000, usual)
		var mean, level, square float64
		n := float64(len(r.out) - 50)
		for i := 50; i < len(r.out); i++ {
			mean += r.out[i] / n
			level += math.Log(r.level[i]) / n
		}
		for i := 50; i < len(r.out); i++ {
			square += math.Pow(math.Log(r.level[i])-level, 2) / n
		}
		t.Logf("%s: load varies by 15 %%: mean output %.1f %% of the target, the level varies by %.1f %%", name, mean/target*100, 100*math.Sqrt(square))
		require.InDelta(t, target, mean, 0.1*target)
		require.LessOrEqual(t, math.Sqrt(square), 0.25)
	}
}
