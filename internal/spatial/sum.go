package spatial

import "math"

// SumPoint is one point of a sum or a gauge.
type SumPoint struct {
	Span
	Value Number
}

// SumInput is what is remembered of one input of a cumulative monotonic sum:
// its last point, in 24 bytes. The zero value has seen nothing.
type SumInput struct {
	start uint64 // the top bit says that the value is a double
	time  uint64
	bits  uint64
}

// Last returns the last point, which is all of the state; its time is 0 if
// there is none.
func (in *SumInput) Last() SumPoint {
	return SumPoint{in.span(), Number{bits: in.bits, double: in.start&flagBit != 0}}
}

// Restore makes p the last point. It is refused if Advance would.
func (in *SumInput) Restore(p SumPoint) Verdict {
	v := p.check()
	if v == Accepted {
		v = p.Value.Monotonic()
	}
	if v == Accepted {
		in.store(p)
	}
	return v
}

func (in *SumInput) span() Span { return Span{in.start &^ flagBit, in.time} }

func (in *SumInput) store(p SumPoint) {
	in.start, in.time, in.bits = p.Start, p.Time, p.Value.bits
	if p.Value.double {
		in.start |= flagBit
	}
}

// Advance takes the next point and returns by how much the stream grew; the
// increment is zero unless the verdict is Counted. Times are judged first, so
// what is wrong in a point too old to count is not looked at.
//
// Points that are ignored or refused leave the state as it was. The increment
// of a double is off by at most half a unit in its last place, so the sum of
// all increments is last − base within the bound of Total.
func (in *SumInput) Advance(p SumPoint, w Watch) (increment Number, v Verdict) {
	if increment, ok := in.proceed(&p); ok {
		return increment, Increased
	}
	v = in.span().judge(p.Span, w)
	if v >= Late {
		return Number{}, v
	}
	if bad := p.Value.Monotonic(); bad != Accepted {
		return Number{}, bad
	}
	switch v {
	case First, ResetByStart:
		increment = p.Value
	case Increased, StartShift:
		last := in.Last().Value
		if p.Value.Compare(last) < 0 {
			increment, v = p.Value, ResetByValue
		} else {
			increment, _ = Sub(p.Value, last) // both are at least zero: no overflow
		}
	default: // a base line
	}
	in.store(p)
	return increment, v
}

// proceed is Advance for the common case, a next point of the same start and
// kind that did not fall; else it does nothing. BenchmarkSumAdvance: 4 instead
// of 15 ns.
func (in *SumInput) proceed(p *SumPoint) (increment Number, ok bool) {
	start := p.Start
	if p.Value.double {
		start |= flagBit
	}
	if start != in.start || p.Start > in.time || p.Time <= in.time || p.Time > maxTime || in.time == 0 {
		return Number{}, false
	}
	if p.Value.double {
		grown := p.Value.Float() - math.Float64frombits(in.bits)
		if !(grown >= 0 && grown <= math.MaxFloat64) {
			return Number{}, false
		}
		increment = Double(grown)
	} else {
		last := int64(in.bits) //nolint:gosec // the bits of an int64
		if p.Value.Int() < last {
			return Number{}, false
		}
		increment = Int(p.Value.Int() - last)
	}
	in.time, in.bits = p.Time, p.Value.bits
	return increment, true
}

// Latest is what is remembered of one input of a gauge or a cumulative sum
// that is not monotonic: its last value, in 16 bytes. The zero value has seen nothing.
type Latest struct {
	time uint64 // the top bit says that the value is a double
	bits uint64
}

// Last returns the last point, without a start; its time is 0 if there is none.
func (in *Latest) Last() SumPoint {
	return SumPoint{Span{Time: in.time &^ flagBit}, Number{bits: in.bits, double: in.time&flagBit != 0}}
}

// ObserveGauge takes the next value of a gauge, NaN and infinities included:
// they are what was measured.
func (in *Latest) ObserveGauge(p SumPoint) Verdict {
	v := p.check()
	if v == Accepted {
		switch last := in.time &^ flagBit; {
		case p.Time < last:
			return Late
		case p.Time == last:
			return Duplicate
		}
		in.time, in.bits = p.Time, p.Value.bits
		if p.Value.double {
			in.time |= flagBit
		}
	}
	return v
}

// ObserveSum takes the next value of a sum that is not monotonic. A reset needs
// no rule: the value of an up-down counter is its own base, so after one the
// latest value is right again (data model, "Sums").
func (in *Latest) ObserveSum(p SumPoint) Verdict {
	if v := p.Value.Finite(); v != Accepted {
		return v
	}
	return in.ObserveGauge(p)
}
