package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// carried is an input on its way between two outputs.
type carried struct {
	to, seen uint32 // flags only

	delta       spatial.Span
	sum         spatial.SumInput
	level       spatial.Latest
	histogram   spatial.HistogramInput
	exponential spatial.ExponentialInput
}

// feedNew takes a point whose input is not where the point says.
func (e *Engine) feedNew(p *Point, d Describer) Outcome {
	out, room := e.admit(p, d)
	if !room {
		return e.fold(p, d)
	}
	return out
}

// admit lets an input in, or moves it with its memory. It returns false if
// there is no room.
func (e *Engine) admit(p *Point, d Describer) (out Outcome, room bool) {
	dir := &e.directory[e.part(p.Input)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	var in carried
	generation := e.generation.Load() // one for the whole move
	found, copied := e.lift(dir, p, &in, generation)
	if !found {
		if v := p.check(); v.Refused() {
			return Outcome{Verdict: v}, true
		}
		if !e.reserve() {
			return Outcome{}, false
		}
	}
	since, known := e.activation(p.Rule)
	if !known {
		since = p.Now
	}
	at := e.part(p.Output)
	s := &e.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, o := s.findOutput(p.Output, 0)
	happened := Event(0)
	if o == nil {
		s.mu.Unlock() // describing copies, and other goroutines feed this shard
		description := d.Describe()
		s.mu.Lock()
		if ref, o = s.findOutput(p.Output, 0); o == nil {
			ref, o = s.makeOutput(p, 0, since, &description)
			happened = NewOutput
		}
	}
	if copied && s.copied < generation {
		s.copyEarly(generation)
	}
	out = s.place(p, &in, ref, o, e.watch(dir, p, o, since))
	if !found && out.Verdict.Baseline() && s.notesBases {
		s.noteBase(p)
	}
	dir.places.add(p.Input.tag(), at)
	out.Happened |= happened
	if found {
		out.Happened |= Moved
	} else {
		out.Happened |= NewInput
	}
	return out, true
}

// watch is what is known of an input before its first point.
//
// An input that is not remembered was counted at most until its tombstone says.
// After a crash those that came and went since the last checkpoint have none;
// the outputs that counted them then are as the checkpoint had them, without.
// Only an output that began later cannot know: an earlier one, of which nothing
// is left, may have counted them.
func (e *Engine) watch(dir *directory, p *Point, o *output, since uint64) spatial.Watch {
	w := spatial.Watch{Activation: since, Horizon: dir.gone.until(p.Input.mark())}
	if e.crash > 0 && o.start > e.complete && o.start != since {
		w.Horizon = max(w.Horizon, e.crash)
	}
	return w
}

func (e *Engine) reserve() bool {
	if e.inputs.Add(1)-e.folded.Load() > int64(e.settings.MaxStreams) {
		e.inputs.Add(-1)
		return false
	}
	return true
}

// release gives back the place of an input with these flags.
func (e *Engine) release(to uint32) {
	e.inputs.Add(-1)
	if to&overflow != 0 {
		e.folded.Add(-1)
	}
}

// lift takes an input out of the shard where it is, and reports whether a
// snapshot under way has that shard already.
func (e *Engine) lift(dir *directory, p *Point, in *carried, generation uint64) (found, copied bool) {
	tag, from := p.Input.tag(), 0
	dir.places.find(tag, func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		found = s.lift(p.Kind.class(), p.Input, in, generation)
		from, copied = shard, s.copied >= generation
		return found
	})
	if found {
		dir.places.remove(tag, from)
	}
	return found, found && copied
}

func (s *shard) lift(c class, key Key, in *carried, generation uint64) bool {
	at, remove := s.find(c, key)
	if remove == nil {
		return false
	}
	if s.copied < generation {
		s.displaced = append(s.displaced, s.stateOf(&at))
	}
	in.to, in.seen = *at.to&flags, *at.seen
	switch c {
	case deltas:
		in.delta = *at.delta
	case sums:
		in.sum = *at.sum
	case levels:
		in.level = *at.level
	case histograms:
		in.histogram = *at.histogram
	default:
		in.exponential = *at.exponential
	}
	s.left(*at.to)
	remove()
	return true
}

// place puts an input beside its output and feeds the point.
func (s *shard) place(p *Point, in *carried, ref uint32, o *output, w spatial.Watch) Outcome {
	if in.to&ended == 0 {
		o.live++
	}
	to, seen := ref|in.to, in.seen
	if seen == 0 { // a new one
		seen = secondsOf(p.Now)
	}
	switch p.Kind.class() {
	case deltas:
		return s.feedDelta(s.deltas.insert(p.Input, to, seen, in.delta), o, p)
	case sums:
		return s.feedSum(s.sums.insert(p.Input, to, seen, in.sum), o, p, w)
	case levels:
		return s.feedLevel(s.levels.insert(p.Input, to, seen, in.level), o, p)
	case histograms:
		return s.feedHistogram(s.histograms.insert(p.Input, to, seen, in.histogram), o, p, w)
	default:
		return s.feedExponential(s.exponentials.insert(p.Input, to, seen, in.exponential), o, p, w)
	}
}

// end takes a stale marker. The input stays in memory until staleness, so that
// its return (a scrape that failed once) counts from its last value.
func (e *Engine) end(p *Point) Outcome {
	if v := p.checkTimes(); v.Refused() {
		return Outcome{Verdict: v}
	}
	dir := &e.directory[e.part(p.Input)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	out := Outcome{Verdict: spatial.Accepted}
	dir.places.find(p.Input.tag(), func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		at, known := s.find(p.Kind.class(), p.Input)
		if known == nil {
			return false
		}
		out = s.end(&at, p)
		return true
	})
	return out
}

func (s *shard) end(at *cursor, p *Point) Outcome {
	*at.to &^= restored
	o := s.target(*at.to)
	if o != nil && *at.to&ended == 0 {
		o.arrived(false)
	}
	switch time := p.Sum.Time; {
	case *at.to&ended != 0:
		return Outcome{Verdict: spatial.Duplicate}
	case time < at.time():
		return Outcome{Verdict: spatial.Late}
	default:
		at.end(time)
		*at.seen = max(*at.seen, secondsOf(p.Now))
		s.left(*at.to)
		*at.to |= ended
		return Outcome{Verdict: spatial.Accepted, Happened: Ended}
	}
}
