package spatial

import "math"

// Number is the value of a sum or a gauge: an int64 or a double, as in OTLP.
// The zero value is the integer 0.
type Number struct {
	bits   uint64
	double bool
}

// Int returns an integer.
func Int(v int64) Number { return Number{bits: uint64(v)} } //nolint:gosec // the bits are kept, not the value

// Double returns a double.
func Double(v float64) Number { return Number{bits: math.Float64bits(v), double: true} }

// IsDouble reports whether n is a double.
func (n Number) IsDouble() bool { return n.double }

// Int returns the value of an integer; of a double it makes no sense.
func (n Number) Int() int64 { return int64(n.bits) } //nolint:gosec // the bits are kept, not the value

// Float returns the value as the nearest double.
func (n Number) Float() float64 {
	if n.double {
		return math.Float64frombits(n.bits)
	}
	return float64(n.Int())
}

// Finite returns Accepted, NotANumber or Infinite. Sums refuse what is not
// finite: one such value would make an output useless for ever after.
func (n Number) Finite() Verdict {
	const exponent = 0x7ff << 52
	if !n.double || n.bits&exponent != exponent {
		return Accepted
	}
	if n.bits&^(exponent|flagBit) != 0 {
		return NotANumber
	}
	return Infinite
}

// Monotonic returns Accepted if n may be the value of a monotonic sum. A
// negative one would make its output fall, which readers take for a reset.
func (n Number) Monotonic() Verdict {
	if v := n.Finite(); v != Accepted {
		return v
	}
	if n.double && n.Float() < 0 || !n.double && n.Int() < 0 {
		return Negative
	}
	return Accepted
}

// Compare returns -1, 0 or 1. It is exact between integers and doubles, which a
// conversion is not past 2^53. NaN is below everything and equal to itself.
func (n Number) Compare(o Number) int {
	switch {
	case !n.double && !o.double:
		return order(n.Int(), o.Int())
	case n.double && o.double:
		return compareFloats(n.Float(), o.Float())
	case n.double:
		return -compareMixed(o.Int(), n.Float())
	}
	return compareMixed(n.Int(), o.Float())
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareFloats(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return -1
	case math.IsNaN(b):
		return 1
	}
	return order(a, b)
}

// compareMixed splits the double into a whole part that fits an int64 and a rest.
func compareMixed(i int64, f float64) int {
	switch {
	case math.IsNaN(f) || f < -(1<<63):
		return 1
	case f >= 1<<63:
		return -1
	}
	whole := math.Floor(f)
	if c := order(i, int64(whole)); c != 0 {
		return c
	}
	return order(whole, f)
}

// Add returns a + b. Integers stay integers. With a double, or past the range
// of int64, the result is a double; overflow reports the latter, for counting.
func Add(a, b Number) (sum Number, overflow bool) {
	if !a.double && !b.double {
		low := a.bits + b.bits
		if (a.bits^low)&(b.bits^low)>>63 == 0 { // the sign of both is that of the sum
			return Number{bits: low}, false
		}
	}
	if a.double && b.double {
		return addDoubles(a.Float(), b.Float())
	}
	var t Total
	t.Add(a)
	overflow = t.Add(b)
	return t.Value(), overflow
}

// addDoubles adds two doubles; rounding is that of one addition.
func addDoubles(a, b float64) (sum Number, overflow bool) {
	c := a + b
	return Double(c), c-c != 0 && a-a == 0 && b-b == 0
}

// Sub returns a − b by the rules of Add.
func Sub(a, b Number) (difference Number, overflow bool) {
	if !a.double && !b.double {
		low := a.bits - b.bits
		if (a.bits^b.bits)&(a.bits^low)>>63 == 0 {
			return Number{bits: low}, false
		}
	}
	if a.double && b.double {
		return addDoubles(a.Float(), -b.Float())
	}
	var t Total
	t.Add(a)
	overflow = t.Sub(b)
	return t.Value(), overflow
}

// Max returns the larger of two numbers. An output that must not fall emits
// the larger of its last emitted value and its sum: where integers turn into a
// double past 2^53, rounding could take a unit away.
func Max(a, b Number) Number {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}
