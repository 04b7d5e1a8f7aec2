package budget_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

// Values that are whole numbers leave a band all at once: the output jumps from half to three times the target at one level.
func TestAnEdgeIsNotCrossedAgainAndAgain(t *testing.T) {
	edge := func(in, level float64) float64 {
		if level > 0.2 {
			return in * 0.6
		}
		return in * 0.1
	}
	r := drive(t, edge, func(int) float64 { return 5 * target }, 300, usual)
	over := 0
	for _, out := range r.out[20:] {
		if out > target {
			over++
		}
	}
	t.Logf("above the target in %d of 280 intervals", over)
	require.LessOrEqual(t, over, 280/14)
}

func TestFloorAndCeilingHoldAndTheFloorIsAnEvent(t *testing.T) {
	p := budget.Policy{Target: target, Floor: 0.2, Ceiling: 0.8}
	l := func(n int) float64 { return map[bool]float64{true: 20_000, false: 600}[n >= 20 && n < 60] }
	r := drive(t, plants["ratio"], l, 100, p)
	require.InDelta(t, 0.2*20_000, r.out[59], 1e-9)
	require.InDelta(t, 0.8*600, r.out[99], 1e-9)
	require.Equal(t, 1, r.floors, "once, though it lasts")

	s, d := budget.Step(p, budget.State{}, budget.Reading{In: 20_000, Out: 16_000, Seconds: 1})
	require.Equal(t, budget.Nothing, d.Happened)
	s, d = budget.Step(p, s, budget.Reading{In: 20_000, Out: 4000, Seconds: 1})
	require.Equal(t, budget.FloorReached, d.Happened)
	require.InDelta(t, 3, d.Error, 1e-9)
	s, d = budget.Step(p, s, budget.Reading{In: 20_000, Out: 4000, Seconds: 1})
	require.Equal(t, budget.Nothing, d.Happened)
	_, d = budget.Step(p, s, budget.Reading{In: 4000, Out: 800, Seconds: 1})
	require.Equal(t, budget.FloorLeft, d.Happened)
}

func TestAnotherPolicyKeepsTheState(t *testing.T) {
	c, err := budget.New(2)
	require.NoError(t, err)
	require.NoError(t, c.SetPolicies(map[string]budget.Policy{"a": usual, "b": usual}))
	step := func(group string) float64 {
		level, _ := c.Level(group)
		d, _ := c.Step(group, budget.Reading{In: 150_000, Out: 150_000 * level, Seconds: 15})
		return d.Level
	}
	for range 10 {
		step("a")
		step("b")
	}
	before, _ := c.Level("a")
	require.InDelta(t, 0.1, before, 0.01)
	half := usual
	half.Target /= 2
	require.NoError(t, c.SetPolicies(map[string]budget.Policy{"a": half}))
	after, _ := c.Level("a")
	require.Equal(t, before, after)
	_, known := c.Level("b")
	require.False(t, known)
	_, known = c.Step("b", budget.Reading{In: 1, Out: 1, Seconds: 1})
	require.False(t, known)
	for range 5 {
		after = step("a")
	}
	require.InDelta(t, 0.05, after, 0.005)

	other, err := budget.New(2)
	require.NoError(t, err)
	require.NoError(t, other.SetPolicies(map[string]budget.Policy{"a": half}))
	other.Restore(c.States())
	require.Equal(t, c.States(), other.States())

	err = c.SetPolicies(map[string]budget.Policy{"a": {Target: 0, Floor: -1, Ceiling: -2}, "b": usual, "c": usual})
	require.EqualError(t, err, "3 groups, the bound is 2\ngroup \"a\": target: must be positive, got 0\nfloor: must be positive, got -1\nceiling: must be at least the floor, got -2")
	_, known = c.Level("a")
	require.True(t, known)
	_, err = budget.New(0)
	require.Error(t, err)
}

// Whatever is read or restored, the level is a number between floor and ceiling, and the same readings give the same levels.
func TestNonsenseDoesNoHarm(t *testing.T) {
	odd := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64, 5e-324}))
	rapid.Check(t, func(t *rapid.T) {
		p := budget.Policy{Target: rapid.Float64Range(1e-6, 1e9).Draw(t, "target"), Floor: 0.01, Ceiling: 2}
		require.NoError(t, p.Validate())
		draw := func(name string) float64 { return odd.Draw(t, name) }
		s := budget.State{
			Level: draw("level"), Elasticity: draw("elasticity"), Gain: draw("gain"), LastIn: draw("in"), LastOut: draw("out"),
			LastLevel: draw("last"), TooMuch: draw("much"), TooMuchIn: draw("in"), Avoid: rapid.Int().Draw(t, "avoid"), LastError: draw("error"),
		}
		for range 10 {
			r := budget.Reading{In: draw("in"), Out: draw("out"), Seconds: draw("seconds")}
			again, same := budget.Step(p, s, r)
			next, d := budget.Step(p, s, r)
			require.Equal(t, same.Level, d.Level)
			require.Equal(t, again.Level, next.Level)
			require.True(t, d.Level >= p.Floor && d.Level <= p.Ceiling, "%g", d.Level)
			s = next
		}
	})
}
