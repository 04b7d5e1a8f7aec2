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

var policies = []spatial.Policy{
	spatial.PolicySum, spatial.PolicyMean, spatial.PolicyMin, spatial.PolicyMax, spatial.PolicyLast, spatial.PolicyCount,
}

func TestPoliciesAreReadAsWritten(t *testing.T) {
	for _, p := range policies {
		got, err := spatial.ParsePolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	_, err := spatial.ParsePolicy("median")
	require.EqualError(t, err, `must be one of sum, mean, min, max, last, count, got "median"`)
	require.Equal(t, "unknown", spatial.Policy(9).String())
}

// gauge is an input over time: what it says, and when it falls silent.
type gauge struct {
	points []spatial.SumPoint
}

// fleet is a set of gauges, looked at once after their first points and once at the end, when some are stale.
type fleet struct {
	gauges  []gauge
	horizon uint64 // inputs silent since are stale
}

func fleets(special bool) *rapid.Generator[fleet] {
	return rapid.Custom(func(t *rapid.T) fleet {
		value := aNumber
		if special {
			value = rapid.OneOf(aNumber, rapid.SampledFrom([]spatial.Number{spatial.Double(math.NaN()), spatial.Double(math.Inf(1)), spatial.Double(math.Inf(-1))}))
		}
		if rapid.Bool().Draw(t, "integers") {
			value = rapid.Map(anInt, spatial.Int)
		}
		f := fleet{horizon: rapid.Uint64Range(1, 12).Draw(t, "horizon")}
		for range rapid.IntRange(0, 12).Draw(t, "gauges") {
			var g gauge
			for range rapid.IntRange(1, 4).Draw(t, "points") {
				time := rapid.Uint64Range(1, 14).Draw(t, "time")
				g.points = append(g.points, spatial.SumPoint{Span: spatial.Span{Time: time}, Value: value.Draw(t, "value")})
			}
			f.gauges = append(f.gauges, g)
		}
		return f
	})
}

// aggregate is how a fleet becomes one number: that of the product, or a mutant's.
type aggregate func(f fleet, p spatial.Policy) (spatial.Number, bool)

// flush is what a processor does: latest values as they come, a new level at each flush, stale inputs left out.
func flush(f fleet, p spatial.Policy) (spatial.Number, bool) {
	var levels [2]spatial.Level
	for i, g := range f.gauges {
		var in spatial.Latest
		for _, point := range g.points {
			in.ObserveGauge(point)
		}
		if last := in.Last(); last.Time >= f.horizon {
			levels[i%2].Observe(last.Value, last.Time)
		}
	}
	levels[0].Merge(&levels[1])
	return levels[0].Value(p)
}

// checkLevel compares with the values themselves, sorted and summed exactly.
func checkLevel(of aggregate, f fleet) string {
	var live []spatial.SumPoint
	for _, g := range f.gauges {
		latest := g.points[0]
		for _, p := range g.points {
			if p.Time > latest.Time {
				latest = p
			}
		}
		if latest.Time >= f.horizon {
			live = append(live, latest)
		}
	}
	for _, p := range policies {
		got, ok := of(f, p)
		if ok != (len(live) > 0) {
			return fmt.Sprintf("%s: ok is %v with %d inputs", p, ok, len(live))
		}
		if ok {
			if problem := checkPolicy(p, got, live); problem != "" {
				return fmt.Sprintf("%s of %v: %s", p, live, problem)
			}
		}
	}
	return ""
}

func checkPolicy(p spatial.Policy, got spatial.Number, live []spatial.SumPoint) string {
	ints, finite := true, true
	sum, magnitude, ieee := new(big.Rat), new(big.Rat), 0.0
	for _, l := range live {
		ints = ints && !l.Value.IsDouble()
		if l.Value.Finite() != spatial.Accepted {
			finite = false
			ieee += l.Value.Float()
			continue
		}
		sum.Add(sum, exact(l.Value))
		magnitude.Add(magnitude, new(big.Rat).Abs(exact(l.Value)))
	}
	sorted := slices.SortedFunc(slices.Values(live), func(a, b spatial.SumPoint) int { return a.Value.Compare(b.Value) })
	numbers := slices.DeleteFunc(slices.Clone(sorted), func(p spatial.SumPoint) bool { return p.Value.Finite() == spatial.NotANumber })
	if len(numbers) == 0 {
		numbers = sorted
	}
	want := spatial.Int(int64(len(live)))
	switch p {
	case spatial.PolicySum, spatial.PolicyMean:
		n := int64(1)
		if p == spatial.PolicyMean {
			n = int64(len(live))
		}
		bound := new(big.Rat).Add(new(big.Rat).Abs(sum), new(big.Rat).Mul(magnitude, big.NewRat(1, 1_000_000)))
		switch {
		case !finite:
			want = spatial.Double(ieee / float64(n))
		case ints && p == spatial.PolicySum && sum.Num().IsInt64():
			want = spatial.Int(sum.Num().Int64())
		case !got.IsDouble() || !near(got.Float(), sum.Mul(sum, big.NewRat(1, n)), bound):
			return fmt.Sprintf("%v is not near %v", got, sum)
		default:
			return ""
		}
	case spatial.PolicyMin:
		want = numbers[0].Value
	case spatial.PolicyMax:
		want = numbers[len(numbers)-1].Value
	case spatial.PolicyLast:
		last := sorted[0]
		for _, l := range sorted {
			if l.Time >= last.Time {
				last = l
			}
		}
		want = last.Value
	case spatial.PolicyCount:
	}
	if !ints && p != spatial.PolicyCount {
		want = spatial.Double(want.Float())
	}
	if want.IsDouble() != got.IsDouble() || want.Compare(got) != 0 {
		return fmt.Sprintf("%v is not %v", got.Float(), want.Float())
	}
	return ""
}

func TestLevelOfLiveInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, checkLevel(flush, fleets(false).Draw(t, "fleet")))
	})
}

func TestLevelWithNaNAndInfinities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, checkLevel(flush, fleets(true).Draw(t, "fleet")))
	})
}

func TestLevelDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) spatial.SumPoint {
			return spatial.SumPoint{Span: spatial.Span{Time: rapid.Uint64Range(1, 4).Draw(t, "time")}, Value: rapid.Map(anInt, spatial.Int).Draw(t, "value")}
		}), 0, 20).Draw(t, "points")
		var whole spatial.Level
		for _, p := range points {
			whole.Observe(p.Value, p.Time)
		}
		var parts [3]spatial.Level
		for _, p := range rapid.Permutation(points).Draw(t, "order") {
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Observe(p.Value, p.Time)
		}
		parts[0].Merge(&parts[1]) // (a + b) + c
		ab := parts[0]
		ab.Merge(&parts[2])
		parts[2].Merge(&parts[0]) // c + (a + b)
		require.Equal(t, whole, ab)
		require.Equal(t, whole, parts[2])
		require.Equal(t, uint64(len(points)), whole.Count())
		whole.Reset()
		require.Equal(t, spatial.Level{}, whole)
	})
}

// A huge double that came and went leaves nothing behind: the level is recomputed.
func TestAStaleDoubleLeavesNothingBehind(t *testing.T) {
	small := gauge{[]spatial.SumPoint{{Span: spatial.Span{Time: 10}, Value: spatial.Double(0.1)}}}
	huge := gauge{[]spatial.SumPoint{{Span: spatial.Span{Time: 5}, Value: spatial.Double(1.7e308)}}}
	got, ok := flush(fleet{[]gauge{huge, small, huge, small}, 5}, spatial.PolicySum)
	require.True(t, ok)
	require.True(t, math.IsInf(got.Float(), 1))
	got, _ = flush(fleet{[]gauge{huge, small, huge, small}, 6}, spatial.PolicySum)
	require.Equal(t, spatial.Double(0.2), got)
}

func TestLatestKeepsTheLatest(t *testing.T) {
	var in spatial.Latest
	at := func(time uint64, n spatial.Number) spatial.SumPoint {
		return spatial.SumPoint{Span: spatial.Span{Time: time}, Value: n}
	}
	require.Equal(t, spatial.NoTime, in.ObserveSum(at(0, spatial.Int(1))))
	require.Zero(t, in.Last())
	require.Equal(t, spatial.Accepted, in.ObserveSum(at(10, spatial.Int(-7))))
	require.Equal(t, spatial.Late, in.ObserveSum(at(9, spatial.Int(1))))
	require.Equal(t, spatial.Duplicate, in.ObserveSum(at(10, spatial.Int(1))))
	require.Equal(t, spatial.NotANumber, in.ObserveSum(at(11, spatial.Double(math.NaN()))))
	require.Equal(t, at(10, spatial.Int(-7)), in.Last())
	require.Equal(t, spatial.Accepted, in.ObserveGauge(at(11, spatial.Double(math.Inf(1)))))
	require.Equal(t, at(11, spatial.Double(math.Inf(1))), in.Last())
	require.Equal(t, spatial.StartAfterTime, in.ObserveGauge(spatial.SumPoint{Span: spatial.Span{Start: 13, Time: 12}}))
}
