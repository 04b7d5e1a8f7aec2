package tagconsolidationprocessor

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
)

// amount is what a point says, or what several say together.
type amount struct {
	number    *big.Float // of a sum or a gauge
	double    bool
	measured  measured // of everything that has buckets
	classic   classic
	exponents *exponents
}

// measured is what a histogram says beside its buckets; what is nil is not known.
type measured struct {
	count         uint64
	sum, min, max *big.Float
}

func (a *amount) readMeasured(h interface {
	Count() uint64
	HasSum() bool
	Sum() float64
	HasMin() bool
	Min() float64
	HasMax() bool
	Max() float64
},
) {
	a.measured = measured{count: h.Count(), sum: known(h.Sum(), h.HasSum()), min: known(h.Min(), h.HasMin()), max: known(h.Max(), h.HasMax())}
}

func (m *measured) contradicts() bool {
	return m.count == 0 && m.sum != nil && m.sum.Sign() != 0 || m.count > 0 && m.min != nil && m.max != nil && m.min.Cmp(m.max) > 0
}

// gains are measurements added up: a field is known while all that measured
// anything know it.
type gains struct {
	measured
	noSum, noMin, noMax bool
}

func (g *gains) add(m measured) {
	if m.count == 0 {
		return
	}
	g.count += m.count
	g.noSum, g.noMin, g.noMax = g.noSum || m.sum == nil, g.noMin || m.min == nil, g.noMax || m.max == nil
	if m.sum != nil {
		g.sum = plus(g.sum, m.sum)
	}
	if m.min != nil && (g.min == nil || m.min.Cmp(g.min) < 0) {
		g.min = m.min
	}
	if m.max != nil && (g.max == nil || m.max.Cmp(g.max) > 0) {
		g.max = m.max
	}
}

func (g *gains) view() measured {
	m := g.measured
	if m.sum == nil {
		m.sum = exact(0)
	}
	if g.noSum {
		m.sum = nil
	}
	if g.noMin {
		m.min = nil
	}
	if g.noMax {
		m.max = nil
	}
	return m
}

func plus(a, b *big.Float) *big.Float {
	if a == nil {
		a = exact(0)
	}
	return new(big.Float).SetPrec(300).Add(a, b)
}

func minus(a, b *big.Float) *big.Float { return new(big.Float).SetPrec(300).Sub(a, b) }

// classic is the buckets of a histogram by their upper bounds, +Inf among them.
type classic map[float64]uint64

func (c classic) bounds() []float64 {
	all := slices.Sorted(maps.Keys(c))
	return all[:max(0, len(all)-1)]
}

// over brings the buckets to fewer bounds: each count goes to the next bound.
func (c classic) over(bounds []float64) classic {
	out := classic{math.Inf(1): 0}
	for _, b := range bounds {
		out[b] = 0
	}
	for upper, n := range c {
		to := math.Inf(1)
		for _, b := range bounds {
			if b >= upper {
				to = min(to, b)
			}
		}
		out[to] += n
	}
	return out
}

// shared are the bounds that both lists have; false if two histograms of them
// cannot be added without guessing.
func shared(a, b []float64) ([]float64, bool) {
	var both []float64
	for _, x := range a {
		if slices.Contains(b, x) {
			both = append(both, x)
		}
	}
	return both, len(both) > 0 || len(a)+len(b) == 0
}

// exponents is an exponential histogram: measurements by the integer below
// their logarithm. Bucket i at a scale holds the values from base^i to
// base^(i+1), with base = 2^(2^-scale).
type exponents struct {
	scale     int
	zeroCount uint64
	// zero is where the zero bucket ends, in buckets of the finest scale; those
	// below it are in it. noZero: it has no width.
	zero  int
	sides [2]map[int]uint64 // positive, negative
}

const (
	finest = 20
	noZero = math.MinInt
	// widest is how many buckets a side has at most.
	widest = 160
)

// empty is a histogram that says nothing: any scale is right for it.
func emptyExponents() *exponents {
	return &exponents{scale: finest, zero: noZero, sides: [2]map[int]uint64{{}, {}}}
}

func (x *exponents) hasBuckets() bool { return len(x.sides[0])+len(x.sides[1]) > 0 }

// unscaled lets a histogram without buckets have any scale.
func (x *exponents) unscaled() *exponents {
	out := *x
	if !out.hasBuckets() {
		out.scale = finest
	}
	return &out
}

// setThreshold ends the zero bucket at the next boundary that the scale has.
func (x *exponents) setThreshold(t float64) {
	if !x.hasBuckets() {
		x.scale = finest
	}
	if x.zero = noZero; t > 0 {
		x.zero = ceilTo(int(math.Ceil(math.Log2(t)*(1<<finest)-1e-8)), x.scale)
	}
}

// ceilTo rounds a boundary of the finest scale up to one of another.
func ceilTo(zero, scale int) int {
	if zero == noZero {
		return noZero
	}
	width := 1 << (finest - scale)
	return int(math.Ceil(float64(zero)/float64(width))) * width
}

// bucketAt is the bucket at a smaller scale of the values in bucket i, found by
// the logarithm of a value in its middle.
func bucketAt(i, scale, to int) int {
	logarithm := (float64(i) + 0.5) / math.Exp2(float64(scale))
	return int(math.Floor(logarithm * math.Exp2(float64(to))))
}

// at brings a histogram to a smaller scale and a wider zero bucket.
func (x *exponents) at(scale, zero int) *exponents {
	out := &exponents{scale: scale, zero: zero, zeroCount: x.zeroCount, sides: [2]map[int]uint64{{}, {}}}
	for side, buckets := range x.sides {
		for i, n := range buckets {
			to := bucketAt(i, x.scale, scale)
			if zero != noZero && to<<(finest-scale) < zero {
				out.zeroCount += n
				continue
			}
			out.sides[side][to] += n
		}
	}
	return out
}

func (x *exponents) width() int {
	most := 0
	for _, buckets := range x.sides {
		if len(buckets) > 0 {
			keys := slices.Collect(maps.Keys(buckets))
			most = max(most, slices.Max(keys)-slices.Min(keys)+1)
		}
	}
	return most
}

// meet brings two histograms to the finest shape that holds both within a
// number of buckets.
func meet(a, b *exponents, limit int) (*exponents, *exponents) {
	for scale := min(a.scale, b.scale); ; scale-- {
		zero := max(ceilTo(a.zero, scale), ceilTo(b.zero, scale))
		p, q := a.at(scale, zero), b.at(scale, zero)
		if p.plus(q).width() <= limit || scale == -10 {
			return p, q
		}
	}
}

// plus adds what has the same shape.
func (x *exponents) plus(o *exponents) *exponents {
	out := x.at(x.scale, x.zero)
	out.zeroCount += o.zeroCount
	for side, buckets := range o.sides {
		for i, n := range buckets {
			out.sides[side][i] += n
		}
	}
	return out
}

// minus takes away what has the same shape; false if something would be
// negative.
func (x *exponents) minus(o *exponents) (*exponents, bool) {
	out := x.at(x.scale, x.zero)
	ok := out.zeroCount >= o.zeroCount
	out.zeroCount -= o.zeroCount
	for side, buckets := range o.sides {
		for i, n := range buckets {
			ok = ok && out.sides[side][i] >= n
			if out.sides[side][i] -= n; out.sides[side][i] == 0 {
				delete(out.sides[side], i)
			}
		}
	}
	if !out.hasBuckets() {
		out.scale = finest
	}
	return out, ok
}

// atLeast raises each bucket to that of a histogram of the same shape, and says
// whether any was less.
func (x *exponents) atLeast(o *exponents) (raised bool) {
	if x.zeroCount < o.zeroCount {
		x.zeroCount, raised = o.zeroCount, true
	}
	for side, buckets := range o.sides {
		for i, n := range buckets {
			if x.sides[side][i] < n {
				x.sides[side][i], raised = n, true
			}
		}
	}
	return raised
}

func (x *exponents) count() uint64 {
	n := x.zeroCount
	for _, buckets := range x.sides {
		for _, c := range buckets {
			n += c
		}
	}
	return n
}

// count is how many measurements are in the buckets.
func (a *amount) count() uint64 {
	if a.exponents != nil {
		return a.exponents.count()
	}
	n := uint64(0)
	for _, c := range a.classic {
		n += c
	}
	return n
}

// String writes an amount for a message.
func (a *amount) String() string {
	moments := fmt.Sprintf(" count %d sum %v min %v max %v", a.measured.count, a.measured.sum, a.measured.min, a.measured.max)
	switch {
	case a.classic != nil:
		var text strings.Builder
		for _, b := range slices.Sorted(maps.Keys(a.classic)) {
			fmt.Fprintf(&text, "%g:%d ", b, a.classic[b])
		}
		return text.String() + moments
	case a.exponents != nil:
		return fmt.Sprintf("scale %d zero %d below %d, %v", a.exponents.scale, a.exponents.zeroCount, a.exponents.zero, a.exponents.sides) + moments
	case a.number == nil:
		return "nothing"
	case a.double:
		return a.number.Text('g', 20) + " (double)"
	}
	return a.number.Text('f', 0)
}
