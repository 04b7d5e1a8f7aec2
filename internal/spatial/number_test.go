package spatial_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// exact is the value of a finite number without rounding.
func exact(n spatial.Number) *big.Rat {
	if n.IsDouble() {
		return new(big.Rat).SetFloat64(n.Float())
	}
	return new(big.Rat).SetInt64(n.Int())
}

// near reports whether got is want within 1e-9 of scale.
func near(got float64, want, scale *big.Rat) bool {
	if math.IsInf(got, 0) || math.IsNaN(got) {
		return false
	}
	diff := new(big.Rat).Sub(new(big.Rat).SetFloat64(got), want)
	bound := new(big.Rat).Mul(scale, big.NewRat(1, 1_000_000_000))
	return diff.Abs(diff).Cmp(bound.Abs(bound)) <= 0
}

// anInt draws small integers and those at the ends of the range.
var anInt = rapid.OneOf(rapid.Int64Range(-20, 20), rapid.Int64(), rapid.Int64Range(math.MaxInt64-3, math.MaxInt64), rapid.Int64Range(math.MinInt64, math.MinInt64+3))

// aDouble draws doubles that a sum of a few hundred keeps finite.
var aDouble = rapid.OneOf(rapid.Float64Range(-10, 10), rapid.Float64Range(-1e300, 1e300), rapid.SampledFrom([]float64{0.1, 0.2, 0.3, 1e16, 1e-16, 1 << 53, 1<<63 - 1024, 1 << 63, -1 << 63}))

var aNumber = rapid.OneOf(rapid.Map(anInt, spatial.Int), rapid.Map(aDouble, spatial.Double))

func TestComparisonIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := aNumber.Draw(t, "a"), aNumber.Draw(t, "b")
		if rapid.Bool().Draw(t, "close") && !a.IsDouble() {
			b = spatial.Double(a.Float())
		}
		want := exact(a).Cmp(exact(b))
		require.Equal(t, want, a.Compare(b))
		require.Equal(t, -want, b.Compare(a))
		if want >= 0 {
			require.Equal(t, a, spatial.Max(a, b))
		} else {
			require.Equal(t, b, spatial.Max(a, b))
		}
	})
	nan := spatial.Double(math.NaN())
	for _, n := range []spatial.Number{spatial.Int(math.MinInt64), spatial.Double(math.Inf(-1))} {
		require.Equal(t, -1, nan.Compare(n))
		require.Equal(t, 1, n.Compare(nan))
	}
	require.Zero(t, nan.Compare(spatial.Double(-math.NaN())))
	require.Equal(t, 1, spatial.Double(math.Inf(1)).Compare(spatial.Int(math.MaxInt64)))
	require.Equal(t, -1, spatial.Double(math.Inf(-1)).Compare(spatial.Int(math.MinInt64)))
	require.Equal(t, -1, spatial.Int(math.MaxInt64).Compare(spatial.Double(math.MaxInt64))) // 2^63-1 < 2^63
}

// checkAdd holds an addition (or, with b negated, a subtraction) against exact arithmetic.
func checkAdd(add func(a, b spatial.Number) (spatial.Number, bool), a, b spatial.Number) string {
	got, overflow := add(a, b)
	want := new(big.Rat).Add(exact(a), exact(b))
	fits := want.IsInt() && want.Num().IsInt64()
	ints := !a.IsDouble() && !b.IsDouble()
	switch {
	case ints && fits && (got.IsDouble() || exact(got).Cmp(want) != 0):
		return "an integer is not exact"
	case ints && !fits && !got.IsDouble():
		return "an integer wrapped around"
	case overflow != (ints && !fits):
		return "overflow is not reported"
	case !ints && !got.IsDouble():
		return "a double became an integer"
	case !near(got.Float(), want, want):
		return "a double is off"
	}
	return ""
}

func TestAdditionAgainstExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := aNumber.Draw(t, "a"), aNumber.Draw(t, "b")
		require.Empty(t, checkAdd(spatial.Add, a, b))
		sum, _ := spatial.Add(a, b)
		mirrored, _ := spatial.Add(b, a)
		require.Equal(t, sum, mirrored)
		if !b.IsDouble() && b.Int() == math.MinInt64 {
			return // has no negative
		}
		negative := spatial.Double(-b.Float())
		if !b.IsDouble() {
			negative = spatial.Int(-b.Int())
		}
		require.Empty(t, checkAdd(func(a, _ spatial.Number) (spatial.Number, bool) { return spatial.Sub(a, b) }, a, negative))
	})
}

func TestSubtractionAtTheEnds(t *testing.T) {
	for _, c := range []struct {
		a, b, want spatial.Number
		overflow   bool
	}{
		{spatial.Int(math.MinInt64), spatial.Int(math.MinInt64), spatial.Int(0), false},
		{spatial.Int(-1), spatial.Int(math.MinInt64), spatial.Int(math.MaxInt64), false},
		{spatial.Int(0), spatial.Int(math.MinInt64), spatial.Double(1 << 63), true},
		{spatial.Int(math.MinInt64), spatial.Int(1), spatial.Double(-1 << 63), true},
		{spatial.Int(math.MaxInt64), spatial.Int(-1), spatial.Double(1 << 63), true},
		{spatial.Int(1<<53 + 1), spatial.Double(1 << 53), spatial.Double(1), false}, // exact, where converting first gives 0
	} {
		got, overflow := spatial.Sub(c.a, c.b)
		require.Equal(t, c.want, got)
		require.Equal(t, c.overflow, overflow)
	}
	sum, _ := spatial.Add(spatial.Int(1<<53+1), spatial.Double(-1<<53))
	require.Equal(t, spatial.Double(1), sum)
}

func TestTotalOfIntegersDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ints := rapid.SliceOfN(anInt, 0, 60).Draw(t, "ints")
		want := new(big.Int)
		for _, v := range ints {
			want.Add(want, big.NewInt(v))
		}
		var whole spatial.Total
		for _, v := range rapid.Permutation(ints).Draw(t, "order") {
			whole.Add(spatial.Int(v))
		}
		var parts [3]spatial.Total
		for i, v := range ints {
			parts[i%3].Add(spatial.Int(v))
		}
		parts[2].Merge(&parts[0])
		parts[2].Merge(&parts[1])
		require.Equal(t, whole, parts[2])
		if got := whole.Value(); want.IsInt64() {
			require.Equal(t, spatial.Int(want.Int64()), got)
		} else {
			require.True(t, got.IsDouble())
			nearest, _ := new(big.Rat).SetInt(want).Float64()
			require.Equal(t, nearest, got.Float())
		}
		for _, v := range ints { // what came can leave, exactly
			whole.Sub(spatial.Int(v))
		}
		require.Equal(t, spatial.Total{}, whole)
	})
}

func TestTotalReportsLeavingItsRangeOnce(t *testing.T) {
	var total spatial.Total
	require.False(t, total.Add(spatial.Int(math.MaxInt64)))
	require.True(t, total.Add(spatial.Int(1)))
	require.False(t, total.Add(spatial.Int(1)))
	require.Equal(t, spatial.Double(1<<63), total.Value())
	require.False(t, total.Sub(spatial.Int(2)))
	require.Equal(t, spatial.Int(math.MaxInt64), total.Value())
	other := total
	require.True(t, total.Merge(&other))

	var doubles spatial.Total
	require.False(t, doubles.Add(spatial.Double(math.MaxFloat64)))
	otherDoubles := doubles
	require.True(t, doubles.Merge(&otherDoubles))
	require.True(t, math.IsInf(doubles.Float(), 1))
	require.False(t, doubles.Add(spatial.Double(1)))
	require.False(t, doubles.Add(spatial.Double(math.Inf(1))))
}

// A quarter of a unit twice: what rounding had taken carries the sum over the edge. It is infinite then, not NaN, also merged.
func TestTotalPastTheLargestDouble(t *testing.T) {
	var total, other spatial.Total
	total.Add(spatial.Double(math.MaxFloat64))
	require.False(t, total.Add(spatial.Double(0x1p969)))
	require.True(t, total.Add(spatial.Double(0x1p969)))
	other.Add(spatial.Double(1))
	require.False(t, other.Merge(&total)) // reported before
	require.True(t, math.IsInf(total.Float(), 1))
	require.True(t, math.IsInf(other.Float(), 1))
}

func TestMergeKeepsWhatRoundingTook(t *testing.T) {
	var a, b spatial.Total
	for _, total := range []*spatial.Total{&a, &b} {
		total.Add(spatial.Double(1 << 53))
		total.Add(spatial.Double(1)) // 2^53 + 1 is no double
	}
	a.Merge(&b)
	a.Sub(spatial.Double(1 << 54))
	require.Equal(t, spatial.Double(2), a.Value())
}

// Doubles of all magnitudes, integers among them, in any order and split in any way: within 1e-9 of what the exact sum of
// magnitudes allows, and for values of one sign (counters) within 1e-9 of the sum itself.
func TestTotalOfDoublesStaysWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(aNumber, 1, 80).Draw(t, "numbers")
		onlyPositive := rapid.Bool().Draw(t, "positive")
		var parts [2]spatial.Total
		want, magnitude := new(big.Rat), new(big.Rat)
		for i, n := range numbers {
			if onlyPositive && exact(n).Sign() < 0 {
				n = spatial.Double(-n.Float())
			}
			parts[i%2].Add(n)
			want.Add(want, exact(n))
			magnitude.Add(magnitude, new(big.Rat).Abs(exact(n)))
		}
		parts[0].Merge(&parts[1])
		require.True(t, near(parts[0].Float(), want, want) || !onlyPositive && near(parts[0].Float(), want, new(big.Rat).Mul(magnitude, big.NewRat(1, 1e9))))
	})
}

func TestAMillionTenthsDoNotDrift(t *testing.T) {
	var total spatial.Total
	plain, tenth := 0.0, 0.1
	for range 1_000_000 {
		total.Add(spatial.Double(tenth))
		plain += tenth
	}
	require.Equal(t, 100000.0, total.Float())
	require.NotEqual(t, 100000.0, plain)
}

// A counter that falls by one unit in the last place is a reset to its reader.
func TestATotalOfWhatIsNotNegativeNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var total spatial.Total
		last := total.Value()
		doubles := rapid.Bool().Draw(t, "doubles")
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			n := spatial.Int(rapid.Int64Min(0).Draw(t, "int"))
			if doubles {
				mantissa := rapid.Float64Range(0, 2).Draw(t, "mantissa")
				n = spatial.Double(math.Ldexp(mantissa, rapid.IntRange(-120, 3).Draw(t, "exponent")))
			}
			total.Add(n)
			require.GreaterOrEqual(t, total.Value().Compare(last), 0)
			last = total.Value()
		}
	})
}
