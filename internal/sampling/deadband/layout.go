package deadband

import (
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// layout is what must be equal in two histograms, so that they can be compared
// bucket by bucket.
type layout struct {
	bounds *spatial.Bounds // of a classic histogram
	known  spatial.Fields
	// Of an exponential histogram:
	scale              int32
	threshold          float64
	negative, positive side
}

// side is which buckets of one side are there.
type side struct {
	offset int32
	length uint32
}

func sideOf(b spatial.Buckets) side {
	return side{b.Offset, uint32(len(b.Counts))} //nolint:gosec // at most MaxListed
}

// same reports whether two layouts are equal. Equal bounds need not be shared.
func (l *layout) same(o *layout) bool {
	return l.known == o.known && l.scale == o.scale && l.threshold == o.threshold && l.negative == o.negative &&
		l.positive == o.positive && (l.bounds == o.bounds || l.bounds.Equal(o.bounds.Edges()))
}

// fixed are the readings of a histogram beside its buckets.
const fixed = 4

// shot is one point of a histogram, of whatever type, in the scratch of a shard.
type shot struct {
	layout  layout
	span    spatial.Span
	moments [fixed - 1]float64 // sum, min, max; 0 if not known
	count   uint64
	// counts are those of the buckets in the order of the values: the negative
	// side backwards, zero, the positive side.
	counts []uint64
	// values are what readers see: count, sum, min, max, and what lies at or
	// below the upper bound of each bucket.
	values []float64
}

// take reads a point. Of a malformed one it says so.
func (x *shot) take(p *Point) Reason {
	x.counts = x.counts[:0]
	m := &spatial.Moments{}
	if p.Kind == Histogram {
		h := p.Histogram
		if h.Check().Refused() {
			return Malformed
		}
		m, x.span, x.count = &h.Moments, h.Span, h.Count
		x.layout = layout{bounds: h.Bounds, known: h.Known}
		x.counts = append(x.counts, h.Counts...)
	} else {
		e := p.Exponential
		if e.Check().Refused() {
			return Malformed
		}
		m, x.span, x.count = &e.Moments, e.Span, e.Count
		x.layout = layout{
			known: e.Known, scale: e.Scale, threshold: e.ZeroThreshold, negative: sideOf(e.Negative), positive: sideOf(e.Positive),
		}
		x.counts = append(x.counts, e.Negative.Counts...)
		slices.Reverse(x.counts)
		x.counts = append(append(x.counts, e.ZeroCount), e.Positive.Counts...)
	}
	x.moments = [fixed - 1]float64{}
	for i, v := range [...]float64{m.Sum, m.Min, m.Max} {
		if m.Known&[...]spatial.Fields{spatial.HasSum, spatial.HasMin, spatial.HasMax}[i] == 0 {
			continue
		}
		if v-v != 0 {
			return NotFinite
		}
		x.moments[i] = v
	}
	x.values = appendValues(x.values[:0], x.count, &x.moments, x.counts)
	return Within
}

func appendValues(dst []float64, count uint64, moments *[fixed - 1]float64, counts []uint64) []float64 {
	dst = append(dst, float64(count), moments[0], moments[1], moments[2])
	below := uint64(0)
	for _, c := range counts {
		below += c
		dst = append(dst, float64(below))
	}
	return dst
}

// paced reports whether a reading is a counter. The extremes are not.
func paced(i int) bool { return i < 2 || i >= fixed }

// point is the point again, in the buffers that were lent.
func (l *layout) point(k Kind, span spatial.Span, count uint64, moments *[fixed - 1]float64, counts []uint64, into *Before) {
	into.Kind = k
	m := spatial.Moments{Sum: moments[0], Min: moments[1], Max: moments[2], Known: l.known}
	if k == Histogram {
		into.counts = append(into.counts[:0], counts...)
		into.Histogram = spatial.HistogramPoint{Span: span, Moments: m, Bounds: l.bounds, Counts: into.counts, Count: count}
		return
	}
	n := int(l.negative.length)
	into.negative = append(into.negative[:0], counts[:n]...)
	slices.Reverse(into.negative)
	into.counts = append(into.counts[:0], counts[n+1:]...)
	into.Exponential = spatial.ExponentialPoint{
		Span: span, Moments: m, Scale: l.scale, ZeroThreshold: l.threshold, ZeroCount: counts[n], Count: count,
		Positive: spatial.Buckets{Offset: l.positive.offset, Counts: into.counts},
		Negative: spatial.Buckets{Offset: l.negative.offset, Counts: into.negative},
	}
}

// within reports whether all readings are as close as they have to be.
func within(sent, last, now []float64, r *Rule, elapsed uint64) bool {
	for i, v := range now {
		if !(math.Abs(v-sent[i]) <= r.tolerance(v, v-last[i], elapsed, paced(i))) {
			return false
		}
	}
	return true
}
