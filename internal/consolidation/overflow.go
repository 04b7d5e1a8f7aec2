package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// maxOverflows bounds the overflow outputs: one a metric, and metric names may
// come from strangers too.
const maxOverflows = 1024

// fold lets the overflow output of the metric take a point for whose input
// there is no room. One input stands for all of them: it has no memory, so only
// deltas can be added. To take differences of points of many inputs would be a
// guess. The output of a cumulative metric is there all the same and says that
// something is missing; a gauge has none, for it would have no value.
func (e *Engine) fold(p *Point, d Describer) Outcome {
	if v := p.check(); v.Refused() {
		return Outcome{Verdict: v}
	}
	if p.Kind.class() == levels {
		return Outcome{Verdict: spatial.Accepted, Happened: Dropped}
	}
	key, description := d.Overflow()
	at := e.part(key)
	s := &e.shards[at]
	dir := &e.directory[at]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	since, _ := e.watches.activation(p.Rule)
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, o := s.findOutput(key, 0)
	_, in := s.deltas.find(key)
	if (o == nil || in == nil) && e.folded.Load() >= maxOverflows {
		return Outcome{Verdict: spatial.Accepted, Happened: Dropped}
	}
	out := Outcome{Verdict: spatial.Accepted, Happened: Folded}
	if o == nil {
		q := *p
		q.Output = key
		ref, o = s.makeOutput(&q, 0, since, &description)
		out.Happened |= NewOutput
	}
	if in == nil {
		in = s.deltas.insert(key, ref|overflow, secondsOf(p.Now), spatial.Span{})
		o.live++
		dir.places.add(key.tag(), at)
		e.inputs.Add(1)
		e.folded.Add(1)
	}
	if in.to&refMask != ref { // the output is another one since a rule changed
		s.left(in.to)
		o.live++
		in.to = ref | overflow
	}
	s.note(&in.to, &in.seen, o, p.Now, true)
	o.arrived(true)
	if p.Kind.Delta() {
		to := s.addDelta(&in.to, o, p, &out)
		to.began(p.span().Start)
	}
	return out
}
