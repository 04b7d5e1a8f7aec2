package consolidation

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

func (s *shard) feedSum(e *entry[spatial.SumInput], o *output, p *Point, w spatial.Watch) Outcome {
	increment, v := e.last.Advance(p.Sum, w)
	out := Outcome{Verdict: v}
	if v.Refused() {
		return out
	}
	fresh := !v.Ignored()
	out.Happened = s.note(&e.to, &e.seen, o, p.Now, fresh)
	o.arrived(fresh)
	switch {
	case v.Counted():
		out.Increment = increment.Float()
		if o.total.Add(increment) {
			out.Happened |= PastInteger
		}
	case v.Baseline() && p.Sum.Value.IsDouble():
		o.total.Add(spatial.Double(0)) // the kind of its values shows from the start
	default:
	}
	return out
}

// feedLevel remembers the value; what the output shows is computed from all
// live inputs at the edge.
func (s *shard) feedLevel(e *entry[spatial.Latest], o *output, p *Point) Outcome {
	var v spatial.Verdict
	if p.Kind == Gauge {
		v = e.last.ObserveGauge(p.Sum)
	} else {
		v = e.last.ObserveSum(p.Sum)
	}
	if v.Refused() {
		return Outcome{Verdict: v}
	}
	fresh := !v.Ignored()
	happened := s.note(&e.to, &e.seen, o, p.Now, fresh)
	o.arrived(fresh)
	return Outcome{Verdict: v, Happened: happened}
}

// feedDelta adds a delta up. A point with the times of the last one is the last
// one, sent again; beyond that nothing tells a copy from a late point.
func (s *shard) feedDelta(e *entry[spatial.Span], o *output, p *Point) Outcome {
	out := Outcome{Verdict: p.check()}
	if out.Verdict.Refused() {
		return out
	}
	span := p.span()
	newer := span.Time > e.last.Time
	switch {
	case span == e.last:
		out.Verdict = spatial.Duplicate
	case !newer:
		out.Happened = LateDelta
		fallthrough
	default:
		if o = s.addDelta(&e.to, o, p, &out); out.Verdict.Refused() {
			return out
		}
		o.began(span.Start)
	}
	out.Happened |= s.note(&e.to, &e.seen, o, p.Now, newer)
	o.arrived(out.Verdict == spatial.Accepted)
	if newer {
		e.last = span
	}
	return out
}

// addDelta adds a sound point and returns the output that took it.
func (s *shard) addDelta(to *uint32, o *output, p *Point, out *Outcome) *output {
	switch p.Kind.form() {
	case histogram:
		out.Increment = float64(p.Histogram.Count)
		out.Verdict = o.histogram.Add(p.Histogram)
		if out.Verdict == spatial.NoCommonBounds {
			if other := s.keepApart(to, o, p.Histogram.Bounds, out); other != nil {
				out.Verdict = other.histogram.Add(p.Histogram)
				return other
			}
		}
	case exponential:
		out.Increment = float64(p.Exponential.Count)
		out.Verdict = o.exponential.Add(p.Exponential)
	default:
		out.Increment = p.Sum.Value.Float()
		if o.total.Add(p.Sum.Value) {
			out.Happened |= PastInteger
		}
	}
	return o
}

func (s *shard) feedHistogram(e *entry[spatial.HistogramInput], o *output, p *Point, w spatial.Watch) Outcome {
	v := e.last.Advance(&s.increment, p.Histogram, w)
	out := Outcome{Verdict: v}
	if v.Refused() {
		return out
	}
	if !v.Ignored() {
		o = s.addIncrement(&e.to, o, p, &out)
	}
	out.Happened |= s.note(&e.to, &e.seen, o, p.Now, !v.Ignored())
	o.arrived(!v.Ignored())
	return out
}

// addIncrement adds what an input grew by and returns the output that took it.
// If that is nothing, only its bounds count: the output has those that all its
// inputs share. A sum that moved without a measurement is that of a stream
// that began again unseen, and no increment.
func (s *shard) addIncrement(to *uint32, o *output, p *Point, out *Outcome) *output {
	blank := spatial.HistogramPoint{Bounds: p.Histogram.Bounds}
	if out.Verdict.Counted() {
		blank = s.increment.Point()
		blank.Moments = spatial.Moments{}
		out.Increment = float64(blank.Count)
	} else {
		blank.Counts = make([]uint64, blank.Bounds.Buckets())
	}
	for {
		var v spatial.Verdict
		if blank.Count > 0 {
			v = o.histogram.Merge(&s.increment)
		} else {
			v = o.histogram.Add(&blank)
		}
		if v == spatial.NoCommonBounds {
			if other := s.keepApart(to, o, p.Histogram.Bounds, out); other != nil {
				o = other
				continue
			}
		}
		if v.Refused() {
			out.Verdict = v
		} else if blank.Count == 0 && p.Histogram.Count > 0 && !p.Histogram.KnowsSum() {
			o.histogram.Forget(spatial.HasSum)
		}
		return o
	}
}

// keepApart lets an input feed an output of the same identity with other
// bounds, and returns it; nil if that is where it already is.
func (s *shard) keepApart(to *uint32, o *output, b *spatial.Bounds, out *Outcome) *output {
	variant := variantOf(b)
	if o.variant == variant {
		return nil
	}
	out.Happened |= BoundsApart
	ref, other := s.findOutput(o.key, variant)
	if other == nil {
		p := Point{Output: o.key, Rule: o.rule, Kind: o.kind}
		ref, other = s.makeOutput(&p, variant, o.start, &Description{Owner: o.owner})
		out.Happened |= NewOutput
	}
	other.hosts = other.hosts || o.hosts
	s.left(*to)
	if *to&ended == 0 {
		other.live++
	}
	*to = *to&flags | ref
	return other
}

// variantOf tells lists of bounds apart; it is never 0.
func variantOf(b *spatial.Bounds) uint64 { return hashOf(b.Edges()) | 1 }

func hashOf(edges []float64) uint64 {
	h := uint64(len(edges) + 1)
	for _, edge := range edges {
		h = (h ^ math.Float64bits(edge)) * mix
		h ^= h >> 29
	}
	return h
}

func (s *shard) feedExponential(e *entry[spatial.ExponentialInput], o *output, p *Point, w spatial.Watch) Outcome {
	if s.growth == nil {
		s.growth = spatial.NewExponential(s.buckets)
	}
	v := e.last.Advance(s.growth, p.Exponential, w)
	out := Outcome{Verdict: v}
	if v.Refused() {
		return out
	}
	out.Happened |= s.note(&e.to, &e.seen, o, p.Now, !v.Ignored())
	o.arrived(!v.Ignored())
	if v.Counted() && s.growth.Point().Count > 0 { // see addIncrement
		if bad := o.exponential.Merge(s.growth); bad.Refused() {
			out.Verdict = bad
		}
	}
	return out
}
