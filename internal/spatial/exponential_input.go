package spatial

// ExponentialInput is what is remembered of one input of a cumulative
// exponential histogram: its last point, in 104 bytes and 8 a bucket. The zero
// value has seen nothing.
type ExponentialInput struct {
	start uint64 // the top bit says that the sum is known
	time  uint64
	sum   float64
	shape shape
}

// Last returns the last point, which is all of the state; its time is 0 if
// there is none. Its slices belong to the input.
func (in *ExponentialInput) Last() ExponentialPoint {
	p := in.shape.point()
	p.Span = in.span()
	positive, _ := sumCounts(in.shape.positive.counts)
	negative, _ := sumCounts(in.shape.negative.counts)
	p.Count = in.shape.zeroCount + positive + negative
	if in.start&flagBit != 0 {
		p.Moments = Moments{Sum: in.sum, Known: HasSum}
	}
	return p
}

// Restore makes p the last point, with at most limit buckets a side. It is
// refused if Advance would.
func (in *ExponentialInput) Restore(p *ExponentialPoint, limit int) Verdict {
	if v := p.Span.check(); v != Accepted {
		return v
	}
	s, v := p.shape()
	if v == Accepted {
		in.store(p, &s, bucketLimit(limit))
	}
	return v
}

func (in *ExponentialInput) span() Span { return Span{in.start &^ flagBit, in.time} }

func (in *ExponentialInput) store(p *ExponentialPoint, s *shape, limit int) {
	in.start, in.time = p.Start, p.Time
	m := p.clean()
	in.sum = m.Sum
	if m.Known&HasSum != 0 {
		in.start |= flagBit
	}
	in.shape.emptied()
	in.shape.accumulate(s, limit)
	in.shape.unscale()
}

// Advance takes the next point and leaves in increment by how much the stream
// grew; increment is lent by the caller, its former content is lost, and it is
// meaningful only if the verdict is Counted. Its limit also bounds what the
// input remembers.
//
// Both points are compared at the smaller scale and the larger threshold of the
// two: an SDK lowers its scale within a stream as the range of its values
// grows. The stream began again if any bucket or the zero count fell there.
// Minimum and maximum are dropped, as for HistogramInput.
func (in *ExponentialInput) Advance(increment *Exponential, p *ExponentialPoint, w Watch) Verdict {
	v := in.span().judge(p.Span, w)
	if v >= Late {
		return v
	}
	s, bad := p.shape()
	if bad != Accepted {
		return bad
	}
	m := momentsOf(p.clean(), p.Count)
	m.known &= HasSum
	switch v {
	case First, ResetByStart:
		increment.set(&s, &m)
	case Increased, StartShift:
		if !in.subtractFrom(increment, &s, &m) {
			v = ResetByValue
			increment.set(&s, &m)
		}
	default: // a base line
	}
	in.store(p, &s, increment.limit)
	return v
}

func (h *Exponential) set(s *shape, m *moments) {
	h.emptied()
	h.accumulate(s, h.limit)
	h.moments = *m
}

// subtractFrom leaves s minus the last point in increment; it reports false if
// something fell.
func (in *ExponentialInput) subtractFrom(increment *Exponential, s *shape, m *moments) bool {
	f := fit(&in.shape, s, increment.limit)
	increment.emptied()
	increment.reframe(f, increment.limit)
	increment.add(s)
	if !increment.subtract(&in.shape) {
		return false
	}
	positive, _ := sumCounts(increment.positive.counts)
	negative, _ := sumCounts(increment.negative.counts)
	increment.moments = moments{count: increment.zeroCount + positive + negative}
	increment.unscale()
	if m.known&HasSum != 0 && in.start&flagBit != 0 {
		increment.known = HasSum
		increment.sum.add(m.sum.sum)
		increment.sum.add(-in.sum)
	}
	return true
}
