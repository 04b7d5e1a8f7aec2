package spatial

import "math"

// Bucket limits of an exponential histogram, a side.
const (
	// DefaultBuckets is what SDKs use by default (metrics SDK, "Base2 Exponential
	// Bucket Histogram Aggregation").
	DefaultBuckets = 160
	// MinBuckets is the smallest limit that MinScale can keep.
	MinBuckets = 4
)

// Buckets are the buckets of one side, from index Offset on.
type Buckets struct {
	Offset int32
	Counts []uint64
}

// ExponentialPoint is one point of an exponential histogram.
type ExponentialPoint struct {
	Span
	Moments

	Scale         int32
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      Buckets
	Negative      Buckets
	Count         uint64
}

// Check returns Accepted if p is well formed, apart from its times.
func (p *ExponentialPoint) Check() Verdict {
	_, v := p.shape()
	return v
}

// shape returns a view of p: its lists without the zeros at their ends. A point
// without buckets has no resolution that it could force on others, so its scale
// is taken for the finest; its threshold, which has a value, is not.
//
// Data model, "ExponentialHistogram: Consumer Recommendations": scales and
// indexes beyond what a double can be are rejected.
func (p *ExponentialPoint) shape() (shape, Verdict) {
	switch {
	case p.Scale < MinScale || p.Scale > MaxScale:
		return shape{}, ScaleOutOfRange
	case !(p.ZeroThreshold >= 0 && p.ZeroThreshold <= math.MaxFloat64):
		return shape{}, BadZeroThreshold
	case max(len(p.Positive.Counts), len(p.Negative.Counts)) > MaxListed:
		return shape{}, TooManyBuckets
	}
	positive, overflowP := sumCounts(p.Positive.Counts)
	negative, overflowN := sumCounts(p.Negative.Counts)
	buckets := positive + negative
	count := buckets + p.ZeroCount
	switch {
	case overflowP || overflowN || buckets < positive || count < buckets:
		return shape{}, CountOverflow
	case count != p.Count:
		return shape{}, CountMismatch
	}
	s := shape{scale: p.Scale, zeroCount: p.ZeroCount}
	var fits, fitsToo bool
	s.positive, fits = p.Positive.trimmed(p.Scale)
	s.negative, fitsToo = p.Negative.trimmed(p.Scale)
	if !fits || !fitsToo {
		return shape{}, OffsetOutOfRange
	}
	s.zero = noZero
	s.unscale()
	s.zero = zeroIndex(p.ZeroThreshold, s.scale)
	return s, p.clean().check(p.Count)
}

// trimmed returns the buckets between the first and the last that hold
// something, and whether doubles can fall there. Any offset is fine without.
func (b Buckets) trimmed(scale int32) (side, bool) {
	counts := b.Counts
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	low := int64(b.Offset)
	for len(counts) > 0 && counts[0] == 0 {
		counts = counts[1:]
		low++
	}
	if len(counts) == 0 {
		return side{}, true
	}
	least, most := doubles(scale)
	if low < least || low+int64(len(counts))-1 > most {
		return side{}, false
	}
	return side{int32(low), counts}, true //nolint:gosec // within doubles, which fit
}

// doubles returns the indexes into which positive doubles, also subnormal ones, fall.
func doubles(scale int32) (least, most int64) {
	const lowest, highest = -1075, 1023 // at scale 0: above 2^-1075, up to 2^1024
	if scale >= 0 {
		return lowest << scale, (highest+1)<<scale - 1
	}
	return lowest >> -scale, highest >> -scale
}

// zeroIndex returns the lowest boundary at or above the threshold. It is found
// at the finest scale, so that all scales agree.
//
// A threshold that another program computed as a boundary may miss it by some
// units in the last place; 1e-8 of the narrowest bucket, 7e-15 relative, is
// taken for such rounding. Otherwise the zero bucket would widen at each
// collector that a point passes.
func zeroIndex(threshold float64, scale int32) int32 {
	const tolerance = 1e-8
	if threshold == 0 {
		return noZero
	}
	fraction, exponent := math.Frexp(threshold) // in [½, 1), and the exponent from -1073 to 1024
	part := math.Ceil(math.Log2(fraction)*(1<<MaxScale) - tolerance)
	return coarser(int32(exponent)<<MaxScale+int32(part), MaxScale-scale) //nolint:gosec // at most 2^30
}

// boundary is the inverse of zeroIndex: the value that a boundary has.
func boundary(zero, scale int32) float64 {
	switch {
	case zero == noZero:
		return 0
	case scale <= 0:
		return min(math.Ldexp(1, int(zero)<<-scale), math.MaxFloat64)
	}
	whole := zero >> scale
	part := float64(zero-whole<<scale) / float64(int32(1)<<scale)
	return min(math.Ldexp(math.Exp2(part), int(whole)), math.MaxFloat64)
}

// Exponential adds up exponential histograms at the smallest scale and the
// largest zero threshold of all, and at a still smaller scale where the
// buckets would be more than the limit a side. Every bucket holds exactly the
// measurements that fall into it. Use NewExponential.
type Exponential struct {
	moments
	shape
	limit int
}

// NewExponential returns an empty histogram of at most limit buckets a side;
// less than MinBuckets means DefaultBuckets.
func NewExponential(limit int) *Exponential {
	h := &Exponential{limit: bucketLimit(limit)}
	h.Reset()
	return h
}

func bucketLimit(limit int) int {
	if limit < MinBuckets {
		return DefaultBuckets
	}
	return limit
}

// Reset empties the histogram; buffers stay.
func (h *Exponential) Reset() {
	h.moments = noMoments()
	h.emptied()
}

// Add adds a point: a delta, or what was kept of a histogram. It is refused if
// it is malformed or its counts do not fit.
func (h *Exponential) Add(p *ExponentialPoint) Verdict {
	s, v := p.shape()
	if v != Accepted {
		return v
	}
	m := momentsOf(p.clean(), p.Count)
	return h.join(&s, &m)
}

// Merge adds all that o holds; it is refused if the counts do not fit.
func (h *Exponential) Merge(o *Exponential) Verdict { return h.join(&o.shape, &o.moments) }

func (h *Exponential) join(s *shape, m *moments) Verdict {
	if !h.room(m) {
		return CountOverflow
	}
	h.accumulate(s, h.limit)
	h.merge(m)
	return Accepted
}

func (s *shape) accumulate(o *shape, limit int) {
	s.reframe(fit(s, o, limit), limit)
	s.add(o)
}

// Point returns what was added up, without times. Its slices belong to h and
// are valid until h changes.
func (h *Exponential) Point() ExponentialPoint {
	p := h.point()
	p.Moments, p.Count = h.view(), h.count
	return p
}

func (s *shape) point() ExponentialPoint {
	return ExponentialPoint{
		Scale: s.scale, ZeroThreshold: boundary(s.zero, s.scale), ZeroCount: s.zeroCount,
		Positive: Buckets{s.positive.low, s.positive.counts}, Negative: Buckets{s.negative.low, s.negative.counts},
	}
}
