package checkpoint

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// shape is what the value of an output is.
type shape uint8

const (
	number shape = iota
	histogram
	exponential
)

func shapeOf(k consolidation.Kind) shape {
	switch k {
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram, consolidation.Summary:
		return histogram
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		return exponential
	default:
		return number
	}
}

// monotonic reports whether values of this kind never fall, so none is below
// zero.
func monotonic(k consolidation.Kind) bool {
	return k == consolidation.DeltaSum || k == consolidation.CumulativeSum
}

// appendNumber writes the value of a number; that it is a double has to be said apart.
func appendNumber(b []byte, n spatial.Number) []byte {
	if n.IsDouble() {
		return appendFloat(b, n.Float())
	}
	return appendVarint(b, n.Int())
}

func (d *decoder) number(double bool) spatial.Number {
	if double {
		return spatial.Double(d.float())
	}
	return spatial.Int(d.varint())
}

// sum reads the value of an output. NaN compares with nothing, so an output
// that holds it could never be raised again.
func (d *decoder) sum(double bool, k consolidation.Kind) spatial.Number {
	n := d.number(double)
	switch v := n.Finite(); {
	case v == spatial.NotANumber:
		d.fail("a sum that is not a number")
	case monotonic(k) && n.Compare(spatial.Int(0)) < 0:
		d.fail("a monotonic sum below zero")
	}
	return n
}

func (e *encoder) span(s spatial.Span) {
	e.buf = appendAfter(e.buf, s.Start, &e.start)
	e.buf = appendAfter(e.buf, s.Time, &e.time)
}

func (d *decoder) span() spatial.Span {
	s := spatial.Span{Start: d.after(&d.start), Time: d.after(&d.time)}
	if s.Start > s.Time || s.Time > math.MaxInt64 {
		d.fail("a point that ends before it starts, or past the year 2262")
	}
	return s
}

const allFields = spatial.HasSum | spatial.HasMin | spatial.HasMax

func (e *encoder) moments(m spatial.Moments) {
	e.buf = append(e.buf, byte(m.Known))
	for i, v := range [...]float64{m.Sum, m.Min, m.Max} {
		if m.Known&(1<<i) != 0 {
			e.buf = appendFloat(e.buf, v)
		}
	}
}

func (d *decoder) moments() spatial.Moments {
	m := spatial.Moments{Known: spatial.Fields(d.byte())}
	if m.Known&^allFields != 0 {
		d.fail("unknown fields of a histogram")
		return spatial.Moments{}
	}
	for i, v := range [...]*float64{&m.Sum, &m.Min, &m.Max} {
		if m.Known&(1<<i) != 0 {
			*v = d.float()
		}
	}
	return m
}

func (e *encoder) counts(counts []uint64) {
	e.buf = appendUvarint(e.buf, uint64(len(counts)))
	for _, c := range counts {
		e.buf = appendUvarint(e.buf, c)
	}
}

// counts also returns their sum.
func (d *decoder) counts() (counts []uint64, sum uint64) {
	n := d.count(1)
	if n > spatial.MaxListed {
		d.fail("more buckets than are looked at")
	}
	if n == 0 || d.err != nil {
		return nil, 0
	}
	counts = make([]uint64, n)
	for i := range counts {
		counts[i] = d.uvarint()
		sum = d.add(sum, counts[i])
	}
	return counts, sum
}

func (d *decoder) add(a, b uint64) uint64 {
	if a+b < a {
		d.fail("counts that do not fit in 64 bits")
	}
	return a + b
}

// shape writes bounds; none are bounds too.
func (e *encoder) shape(b *spatial.Bounds) {
	if len(b.Edges()) == 0 {
		b = nil
	}
	if refer(e, e.bounds, b) {
		return
	}
	e.buf = appendUvarint(e.buf, uint64(len(b.Edges())))
	for _, edge := range b.Edges() {
		e.buf = appendFloat(e.buf, edge)
	}
}

func (d *decoder) shape() *spatial.Bounds {
	i, follows := d.index(len(d.bounds))
	if follows {
		edges := make([]float64, d.count(1))
		for i := range edges {
			edges[i] = d.float()
		}
		var b *spatial.Bounds
		if d.err == nil && len(edges) > 0 {
			var v spatial.Verdict
			if b, v = d.share.bounds(edges); v != spatial.Accepted {
				d.fail("bounds of a histogram: " + v.String())
			}
		}
		d.bounds = append(d.bounds, b)
	}
	if i < 0 {
		return nil
	}
	return d.bounds[i]
}

// histogram leaves out the times, which an output does not have, and the count
// where it is the sum of the buckets.
func (e *encoder) histogram(p *spatial.HistogramPoint) {
	e.shape(p.Bounds)
	e.moments(p.Moments)
	e.counts(p.Counts)
	if len(p.Counts) == 0 {
		e.buf = appendUvarint(e.buf, p.Count)
	}
}

func (d *decoder) histogram(p *spatial.HistogramPoint) {
	p.Bounds, p.Moments = d.shape(), d.moments()
	p.Counts, p.Count = d.counts()
	if len(p.Counts) == 0 {
		p.Count = d.uvarint()
	}
	d.sound(p.Check())
}

// sound refuses what the arithmetic would refuse later, without a word. A sum
// without measurements is an exception: it takes part in nothing.
func (d *decoder) sound(v spatial.Verdict) {
	if v != spatial.Accepted && v != spatial.SumWithoutCount {
		d.fail("a histogram: " + v.String())
	}
}

func (e *encoder) exponential(p *spatial.ExponentialPoint) {
	e.moments(p.Moments)
	e.buf = appendVarint(e.buf, int64(p.Scale))
	e.buf = appendFloat(e.buf, p.ZeroThreshold)
	e.buf = appendUvarint(e.buf, p.ZeroCount)
	e.buckets(&p.Positive)
	e.buckets(&p.Negative)
}

func (d *decoder) exponential(p *spatial.ExponentialPoint) {
	p.Moments, p.Scale, p.ZeroThreshold, p.ZeroCount = d.moments(), d.int32(), d.float(), d.uvarint()
	p.Count = d.add(d.add(p.ZeroCount, d.buckets(&p.Positive)), d.buckets(&p.Negative))
	d.sound(p.Check())
}

func (e *encoder) buckets(b *spatial.Buckets) {
	e.buf = appendVarint(e.buf, int64(b.Offset))
	e.counts(b.Counts)
}

func (d *decoder) buckets(b *spatial.Buckets) (sum uint64) {
	b.Offset = d.int32()
	b.Counts, sum = d.counts()
	return sum
}

func (d *decoder) int32() int32 {
	v := d.varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("an offset or a scale out of range")
		return 0
	}
	return int32(v)
}
