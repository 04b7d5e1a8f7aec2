package cost

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Money is an amount in millionths of the currency's unit: one dollar is
// 1,000,000. Amounts are integers, so sums are exact in any order; a result
// beyond ±9.2 × 10¹² units stays at that bound.
//
// Rounding happens where a price meets a quantity, once for each component of a
// price model, and where an amount a month becomes one a day or an hour: to the
// nearest millionth, half to even. Nothing else rounds.
type Money int64

// Unit is one dollar, euro or whatever the currency is.
const Unit Money = 1_000_000

const decimals = 6

var (
	errMoneySyntax = errors.New("must be a decimal number such as 6.50, without an exponent")
	errMoneyDigits = fmt.Errorf("must not have more than %d decimals; give the price of more at once (per)", decimals)
	errMoneyRange  = errors.New("is too large")
)

// ParseMoney reads a decimal number with up to six decimals, exactly.
func ParseMoney(text string) (Money, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, fmt.Errorf("%q %w", text, errMoneySyntax)
	}
	if len(strings.TrimRight(fraction, "0")) > decimals {
		return 0, fmt.Errorf("%q %w", text, errMoneyDigits)
	}
	fraction = (fraction + strings.Repeat("0", decimals))[:decimals]
	amount := Money(0)
	for _, d := range whole + fraction {
		if amount > (math.MaxInt64-9)/10 {
			return 0, fmt.Errorf("%q %w", text, errMoneyRange)
		}
		amount = amount*10 + Money(d-'0')
	}
	if negative {
		amount = -amount
	}
	return amount, nil
}

// String returns the amount with two to six decimals: 6.50, -0.000016.
func (m Money) String() string {
	sign, size := "", uint64(m) //nolint:gosec // the sign is handled next
	if m < 0 {
		sign, size = "-", -size
	}
	fraction := fmt.Sprintf("%06d", size%uint64(Unit))
	for len(fraction) > 2 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	return fmt.Sprintf("%s%d.%s", sign, size/uint64(Unit), fraction)
}

// MarshalText returns String: amounts are texts in JSON and YAML, because many
// readers take numbers for floats.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMoney does.
func (m *Money) UnmarshalText(text []byte) error {
	amount, err := ParseMoney(string(text))
	if err != nil {
		return err
	}
	*m = amount
	return nil
}

// UnmarshalJSON reads a text or a number, both exactly.
func (m *Money) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(text) >= 2 && text[0] == '"' {
		text = text[1 : len(text)-1] // an escape in it is no digit
	}
	return m.UnmarshalText([]byte(text))
}

// plus adds and stays within the bounds.
func (m Money) plus(n Money) Money {
	sum := m + n
	switch {
	case m > 0 && n > 0 && sum < 0:
		return math.MaxInt64
	case m < 0 && n < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

func (m Money) minus(n Money) Money {
	if n == math.MinInt64 {
		return m.plus(math.MaxInt64)
	}
	return m.plus(-n)
}

// share returns m × part ÷ whole, rounded half to even.
func (m Money) share(part, whole uint64) Money {
	size := uint64(m) //nolint:gosec // the sign is handled next
	if m < 0 {
		size = -size
	}
	var w wide
	w.add(size, part)
	result := w.over(whole)
	if m < 0 {
		return -result
	}
	return result
}

// wide adds up products of two words: what a component costs before the one
// division that rounds it.
type wide struct{ high, low uint64 }

func (w *wide) add(a, b uint64) {
	high, low := bits.Mul64(a, b)
	var carry, lost uint64
	w.low, carry = bits.Add64(w.low, low, 0)
	w.high, lost = bits.Add64(w.high, high, carry)
	if lost > 0 {
		w.high, w.low = math.MaxUint64, math.MaxUint64
	}
}

// over divides, rounds half to even, and stays within the bounds of Money.
func (w wide) over(divisor uint64) Money {
	if w.high >= divisor {
		return math.MaxInt64
	}
	quotient, rest := bits.Div64(w.high, w.low, divisor)
	if half := divisor - rest; rest > half || rest == half && quotient&1 == 1 {
		quotient++
	}
	if quotient > math.MaxInt64 {
		return math.MaxInt64
	}
	return Money(quotient)
}

// split divides an amount among weights in proportion, so that the parts add up
// to it exactly: everybody gets the whole millionths of their share, and those
// that are left go one each to the largest remainders, the first of equal ones
// first (the method of Hamilton). One weight at least must be positive.
func split(amount Money, weights []uint64) []Money {
	weights, total := fitting(weights)
	parts := make([]Money, len(weights))
	remainders := make([]uint64, len(weights))
	order := make([]int, len(weights))
	left := amount
	for i, w := range weights {
		high, low := bits.Mul64(uint64(amount), w) //nolint:gosec // what a component costs is not negative
		quotient, rest := bits.Div64(high, low, total)
		parts[i], remainders[i], order[i] = Money(quotient), rest, i //nolint:gosec // at most the amount
		left -= parts[i]
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(remainders[b], remainders[a]), cmp.Compare(a, b)) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}

// fitting returns weights in the same proportions whose sum fits into a word,
// and the sum.
func fitting(weights []uint64) ([]uint64, uint64) {
	for {
		total, over := uint64(0), false
		for _, w := range weights {
			var carry uint64
			total, carry = bits.Add64(total, w, 0)
			over = over || carry > 0
		}
		if !over {
			return weights, total
		}
		weights = slices.Clone(weights)
		for i := range weights {
			weights[i] /= 2
		}
	}
}
