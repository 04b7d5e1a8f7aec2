package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// carried is an input on its way between two outputs.
type carried struct {
	to, seen uint32 // flags only
	// since is when the rule began, by which the input goes now; 0 if it is gone.
	since uint64
	// anew means that the input passed before that rule began, so that it begins
	// anew; until is the time of the last point that was counted. Points from
	// before that have another verdict than Accepted, and move nothing.
	anew    bool
	until   uint64
	verdict spatial.Verdict

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
	watches, watched := e.watches.activation(p.Rule)
	if !watched && e.watches.hasMoved(p.Rule) {
		return Outcome{Happened: RuleMoved}, true
	}
	in, since := carried{since: watches}, watches
	if !watched {
		since = p.Now
	}
	generation := e.generation.Load() // one for the whole move
	found, copied := e.lift(dir, p, d, &in, generation)
	if in.verdict != spatial.Accepted {
		return Outcome{Verdict: in.verdict}, true
	}
	if !found {
		if v := p.check(); v.Refused() {
			return Outcome{Verdict: v}, true
		}
		if !e.reserve() {
			return Outcome{}, false
		}
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
	e.watches.stray(o.rule)
	s.entertain(o, p)
	out = s.place(p, &in, ref, o, e.watch(dir, p, o, &in, since))
	if (!found || in.anew) && out.Verdict.Baseline() && s.notesBases {
		s.noteBase(p)
	}
	dir.places.add(p.Input.tag(), at)
	out.Happened |= happened
	switch {
	case !found:
		out.Happened |= NewInput
	case in.anew:
		out.Happened |= Moved | Anew
	default:
		out.Happened |= Moved
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
//
// One that begins anew was counted until its last point.
func (e *Engine) watch(dir *directory, p *Point, o *output, in *carried, since uint64) spatial.Watch {
	w := spatial.Watch{Activation: max(since, p.Since), Horizon: max(in.until, dir.gone.until(p.Input.mark()))}
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
func (e *Engine) lift(dir *directory, p *Point, d Describer, in *carried, generation uint64) (found, copied bool) {
	tag, from := p.Input.tag(), 0
	dir.places.find(tag, func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		found = s.lift(p, d, in, generation)
		from, copied = shard, s.copied >= generation
		return found
	})
	if found && in.verdict == spatial.Accepted {
		dir.places.remove(tag, from)
	}
	return found, found && copied
}

func (s *shard) lift(p *Point, d Describer, in *carried, generation uint64) bool {
	c := p.Kind.class()
	at, remove := s.find(c, p.Input)
	if remove == nil {
		return false
	}
	if c != deltas && in.since > 0 && !s.watches.goOn(*at.to, in.since, d) {
		if in.renew(&at, p); in.verdict != spatial.Accepted {
			return true
		}
	}
	if s.copied < generation {
		s.displaced = append(s.displaced, s.stateOf(&at))
	}
	in.to, in.seen = *at.to&flags, *at.seen
	switch {
	case in.anew:
		in.to = 0
	case c == deltas:
		in.delta = *at.delta
	case c == sums:
		in.sum = *at.sum
	case c == levels:
		in.level = *at.level
	case c == histograms:
		in.histogram = *at.histogram
	default:
		in.exponential = *at.exponential
	}
	s.left(*at.to)
	remove()
	return true
}

// renew lets an input begin anew with a point.
func (in *carried) renew(at *cursor, p *Point) {
	in.anew, in.until, in.verdict = true, at.time(), p.check()
	if in.verdict.Refused() {
		return
	}
	switch time := p.span().Time; {
	case time < in.until:
		in.verdict = spatial.Late
	case time == in.until:
		in.verdict = spatial.Duplicate
	}
	*at.seen = max(*at.seen, secondsOf(p.Now))
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
	out := Outcome{Verdict: spatial.Accepted, Happened: Unknown}
	if !e.visit(dir, p.Kind.class(), p.Input, func(s *shard, at *cursor) { out = s.end(at, p) }) && e.watches.hasMoved(p.Rule) {
		out.Happened = RuleMoved
	}
	return out
}

// visit finds an input and visits it under the lock of its shard. The lock of its
// directory is held. It returns false if there is none.
func (e *Engine) visit(dir *directory, c class, key Key, visit func(*shard, *cursor)) (found bool) {
	dir.places.find(key.tag(), func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		at, remove := s.find(c, key)
		if remove == nil {
			return false
		}
		found = true
		visit(s, &at)
		return true
	})
	return found
}

func (s *shard) end(at *cursor, p *Point) Outcome {
	*at.to &^= restored
	happened := Event(0)
	if *at.to&taken != 0 {
		*at.to &^= taken
		happened = Taken
	}
	o := s.target(*at.to)
	if o != nil && *at.to&ended == 0 {
		o.arrived(false)
	}
	switch time := p.Sum.Time; {
	case *at.to&ended != 0:
		return Outcome{Verdict: spatial.Duplicate, Happened: happened}
	case time < at.time():
		return Outcome{Verdict: spatial.Late, Happened: happened}
	default:
		at.end(time)
		*at.seen = max(*at.seen, secondsOf(p.Now))
		s.left(*at.to)
		*at.to |= ended
		return Outcome{Verdict: spatial.Accepted, Happened: Ended | happened}
	}
}
