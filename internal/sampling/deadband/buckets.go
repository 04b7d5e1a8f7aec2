package deadband

import (
	"slices"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// buckets is one series of a histogram. To a reader it is the series that it
// becomes in a database: its count, sum, extremes, and one counter a bucket
// bound. All of them keep within the tolerance.
type buckets struct {
	key    Key
	layout layout
	start  uint64
	sent   uint64 // time of what the reader has
	last   uint64 // time of the point that came last
	seen   uint32 // in seconds; 0 marks a free element
	rule   uint16 // Rule.Owner of the last point
	kind   Kind
	flags  flags

	count   uint64 // of the last point, like moments and counts
	moments [fixed - 1]float64
	counts  []uint64
	values  []float64 // what the reader has
	doors   []door    // of the values; nil under Hold
}

func (s *buckets) identity() Key           { return s.key }
func (s *buckets) idle(before uint32) bool { return s.seen != 0 && s.seen < before }
func (s *buckets) owner() uint16           { return s.rule }
func (s *buckets) latest() uint64          { return s.last }
func (s *buckets) pending() bool           { return s.flags.has(left) }
func (s *buckets) refuse()                 { s.flags |= refused | holed }
func (s *buckets) open()                   { s.flags |= holed }

// resume makes the series what it was, apart from what the reader has: that does
// not count, for the next point passes.
func (s *buckets) resume(was *buckets) {
	seen, counts, values := max(s.seen, was.seen), s.counts, s.values
	*s = *was
	counts = append(counts[:0], was.counts...)
	s.seen, s.counts = seen, counts
	s.values, s.doors = appendValues(values[:0], s.count, &s.moments, s.counts), nil
	if s.sent = s.last; s.flags.has(line) {
		s.doors = make([]door, len(s.values))
		s.send(s.values, s.last)
	}
}

// unsend makes it as if no point had come.
func (s *buckets) unsend() {
	s.sent, s.last = 0, 0
	s.flags &= line
}

// copied is a copy that shares nothing that is written to.
func (s *buckets) copied() *buckets {
	c := *s
	c.counts, c.values, c.doors = slices.Clone(s.counts), nil, nil
	return &c
}

// begin makes x the point that the reader has and forgets everything else.
func (s *buckets) begin(p *Point, x *shot, r *Rule) {
	s.layout, s.start, s.kind, s.flags, s.rule = x.layout, x.span.Start, p.Kind, young|s.flags&holed, r.Owner
	s.doors = nil
	if r.Predictor == Linear {
		s.flags |= line
		s.doors = make([]door, len(x.values))
	}
	s.remember(x)
	s.send(x.values, x.span.Time)
}

// remember makes x the last point.
func (s *buckets) remember(x *shot) {
	s.last, s.count, s.moments = x.span.Time, x.count, x.moments
	s.counts = append(s.counts[:0], x.counts...)
}

// send notes what the reader has now.
func (s *buckets) send(values []float64, time uint64) {
	s.sent = time
	s.values = append(s.values[:0], values...)
	for i := range s.doors {
		s.doors[i] = open
	}
}

// breaks returns why a point does not continue the series, or Within.
func (s *buckets) breaks(p *Point, x *shot, r *Rule) Reason {
	switch {
	case s.flags.has(doubtful):
		return Restored
	case s.flags.has(refused):
		return Refused
	case s.kind != p.Kind:
		return TypeChange
	case x.span.Start != s.start:
		return StartChange
	case x.count < s.count:
		return Reset
	case !s.layout.same(&x.layout) || len(s.counts) != len(x.counts):
		return LayoutChange
	case s.flags.has(line) != (r.Predictor == Linear):
		return PredictorChange
	}
	for i, c := range x.counts {
		if c < s.counts[i] {
			return Reset
		}
	}
	return Within
}

// next decides about the next point of a known series. last is scratch.
func (s *buckets) next(p *Point, x *shot, r *Rule, before *Before, last *[]float64) Outcome {
	if x.span.Time <= s.last {
		return s.older(p, x, r, before)
	}
	if why := s.breaks(p, x, r); why != Within {
		o := Outcome{why, s.recall(before)}
		s.begin(p, x, r)
		return o
	}
	*last = appendValues((*last)[:0], s.count, &s.moments, s.counts)
	if r.Predictor == Linear {
		return s.draw(x, *last, r, before)
	}
	o := Outcome{Reason: Heartbeat}
	if within(s.values, *last, x.values, r, x.span.Time-s.last) {
		if !r.due(x.span.Time, s.last, s.sent, s.flags.has(young), s.key) {
			s.remember(x)
			s.flags |= left
			return Outcome{Reason: Within}
		}
	} else {
		o = Outcome{Moved, r.Corners && s.recall(before)}
	}
	s.remember(x)
	s.send(x.values, x.span.Time)
	s.flags &^= left | young
	return o
}

// draw is next for a reader that draws lines.
func (s *buckets) draw(x *shot, last []float64, r *Rule, before *Before) Outcome {
	o := Outcome{Reason: Within}
	now := x.span.Time
	if !s.straight(x.values, float64(now-s.sent)) {
		o = Outcome{Turned, s.recall(before)}
		s.send(last, s.last)
		s.flags &^= young
	}
	if r.due(now, s.last, s.sent, s.flags.has(young), s.key) {
		o.Reason = Heartbeat
		s.remember(x)
		s.send(x.values, now)
		s.flags &^= left | young
		return o
	}
	elapsed, run := now-s.last, float64(now-s.sent)
	for i, v := range x.values {
		s.doors[i] = s.doors[i].closed(v-s.values[i], run, r.tolerance(v, v-last[i], elapsed, paced(i)))
	}
	s.remember(x)
	s.flags |= left
	return o
}

// straight reports whether the lines to all readings pass the doors.
func (s *buckets) straight(now []float64, run float64) bool {
	for i, d := range s.doors {
		if !d.passes(now[i]-s.values[i], run) {
			return false
		}
	}
	return true
}

// older decides about a point that is not newer than the last one.
func (s *buckets) older(p *Point, x *shot, r *Rule, before *Before) Outcome {
	switch {
	case x.span.Time == s.last && s.flags.has(doubtful):
		s.begin(p, x, r)
		return Outcome{Reason: Restored}
	case x.span.Time == s.last:
		return Outcome{Reason: Duplicate}
	case s.last-x.span.Time <= r.Heartbeat:
		return Outcome{Reason: Late}
	}
	o := Outcome{ClockBack, s.recall(before)}
	s.begin(p, x, r)
	return o
}

// recall lends the point that was left out, if the last one was.
func (s *buckets) recall(before *Before) bool {
	if !s.flags.has(left) || s.flags.has(doubtful) {
		return false
	}
	s.layout.point(s.kind, spatial.Span{Start: s.start, Time: s.last}, s.count, &s.moments, s.counts, before)
	return true
}
