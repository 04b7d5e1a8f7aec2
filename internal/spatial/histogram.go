package spatial

// HistogramPoint is one point of a classic histogram. Counts has one bucket
// more than Bounds has bounds; a point without bounds may leave it empty (data
// model, "Histogram": one bucket from -Inf to +Inf).
type HistogramPoint struct {
	Span
	Moments

	Bounds *Bounds
	Counts []uint64
	Count  uint64
}

// SummaryPoint returns what of a summary can be merged: count and sum, as a
// histogram without bounds. Quantiles cannot (data model, "Summary").
func SummaryPoint(span Span, count uint64, sum float64) HistogramPoint {
	return HistogramPoint{Span: span, Moments: Moments{Sum: sum, Known: HasSum}, Count: count}
}

// Check returns Accepted if p is well formed, apart from its times.
func (p *HistogramPoint) Check() Verdict {
	if len(p.Counts) != p.Bounds.Buckets() && (len(p.Counts) > 0 || p.Bounds.Buckets() > 1) {
		return BucketsMismatch
	}
	if len(p.Counts) > 0 {
		sum, overflow := sumCounts(p.Counts)
		switch {
		case overflow:
			return CountOverflow
		case sum != p.Count:
			return CountMismatch
		}
	}
	return p.clean().check(p.Count)
}

// KnowsSum says whether the point has a sum that is a number.
func (p *HistogramPoint) KnowsSum() bool { return p.clean().Known&HasSum != 0 }

func sumCounts(counts []uint64) (sum uint64, overflow bool) {
	for _, c := range counts {
		sum += c
		overflow = overflow || sum < c
	}
	return sum, overflow
}

// buckets returns the counts, also of a point without bounds that has none;
// lent holds them then.
func (p *HistogramPoint) buckets(lent *[1]uint64) []uint64 {
	if len(p.Counts) > 0 {
		return p.Counts
	}
	lent[0] = p.Count
	return lent[:]
}

// Histogram adds up classic histograms. Inputs of the same bounds are added
// bucket by bucket; others bring it to the bounds that all have, which is
// exact. The zero value is the sum of nothing and takes on the bounds of the
// first input.
type Histogram struct {
	moments
	bounds    *Bounds
	counts    []uint64 // empty until the bounds are known
	countOnly bool     // having no bounds is wanted, so everything can be added
}

// NewHistogram returns an empty histogram over given bounds, so that finer
// inputs are coarsened from the start: see Bounds.Keep. Without bounds it keeps
// count and sum of whatever is added.
func NewHistogram(bounds *Bounds) *Histogram {
	h := &Histogram{countOnly: bounds.Buckets() == 1}
	h.begin(bounds)
	return h
}

// Reset empties the histogram. Bounds and buffers stay, so an output keeps its
// shape from interval to interval.
func (h *Histogram) Reset() {
	h.moments = noMoments()
	clear(h.counts)
}

// begin empties the histogram over other bounds.
func (h *Histogram) begin(bounds *Bounds) {
	h.moments = noMoments()
	h.bounds = bounds
	h.counts = resize(h.counts, bounds.Buckets())
}

// Add adds a point: a delta, or what was kept of a histogram. It is refused if
// it is malformed, has no bounds in common, or its counts do not fit.
func (h *Histogram) Add(p *HistogramPoint) Verdict {
	if v := p.Check(); v != Accepted {
		return v
	}
	var one [1]uint64
	m := momentsOf(p.clean(), p.Count)
	return h.add(p.Bounds, p.buckets(&one), &m, false)
}

// Merge adds all that o holds; it is refused like a point.
func (h *Histogram) Merge(o *Histogram) Verdict {
	if len(o.counts) == 0 {
		return Accepted
	}
	return h.add(o.bounds, o.counts, &o.moments, o.countOnly)
}

func (h *Histogram) add(bounds *Bounds, counts []uint64, m *moments, countOnly bool) Verdict {
	if len(h.counts) == 0 {
		h.begin(bounds)
	}
	if !h.room(m) {
		return CountOverflow
	}
	if !h.bounds.same(bounds) {
		var common *Bounds
		if !h.countOnly && !countOnly {
			var err error
			if common, err = Common(h.bounds, bounds); err != nil {
				return NoCommonBounds
			}
		}
		h.counts = coarsen(h.counts, h.bounds, common)
		h.bounds = common
	}
	h.countOnly = h.countOnly || countOnly
	addCounts(h.counts, h.bounds, counts, bounds)
	h.merge(m)
	return Accepted
}

// Forget makes optional fields unknown, as the first measurement of an input
// without them will: better not shown from the start than shown and gone.
func (h *Histogram) Forget(fields Fields) { h.known &^= fields }

// set makes h the point p, which is sound, without its extremes.
func (h *Histogram) set(p *HistogramPoint) {
	h.begin(p.Bounds)
	var one [1]uint64
	copy(h.counts, p.buckets(&one))
	h.moments = momentsOf(p.clean(), p.Count)
	h.known &= HasSum
}

// Point returns what was added up, without times. Its slices belong to h and
// are valid until h changes.
func (h *Histogram) Point() HistogramPoint {
	return HistogramPoint{Moments: h.view(), Bounds: h.bounds, Counts: h.counts, Count: h.count}
}
