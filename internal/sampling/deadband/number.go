package deadband

import (
	"math"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// flags of a series.
type flags uint8

const (
	double   flags = 1 << iota // the values are doubles
	left                       // the last point was left out
	broken                     // the last point was no number
	line                       // the predictor is Linear
	young                      // no heartbeat came yet
	doubtful                   // restored, and more may have been sent since
	refused                    // the next component did not take what was sent
	holed                      // there is a hole

	kept = ^holed // what is saved
)

func (f flags) has(x flags) bool { return f&x != 0 }

// door is the range of slopes of the lines from the point that was sent last
// which pass every point since within its tolerance.
type door struct {
	low, high float64
}

var open = door{math.Inf(-1), math.Inf(1)}

// passes reports whether a line may end after a rise and a run: then all
// points that were left out on the way are within their tolerance of it. NaN
// does not pass.
func (d door) passes(rise, run float64) bool {
	slope := rise / run
	return slope >= d.low && slope <= d.high
}

// closed is the door after another point was left out.
func (d door) closed(rise, run, tolerance float64) door {
	return door{max(d.low, (rise-tolerance)/run), min(d.high, (rise+tolerance)/run)}
}

// reading is a value and its time.
type reading struct {
	time, bits uint64
}

// number is one series of a sum or a gauge: 80 bytes.
type number struct {
	key   Key
	sent  reading // what the reader has
	last  reading // the point that came last, sent or not
	door  door
	start uint64
	seen  uint32 // when a point came last, in seconds; 0 marks a free element
	rule  uint16 // Rule.Owner of the last point
	kind  Kind
	flags flags
}

func (s *number) identity() Key           { return s.key }
func (s *number) idle(before uint32) bool { return s.seen != 0 && s.seen < before }
func (s *number) owner() uint16           { return s.rule }
func (s *number) latest() uint64          { return s.last.time }
func (s *number) pending() bool           { return s.flags.has(left) }
func (s *number) refuse()                 { s.flags |= refused | holed }
func (s *number) open()                   { s.flags |= holed }
func (s *number) copied() *number         { return new(*s) }

// resume makes the series what it was.
func (s *number) resume(was *number) {
	seen := max(s.seen, was.seen)
	*s = *was
	s.seen = seen
}

// unsend makes it as if no point had come.
func (s *number) unsend() {
	s.sent, s.last, s.door = reading{}, reading{}, open
	s.flags &= double | line
}

// float returns the value of the last point.
func float(bits uint64, f flags) float64 {
	if f.has(double) {
		return math.Float64frombits(bits)
	}
	return float64(int64(bits)) //nolint:gosec // the bits of an int64
}

// rise is b − a, exact for integers up to the rounding of the result.
func rise(a, b uint64, f flags) float64 {
	if f.has(double) {
		return math.Float64frombits(b) - math.Float64frombits(a)
	}
	if x, y := int64(a), int64(b); y < x { //nolint:gosec // the bits of an int64
		return -float64(a - b) // modulo 2^64: right also where int64 would overflow
	}
	return float64(b - a)
}

// bitsOf is the value as it is kept.
func bitsOf(n spatial.Number) (uint64, flags) {
	if n.IsDouble() {
		return math.Float64bits(n.Float()), double
	}
	return uint64(n.Int()), 0 //nolint:gosec // the bits are kept, not the value
}

// begin makes p the point that the reader has and forgets everything else.
func (s *number) begin(p *Point, r *Rule) {
	bits, f := bitsOf(p.Sum.Value)
	s.sent = reading{p.Sum.Time, bits}
	s.last, s.door = s.sent, open
	s.start, s.kind, s.flags, s.rule = p.Sum.Start, p.Kind, f|young|s.flags&holed, r.Owner
	if r.Predictor == Linear {
		s.flags |= line
	}
	if p.Sum.Value.Finite() != spatial.Accepted {
		s.flags |= broken
	}
}

// breaks returns why a point does not continue the series, or Within.
func (s *number) breaks(p *Point, r *Rule, bits uint64, f flags) Reason {
	switch {
	case s.flags.has(doubtful):
		return Restored
	case s.flags.has(refused):
		return Refused
	case p.Sum.Value.Finite() != spatial.Accepted:
		return NotFinite
	case s.kind != p.Kind || (s.flags^f)&double != 0:
		return TypeChange
	case s.flags.has(broken):
		return Recovered
	case s.kind != Gauge && p.Sum.Start != s.start:
		return StartChange
	case s.kind == Counter && rise(s.last.bits, bits, f) < 0:
		return Reset
	case s.flags.has(line) != (r.Predictor == Linear):
		return PredictorChange
	}
	return Within
}

// next decides about the next point of a known series.
func (s *number) next(p *Point, r *Rule, before *Before) Outcome {
	if p.Sum.Time <= s.last.time {
		return s.older(p, r, before)
	}
	bits, f := bitsOf(p.Sum.Value)
	if why := s.breaks(p, r, bits, f); why != Within {
		o := Outcome{why, s.recall(before)}
		s.begin(p, r)
		return o
	}
	tolerance := r.tolerance(float(bits, f), rise(s.last.bits, bits, f), p.Sum.Time-s.last.time, s.kind == Counter)
	var o Outcome
	if r.Predictor == Linear {
		o = s.draw(reading{p.Sum.Time, bits}, r, tolerance, before)
	} else {
		o = s.hold(reading{p.Sum.Time, bits}, r, tolerance, before)
	}
	s.start = p.Sum.Start // that of a gauge may be another one
	return o
}

// hold is next for a reader that takes the last point.
func (s *number) hold(now reading, r *Rule, tolerance float64, before *Before) Outcome {
	o := Outcome{Reason: Heartbeat}
	if math.Abs(rise(s.sent.bits, now.bits, s.flags)) <= tolerance {
		if !r.due(now.time, s.last.time, s.sent.time, s.flags.has(young), s.key) {
			s.last = now
			s.flags |= left
			return Outcome{Reason: Within}
		}
	} else {
		o = Outcome{Moved, r.Corners && s.recall(before)}
	}
	s.sent, s.last = now, now
	s.flags &^= left | young
	return o
}

// draw is next for a reader that draws lines. What is sent at the end of a line
// is a point that came, so no reader sees a value that never was.
func (s *number) draw(now reading, r *Rule, tolerance float64, before *Before) Outcome {
	o := Outcome{Reason: Within}
	run := float64(now.time - s.sent.time)
	up := rise(s.sent.bits, now.bits, s.flags)
	if !s.door.passes(up, run) {
		o = Outcome{Turned, s.recall(before)}
		s.sent, s.door = s.last, open
		s.flags &^= young
		run = float64(now.time - s.sent.time)
		up = rise(s.sent.bits, now.bits, s.flags)
	}
	if r.due(now.time, s.last.time, s.sent.time, s.flags.has(young), s.key) {
		o.Reason = Heartbeat
		s.sent, s.last, s.door = now, now, open
		s.flags &^= left | young
		return o
	}
	s.last, s.door = now, s.door.closed(up, run, tolerance)
	s.flags |= left
	return o
}

// older decides about a point that is not newer than the last one.
func (s *number) older(p *Point, r *Rule, before *Before) Outcome {
	switch {
	case p.Sum.Time == s.last.time && s.flags.has(doubtful):
		// Nobody knows whether it was refused after the state was saved.
		s.begin(p, r)
		return Outcome{Reason: Restored}
	case p.Sum.Time == s.last.time:
		return Outcome{Reason: Duplicate}
	case s.last.time-p.Sum.Time <= r.Heartbeat:
		return Outcome{Reason: Late}
	}
	o := Outcome{ClockBack, s.recall(before)}
	s.begin(p, r)
	return o
}

// recall lends the point that was left out, if the last one was.
func (s *number) recall(before *Before) bool {
	if !s.flags.has(left) || s.flags.has(doubtful) {
		return false
	}
	before.Kind = s.kind
	before.Sum = spatial.SumPoint{Span: spatial.Span{Start: s.start, Time: s.last.time}}
	if s.flags.has(double) {
		before.Sum.Value = spatial.Double(math.Float64frombits(s.last.bits))
	} else {
		before.Sum.Value = spatial.Int(int64(s.last.bits)) //nolint:gosec // the bits of an int64
	}
	return true
}
