package spatial

// HistogramInput is what is remembered of one input of a cumulative histogram
// or summary: its last point, in 56 bytes and 8 a bucket. The zero value has
// seen nothing.
type HistogramInput struct {
	start  uint64 // the top bit says that the sum is known
	time   uint64
	sum    float64
	bounds *Bounds
	counts []uint64
}

// Last returns the last point, which is all of the state; its time is 0 if
// there is none. Its slices belong to the input.
func (in *HistogramInput) Last() HistogramPoint {
	p := HistogramPoint{Span: in.span(), Bounds: in.bounds, Counts: in.counts}
	p.Count, _ = sumCounts(in.counts)
	if in.start&flagBit != 0 {
		p.Moments = Moments{Sum: in.sum, Known: HasSum}
	}
	return p
}

// Restore makes p the last point. It is refused if Advance would.
func (in *HistogramInput) Restore(p *HistogramPoint) Verdict {
	v := p.Span.check()
	if v == Accepted {
		v = p.Check()
	}
	if v == Accepted {
		in.store(p)
	}
	return v
}

func (in *HistogramInput) span() Span { return Span{in.start &^ flagBit, in.time} }

func (in *HistogramInput) store(p *HistogramPoint) {
	in.start, in.time, in.bounds = p.Start, p.Time, p.Bounds
	m := p.clean()
	in.sum = m.Sum
	if m.Known&HasSum != 0 {
		in.start |= flagBit
	}
	var one [1]uint64
	counts := p.buckets(&one)
	if cap(in.counts) < len(counts) {
		in.counts = make([]uint64, len(counts))
	}
	in.counts = in.counts[:len(counts)]
	copy(in.counts, counts)
}

// Advance takes the next point and leaves in increment by how much the stream
// grew; increment is lent by the caller, its former content is lost, and it is
// meaningful only if the verdict is Counted.
//
// The stream began again if any bucket fell, hence also if the count did. The
// sum is no sign: negative measurements lower it (metrics.proto, sum). If the
// bounds changed within a stream, both points are compared over the bounds
// that they share, and the increment has those. Minimum and maximum cannot be
// known for an interval and are dropped (data model, "Histogram").
func (in *HistogramInput) Advance(increment *Histogram, p *HistogramPoint, w Watch) Verdict {
	v := in.span().judge(p.Span, w)
	if v >= Late {
		return v
	}
	if bad := p.Check(); bad != Accepted {
		return bad
	}
	switch v {
	case First, ResetByStart:
		increment.set(p)
	case Increased, StartShift:
		v = in.subtractFrom(increment, p, v)
		if v == ResetByValue {
			increment.set(p)
		}
	default: // a base line
	}
	in.store(p)
	return v
}

// subtractFrom leaves p minus the last point in increment and returns v, or
// why that is not the increment. It may coarsen the last point.
func (in *HistogramInput) subtractFrom(increment *Histogram, p *HistogramPoint, v Verdict) Verdict {
	bounds := in.bounds
	if !bounds.same(p.Bounds) {
		if last, _ := sumCounts(in.counts); p.Count < last {
			return ResetByValue
		}
		common, err := Common(bounds, p.Bounds)
		if err != nil {
			return BaselineBoundsChanged
		}
		in.counts = coarsen(in.counts, bounds, common)
		bounds = common
	}
	increment.begin(bounds)
	var one [1]uint64
	addCounts(increment.counts, bounds, p.buckets(&one), p.Bounds)
	grown := increment.counts[:len(in.counts)]
	count := uint64(0)
	for i, last := range in.counts {
		if grown[i] < last {
			return ResetByValue
		}
		grown[i] -= last
		count += grown[i]
	}
	increment.moments = moments{count: count}
	if m := p.clean(); m.Known&HasSum != 0 && in.start&flagBit != 0 {
		increment.known = HasSum
		increment.sum.add(m.Sum)
		increment.sum.add(-in.sum)
	}
	return v
}
