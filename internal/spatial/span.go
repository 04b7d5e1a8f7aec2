package spatial

// Span is the time that a point covers, in nanoseconds of Unix time as in OTLP:
// 0 means not given.
type Span struct {
	Start, Time uint64
}

// Times are below 2^63, the year 2262, so that the top bit of a remembered
// start is free for a flag. OTLP allows more and nobody means it.
const (
	maxTime = 1<<63 - 1
	flagBit = 1 << 63
)

func (s Span) check() Verdict {
	switch {
	case s.Time == 0:
		return NoTime
	case s.Time > maxTime:
		return TimeOutOfRange
	case s.Start > s.Time:
		return StartAfterTime
	}
	return Accepted
}

// Union returns the span from the earlier start to the later end. It is how
// deltas of one output interval add up. A start that is not given is no start.
func (s Span) Union(o Span) Span {
	if s.Start == 0 || o.Start != 0 && o.Start < s.Start {
		s.Start = o.Start
	}
	s.Time = max(s.Time, o.Time)
	return s
}

// Watch says what is known about an input before its first point.
type Watch struct {
	// Activation is the time since which the rule watches here.
	Activation uint64
	// Horizon is the age of forgetting, now − staleness: an input that began at
	// or before it may have been counted and evicted. 0 if the caller knows that
	// it was not, say from tombstones.
	Horizon uint64
}

// first judges the first point of a cumulative input.
//
// Data model, "Cumulative streams: handling unknown start time": a point with
// start = time begins a sequence of unknown start and contributes nothing. A
// point with start < time is a true start, and its zero is implicit: it counts
// in full, if nobody can have counted its beginning before.
func (w Watch) first(p Span) Verdict {
	switch {
	case p.Start == 0 || p.Start == p.Time:
		return BaselineUnknownStart
	case p.Start < w.Activation:
		return BaselineOldStart
	case p.Start <= w.Horizon:
		return BaselineMaybeEvicted
	}
	return First
}

// follow judges the point p after the point s of the same cumulative input by
// their times alone. Increased and StartShift are provisional: the value may
// have fallen.
//
// Data model, "Resets and Gaps": a true reset has a start later than what was
// seen, and before its own time. An unknown start (0, or start = time) says
// nothing, so the value decides: with the earlier state at hand that is
// better than the zero contribution which the specification falls back to.
func (s Span) follow(p Span) Verdict {
	switch {
	case p.Time < s.Time:
		return Late
	case p.Time == s.Time:
		return Duplicate
	case p.Start > s.Time && p.Start < p.Time:
		return ResetByStart
	case p.Start != s.Start:
		return StartShift
	}
	return Increased
}

// judge is first or follow: a span without a time is that of a new input.
func (s Span) judge(p Span, w Watch) Verdict {
	if v := p.check(); v != Accepted {
		return v
	}
	if s.Time == 0 {
		return w.first(p)
	}
	return s.follow(p)
}
