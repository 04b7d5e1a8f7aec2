package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// TakeOver goes on with what another engine released, under the names that the
// caller gave it; it comes from Release. The rules are watched here, and no point of them was fed yet.
// Outputs go on where they were, and so do increases: the next point of each
// input counts from the last value there. New inputs count as there: a rule
// watches since Since, if that is given.
//
// An output that begins is shown by Begin; its start is the edge. An output that
// is here already takes the inputs of the one that comes, and nothing else. It
// returns how many inputs had no room, or were newer here.
func (e *Engine) TakeOver(h *Handover, edge uint64) (refused int) {
	for rule, since := range h.Since {
		e.watches.inherit(rule, since)
	}
	e.bury(h)
	for i := range h.Outputs {
		e.takeOutput(&h.Outputs[i], edge)
	}
	for i := range h.Inputs {
		in := &h.Inputs[i]
		flag := uint32(0)
		if in.Awaited {
			flag |= restored
		}
		if in.Passed {
			flag |= taken
		}
		if !e.adopt(in, flag, max(in.Seen, 1)) {
			refused++
		}
	}
	return refused
}

// bury notes who is forgotten.
func (e *Engine) bury(h *Handover) {
	for i := range e.shards {
		d, s := &e.directory[i], &e.shards[i]
		d.mu.Lock()
		d.gone.forgotten = max(d.gone.forgotten, h.InputsForgotten)
		d.mu.Unlock()
		s.mu.Lock()
		s.gone.forgotten = max(s.gone.forgotten, h.OutputsForgotten)
		s.mu.Unlock()
	}
	for _, t := range h.InputsGone {
		d := &e.directory[t.Mark>>e.shift]
		d.mu.Lock()
		d.gone.bury(t.Mark, t.Time)
		d.mu.Unlock()
	}
	for _, t := range h.OutputsGone {
		s := &e.shards[t.Mark>>e.shift]
		s.mu.Lock()
		s.gone.bury(t.Mark, t.Time)
		s.mu.Unlock()
	}
}

// inherit lets a rule that watches have done so since an earlier time.
func (w *watches) inherit(rule RuleID, since uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, watches := w.since[rule]; watches && since > 0 {
		w.since[rule] = min(known, since)
	}
}

func (e *Engine) takeOutput(st *OutputState, edge uint64) {
	s := &e.shards[e.part(st.Key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.findOutput(st.Key, st.Variant); there != nil {
		return
	}
	p := Point{Output: st.Key, Rule: st.Rule, Kind: st.Kind}
	_, o := s.makeOutput(&p, st.Variant, st.Start, &Description{Owner: st.Owner})
	ended := o.emitted
	*o = *st.whole
	o.key, o.rule, o.owner = st.Key, st.Rule, st.Owner
	o.live, o.hosts, o.begins = 0, false, st.Begins
	if st.Passed && o.kind.Delta() { // all that came is known downstream
		o.drained()
		o.touched = false
	}
	if !st.Begins {
		return
	}
	o.shown, o.emitted = false, max(edge, ended+step)
	if o.kind != Gauge && !o.kind.Delta() {
		o.start = o.emitted
	}
}

// Begin shows, at the edge, the outputs that were taken over under another name:
// what they show from then on counts from these values. Start and time of such a
// point are equal, which says that nobody knows how the value came to be.
func (e *Engine) Begin(edge uint64, emit func(*Emission)) Report {
	var r Report
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.begin(edge, e.edge, e.staleness, &r)
		s.mu.Unlock()
		for j := range s.batch.list {
			emit(&s.batch.list[j])
		}
		s.batch.reset()
	}
	return r
}

func (s *shard) begin(edge, latest uint64, staleness uint32, r *Report) {
	begins := func(o *output) bool { return o.used && o.begins }
	found := false
	s.outputs.all(func(_ uint32, o *output) { found = found || begins(o) })
	if !found {
		return
	}
	s.watermark(edge, staleness, begins, r) // who is stale is noticed again at the next flush
	for c := range classes {
		s.expired[c] = s.expired[c][:0]
	}
	s.outputs.all(func(_ uint32, o *output) {
		if !begins(o) {
			return
		}
		o.begins = false
		if !o.kind.Delta() && o.hasValue() {
			s.show(o, o.emitted, latest, r)
		}
	})
}

// Follow moves the last value of a known input on without counting what it grew
// by: somebody else counts that.
func (e *Engine) Follow(p *Point) Outcome {
	check := p.check
	if p.Stale {
		check = p.checkTimes
	}
	if v := check(); v.Refused() {
		return Outcome{Verdict: v}
	}
	dir := &e.directory[e.part(p.Input)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	out := Outcome{Verdict: spatial.Accepted, Happened: Unknown}
	e.visit(dir, p.Kind.class(), p.Input, func(s *shard, at *cursor) {
		if p.Stale {
			out = s.end(at, p)
			return
		}
		out = Outcome{Verdict: s.follow(at, p)}
		if o := s.target(*at.to); o != nil && !out.Verdict.Refused() {
			first := *at.to & taken
			s.note(at.to, at.seen, o, p.Now, !out.Verdict.Ignored())
			*at.to |= first
		}
	})
	return out
}

func (s *shard) follow(at *cursor, p *Point) (v spatial.Verdict) {
	switch at.class {
	case sums:
		_, v = at.sum.Advance(p.Sum, spatial.Watch{})
	case levels:
		if p.Kind == Gauge {
			v = at.level.ObserveGauge(p.Sum)
		} else {
			v = at.level.ObserveSum(p.Sum)
		}
		if o := s.target(*at.to); o != nil {
			o.touched = o.touched || !v.Refused() && !v.Ignored()
		}
	case histograms:
		v = at.histogram.Advance(&s.increment, p.Histogram, spatial.Watch{})
	case exponentials:
		if s.growth == nil {
			s.growth = spatial.NewExponential(s.buckets)
		}
		v = at.exponential.Advance(s.growth, p.Exponential, spatial.Watch{})
	default:
		if span := p.span(); span.Time > at.delta.Time {
			*at.delta = span
		}
	}
	return v
}
