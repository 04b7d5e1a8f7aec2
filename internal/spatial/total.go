package spatial

import (
	"math"
	"math/bits"
)

// Total adds numbers. Integers are summed in 128 bits, so the result does not
// depend on the order also when it leaves int64 on the way; doubles are summed
// with their rounding errors. The zero value is the sum of nothing.
type Total struct {
	high    int64
	low     uint64
	real    compensated
	doubles bool
}

// Add adds n and reports whether that took the total out of range: integers
// past int64, finite doubles past the largest double.
func (t *Total) Add(n Number) (overflow bool) {
	if n.double {
		return t.addDouble(n.Float())
	}
	return t.addInt(int64(n.bits)>>63, n.bits) //nolint:gosec // sign extension
}

// Sub takes n away again. Integers are exact; see Level for doubles.
func (t *Total) Sub(n Number) (overflow bool) {
	if n.double {
		return t.addDouble(-n.Float())
	}
	low, borrow := bits.Sub64(0, n.bits, 0)
	return t.addInt(-(int64(n.bits)>>63)-int64(borrow), low) //nolint:gosec // 128-bit negation
}

// Merge adds all that o holds.
func (t *Total) Merge(o *Total) (overflow bool) {
	overflow = t.addInt(o.high, o.low)
	if o.doubles {
		finite := t.real.finite() && o.real.finite()
		t.real.merge(o.real)
		t.doubles = true
		overflow = overflow || finite && !t.real.finite()
	}
	return overflow
}

func (t *Total) addInt(high int64, low uint64) (overflow bool) {
	before := t.fits()
	var carry uint64
	t.low, carry = bits.Add64(t.low, low, 0)
	t.high += high + int64(carry) //nolint:gosec // 0 or 1
	return before && !t.fits()
}

func (t *Total) addDouble(v float64) (overflow bool) {
	finite := t.real.finite() && v-v == 0
	t.real.add(v)
	t.doubles = true
	return finite && !t.real.finite()
}

func (t *Total) fits() bool { return t.high == int64(t.low)>>63 } //nolint:gosec // sign extension

// Value returns the total: an integer if only integers were added and it fits.
//
// While only integers, or only doubles, that are not negative are added, the
// value never falls; where the kinds meet, see Max.
func (t *Total) Value() Number {
	if !t.doubles && t.fits() {
		return Number{bits: t.low}
	}
	return Double(t.Float())
}

// Float returns the total as a double.
func (t *Total) Float() float64 {
	if !t.real.finite() {
		return t.real.sum
	}
	if t.high == 0 && t.low == 0 {
		return t.real.sum
	}
	// Parts of 32 bits are exact as doubles.
	var c compensated
	if t.fits() {
		c.add(float64(int64(t.low) >> 32 << 32)) //nolint:gosec // it fits
	} else {
		c.add(math.Ldexp(float64(t.high>>32), 96))
		c.add(math.Ldexp(float64(t.high&math.MaxUint32), 64))
		c.add(float64(t.low >> 32 << 32))
	}
	c.add(float64(t.low & math.MaxUint32))
	c.merge(t.real)
	return c.sum
}

// compensated is a sum of doubles and what rounding took from it: sum + rest,
// |rest| ≤ ulp(sum)/2. Adding what is not negative never lowers sum: the rounded
// sum is at least the old one, and the rest at most half a unit below it.
//
// Plain addition was rejected: 10^9 increments drift by 1e-7. Kahan's variant
// loses the small summand when a large one follows; this is Neumaier's
// correction with the pair brought back to its normal form each time.
type compensated struct {
	sum, rest float64
}

func (c *compensated) add(v float64) {
	t := c.sum + v
	if t-t != 0 { // NaN, an infinity, or past the largest double: IEEE 754 from here on
		c.sum, c.rest = t, 0
		return
	}
	z := t - c.sum
	rest := c.rest + ((c.sum - (t - z)) + (v - z))
	c.sum = t + rest
	c.rest = rest - (c.sum - t)
	if c.rest-c.rest != 0 {
		c.rest = 0
	}
}

func (c *compensated) merge(o compensated) {
	c.add(o.sum)
	c.add(o.rest)
}

func (c *compensated) finite() bool { return c.sum-c.sum == 0 }
