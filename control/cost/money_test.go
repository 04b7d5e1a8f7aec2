package cost

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseMoney(t *testing.T) {
	f := func(text string, want Money, written string) {
		t.Helper()
		got, err := ParseMoney(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, written, got.String())
	}
	f("0", 0, "0.00")
	f("6.5", 6_500_000, "6.50")
	f("6.50000000", 6_500_000, "6.50")
	f("0.000001", 1, "0.000001")
	f("-0.087", -87_000, "-0.087")
	f("007", 7_000_000, "7.00")
	f("9223372036854.775", 9_223_372_036_854_775_000, "9223372036854.775")
}

func TestParseMoneyRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseMoney(text)
		require.ErrorContains(t, err, want)
	}
	for _, text := range []string{"", "-", ".5", "5.", "1e3", "1,5", "+1", "0x1", " 1", "1.2.3", "--1", "NaN"} {
		f(text, "must be a decimal number such as 6.50")
	}
	f("0.0000001", "must not have more than 6 decimals; give the price of more at once (per)")
	f("99999999999999", "is too large")
	f("9223372036854775807", "is too large")
}

func TestMoneyInJSONIsExact(t *testing.T) {
	f := func(data string, want Money) {
		t.Helper()
		var got Money
		require.NoError(t, json.Unmarshal([]byte(data), &got))
		assert.Equal(t, want, got)
	}
	f(`"0.1"`, 100_000)
	f(`0.1`, 100_000)
	f(`4503599627370.497001`, 4_503_599_627_370_497_001) // no float holds it
	var m Money
	require.Error(t, json.Unmarshal([]byte(`1e3`), &m))
	require.Error(t, json.Unmarshal([]byte(`true`), &m))
	require.Error(t, json.Unmarshal([]byte(`null`), &m))
	data, err := json.Marshal(Money(-1_250_000))
	require.NoError(t, err)
	assert.Equal(t, `"-1.25"`, string(data))
}

func TestMoneyIsWhatItsTextSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Money(rapid.Int64Range(-9e18, 9e18).Draw(t, "money"))
		got, err := ParseMoney(m.String())
		require.NoError(t, err)
		assert.Equal(t, m, got)
	})
}

func TestSharesAreRoundedHalfToEven(t *testing.T) {
	f := func(m Money, part, whole uint64, want Money) {
		t.Helper()
		assert.Equal(t, want, m.share(part, whole))
	}
	f(5, 1, 2, 2) // 2.5
	f(7, 1, 2, 4) // 3.5
	f(-5, 1, 2, -2)
	f(-7, 1, 2, -4)
	f(10, 1, 3, 3)
	f(20, 1, 3, 7)
	f(math.MaxInt64, 3, 2, math.MaxInt64) // stays at the bound
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.Int64Range(0, 1e18).Draw(t, "money")
		part, whole := rapid.Uint64Range(0, 1e6).Draw(t, "part"), rapid.Uint64Range(1, 1e9).Draw(t, "whole")
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(m), new(big.Int).SetUint64(part)), new(big.Int).SetUint64(whole))
		if exact.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) > 0 {
			return
		}
		off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(int64(Money(m).share(part, whole))))
		assert.LessOrEqual(t, off.Abs(off).Cmp(big.NewRat(1, 2)), 0)
	})
}

func TestSplitAddsUpAndIsFair(t *testing.T) {
	assert.Equal(t, []Money{34, 33, 33}, split(100, []uint64{1, 1, 1}))
	assert.Equal(t, []Money{0, 1}, split(1, []uint64{1, 2}))
	assert.Equal(t, []Money{0, 5}, split(5, []uint64{0, 9}))
	// Weights beyond a word together keep their proportions
	assert.Equal(t, []Money{50, 50}, split(100, []uint64{math.MaxUint64, math.MaxUint64}))
	rapid.Check(t, func(t *rapid.T) {
		amount := Money(rapid.Int64Range(0, math.MaxInt64).Draw(t, "amount"))
		weights := rapid.SliceOfN(rapid.Uint64Range(0, 1e15), 1, 40).Draw(t, "weights")
		weights[0]++
		total, sum := new(big.Int), Money(0)
		for _, w := range weights {
			total.Add(total, new(big.Int).SetUint64(w))
		}
		for i, part := range split(amount, weights) {
			sum += part
			exact := new(big.Int).Mul(big.NewInt(int64(amount)), new(big.Int).SetUint64(weights[i]))
			low := new(big.Int).Div(exact, total)
			assert.True(t, part == Money(low.Int64()) || part == Money(low.Int64())+1, "%d of %v", part, exact)
		}
		assert.Equal(t, amount, sum)
	})
}

func TestMoneyStaysWithinItsBounds(t *testing.T) {
	assert.Equal(t, Money(math.MaxInt64), Money(math.MaxInt64).plus(1))
	assert.Equal(t, Money(math.MinInt64), Money(math.MinInt64).plus(-1))
	assert.Equal(t, Money(math.MaxInt64), Money(math.MaxInt64).minus(math.MinInt64))
	assert.Equal(t, Money(-3), Money(2).minus(5))
	assert.Equal(t, "-9223372036854.775808", Money(math.MinInt64).String())
}
