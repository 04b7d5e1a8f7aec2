package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// A restart restores in this order, before the first Feed: every Part of the
// latest snapshot, the edge of the latest flush, and what that and earlier
// flushes since the snapshot emitted last of each output. Engines may differ in
// their number of shards.

// Restore takes over one Part. Inputs get a full staleness from now on to come
// back. It returns how many inputs had no room or were malformed.
func (e *Engine) Restore(part *Part, now uint64) (refused int) {
	e.edge = max(e.edge, part.Edge)
	if part.Crash > 0 {
		e.crash, e.complete, e.crashed = part.Crash, part.Complete, true
	}
	e.completeUntil(max(part.Edge, part.OutputsForgotten))
	e.watches.take(part.Rules)
	for i := range part.Outputs {
		e.restoreOutput(&part.Outputs[i], now)
	}
	for i := range part.Inputs {
		if !e.adopt(&part.Inputs[i], restored, secondsOf(now)) {
			refused++
		}
	}
	for i := range e.shards {
		d, s := &e.directory[i], &e.shards[i]
		d.gone.forgotten = max(d.gone.forgotten, part.InputsForgotten)
		s.gone.forgotten = max(s.gone.forgotten, part.OutputsForgotten)
	}
	for _, t := range part.InputsGone {
		e.directory[t.Mark>>e.shift].gone.bury(t.Mark, t.Time)
	}
	for _, t := range part.OutputsGone {
		e.completeUntil(t.Time)
		e.shards[t.Mark>>e.shift].gone.bury(t.Mark, t.Time)
	}
	return refused
}

// completeUntil notes until when the snapshot knows who was counted. After a
// crash it does not: what the first process after it knew holds on.
func (e *Engine) completeUntil(time uint64) {
	if !e.crashed {
		e.complete = max(e.complete, time)
	}
}

func (e *Engine) restoreOutput(st *OutputState, now uint64) {
	s := &e.shards[e.part(st.Key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Point{Output: st.Key, Rule: st.Rule, Kind: st.Kind, Policy: st.Policy}
	_, o := s.makeOutput(&p, st.Variant, st.Start, &Description{
		Owner: st.Owner, KeepBounds: st.KeepBounds, Bounds: st.Histogram.Bounds,
	})
	e.watches.stray(st.Rule)
	o.start, o.emitted, o.first = st.Start, st.Emitted, st.First
	o.touched, o.shown, o.credit = st.Touched, st.Shown, st.Credit
	o.grace = secondsOf(now) + e.staleness
	o.total.Add(st.Sum)
	o.last = st.Last
	switch st.Kind.form() {
	case histogram:
		if len(st.Histogram.Counts) > 0 {
			o.histogram.Add(&st.Histogram)
			o.histogram.Forget(spatial.HasSum &^ st.Histogram.Known) // also if it is empty
		}
		if st.Behind {
			o.floorAt(&st.HistogramFloor, nil)
		}
	case exponential:
		o.exponential.Add(&st.Exponential)
		if st.Behind {
			o.floorAt(nil, &st.ExponentialFloor)
		}
	default:
	}
}

func (o *output) floorAt(h *spatial.HistogramPoint, x *spatial.ExponentialPoint) {
	f := new(floor)
	if h != nil {
		f.histogram = new(spatial.Histogram)
		f.histogram.Add(h)
	}
	if x != nil {
		f.exponential = spatial.NewExponential(spatial.MaxListed)
		f.exponential.Add(x)
	}
	o.floor = f
}

// Adopt takes over what another engine remembers of an input, without its
// output: the next point counts from the last value there. It is how a rule
// moves from one processor to another and increases stay what they are. It
// returns false if the input is known here, or there is no room for it.
func (e *Engine) Adopt(in *InputState, now uint64) bool {
	free := *in
	free.Rule, free.Variant = 0, e.watches.now(now)
	return e.adopt(&free, 0, secondsOf(now))
}

// adopt enters an input with a flag, that was seen last at a time in seconds.
func (e *Engine) adopt(in *InputState, flag, seen uint32) bool {
	c := in.Kind.class()
	dir := &e.directory[e.part(in.Key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	if !e.supersede(dir, c, in) || !in.Overflow && !e.reserve() {
		return false
	}
	if in.Overflow {
		e.inputs.Add(1)
		e.folded.Add(1)
	}
	at := e.part(in.Key)
	if in.Rule != 0 {
		at = e.part(in.Output)
	}
	s := &e.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, o := s.findOutput(in.Output, in.Variant)
	switch {
	case in.Rule == 0:
		o, ref = nil, e.watches.restore(in.Variant)
	case o == nil:
		ref = e.watches.wait(in.Rule)
	}
	to := flag | ref
	if in.Ended {
		to |= ended
	}
	if in.Overflow {
		to |= overflow
	}
	if !s.restoreInput(c, in, to, seen) {
		e.release(to)
		return false
	}
	if o != nil {
		s.entertain(o, &Point{Input: in.Key, Rule: in.Rule, Kind: in.Kind})
		if !in.Ended {
			o.live++
		}
	}
	dir.places.add(in.Key.tag(), at)
	return true
}

// supersede makes place for an input: of two states of one the later holds.
func (e *Engine) supersede(dir *directory, c class, in *InputState) bool {
	newest := true
	dir.places.find(in.Key.tag(), func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		at, remove := s.find(c, in.Key)
		if remove == nil {
			return false
		}
		if newest = at.time() < in.time(); newest {
			s.left(*at.to)
			e.release(*at.to)
			remove()
			dir.places.remove(in.Key.tag(), shard)
		}
		return true
	})
	return newest
}

func (in *InputState) time() uint64 {
	switch {
	case in.Histogram != nil:
		return in.Histogram.Time
	case in.Exponential != nil:
		return in.Exponential.Time
	}
	return in.Sum.Time
}

// restoreInput enters an input. What the next point would be refused against
// is refused.
func (s *shard) restoreInput(c class, in *InputState, to, seen uint32) bool {
	if c == histograms && in.Histogram == nil || c == exponentials && in.Exponential == nil {
		return false
	}
	v := spatial.Accepted
	switch c {
	case deltas:
		s.deltas.insert(in.Key, to, seen, in.Sum.Span)
	case sums:
		var last spatial.SumInput
		if v = last.Restore(in.Sum); v == spatial.Accepted {
			s.sums.insert(in.Key, to, seen, last)
		}
	case levels:
		var last spatial.Latest
		if v = last.ObserveGauge(in.Sum); v == spatial.Accepted {
			s.levels.insert(in.Key, to, seen, last)
		}
	case histograms:
		var last spatial.HistogramInput
		if v = last.Restore(in.Histogram); v == spatial.Accepted {
			s.histograms.insert(in.Key, to, seen, last)
		}
	default:
		var last spatial.ExponentialInput
		if v = last.Restore(in.Exponential, s.buckets); v == spatial.Accepted {
			s.exponentials.insert(in.Key, to, seen, last)
		}
	}
	return v == spatial.Accepted
}
