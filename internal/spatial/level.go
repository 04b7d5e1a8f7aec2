package spatial

import "fmt"

// Policy says how values of many inputs at one instant become one.
type Policy uint8

// The policies of a gauge. Sums that are not monotonic use PolicySum.
const (
	PolicySum Policy = iota
	PolicyMean
	PolicyMin
	PolicyMax
	PolicyLast
	PolicyCount
)

var policyNames = [...]string{
	PolicySum: "sum", PolicyMean: "mean", PolicyMin: "min", PolicyMax: "max", PolicyLast: "last", PolicyCount: "count",
}

// String returns the policy as it is written in a rule.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "unknown"
}

// ParsePolicy reads what String writes.
func ParsePolicy(text string) (Policy, error) {
	for i, name := range policyNames {
		if name == text {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("must be one of sum, mean, min, max, last, count, got %q", text)
}

// Level is the values of the live inputs of one output at one instant.
//
// It is built anew for each flush, by observing the latest value of each input
// that is live then. An input that went stale is left out, which takes it away
// exactly, for integers and doubles, sums and extremes alike. Adding and
// subtracting as points come was rejected: extremes cannot be taken back, and
// doubles would drift with the age of the process instead of the number of
// live inputs.
//
// NaN is as in PromQL: it makes sum and mean NaN, minimum and maximum pass
// over it unless there is nothing else. Infinities add up by IEEE 754.
type Level struct {
	total          Total
	min, max, last Number
	lastTime       uint64
	count          uint64
}

// Reset makes the level that of no inputs.
func (l *Level) Reset() { *l = Level{} }

// Observe adds the latest value of one live input, and reports whether the sum
// left the range of its kind.
func (l *Level) Observe(n Number, time uint64) (overflow bool) {
	l.fold(n, n, n, time, 1)
	return l.total.Add(n)
}

// Merge adds all inputs that o observed.
func (l *Level) Merge(o *Level) (overflow bool) {
	if o.count == 0 {
		return false
	}
	l.fold(o.min, o.max, o.last, o.lastTime, o.count)
	return l.total.Merge(&o.total)
}

// fold merges all but the sum. Of two last values of one time the larger is
// taken, because the order of inputs must not show.
func (l *Level) fold(smallest, largest, last Number, time, count uint64) {
	first := l.count == 0
	// NaN compares below all: as the least it yields and is never taken, as the
	// largest it yields by itself.
	if first || l.min.isNaN() || !smallest.isNaN() && smallest.Compare(l.min) < 0 {
		l.min = smallest
	}
	if first || largest.Compare(l.max) > 0 {
		l.max = largest
	}
	if first || time > l.lastTime || time == l.lastTime && last.Compare(l.last) > 0 {
		l.last, l.lastTime = last, time
	}
	l.count += count
}

func (n Number) isNaN() bool { return n.Finite() == NotANumber }

// Count returns the number of inputs.
func (l *Level) Count() uint64 { return l.count }

// Value returns the inputs under a policy; ok is false if there are none. A
// mean is a double and a count an integer; all else is an integer if every
// input is one, so that the kind does not flap with whoever happens to be least.
func (l *Level) Value(p Policy) (value Number, ok bool) {
	if l.count == 0 {
		return Number{}, false
	}
	switch p {
	case PolicySum:
		return l.total.Value(), true
	case PolicyMean:
		return Double(l.total.Float() / float64(l.count)), true
	case PolicyCount:
		return Int(int64(l.count)), true //nolint:gosec // a number of inputs in memory
	case PolicyMin:
		value = l.min
	case PolicyMax:
		value = l.max
	case PolicyLast:
		value = l.last
	default:
		return Number{}, false
	}
	if l.total.doubles && !value.double {
		value = Double(value.Float())
	}
	return value, true
}
