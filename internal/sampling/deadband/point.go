package deadband

import "github.com/phoenix-platform/phoenix/internal/spatial"

// Key is the identity of a series: two independently mixed sums over its
// labels. Rules of hashing are in package series.
type Key struct {
	A, B uint64
}

// Kind is the type of a series.
type Kind uint8

// The kinds of series. A delta has no dead band: leaving it out loses it.
const (
	// Gauge has values that go up and down; its start time means nothing.
	Gauge Kind = iota
	// Counter is a monotonic sum of cumulative temporality.
	Counter
	// UpDown is a cumulative sum that may fall.
	UpDown
	// Histogram is a classic histogram of cumulative temporality.
	Histogram
	// Exponential is an exponential histogram of cumulative temporality.
	Exponential

	kinds
)

var kindNames = [kinds]string{"gauge", "counter", "up_down", "histogram", "exponential"}

// String returns the kind as lower_snake_case.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Point is one point of a series, as a view: nothing of it is retained.
type Point struct {
	Series Key
	Kind   Kind
	// Stale marks a point without a value (NoRecordedValue), whose time is that
	// of Sum.
	Stale bool
	// Now is the time of arrival in nanoseconds of Unix time. It decides who is
	// idle; times within points come from other clocks.
	Now uint64

	// Sum is the value of a sum or a gauge.
	Sum spatial.SumPoint
	// Histogram is the value of a histogram. Its Bounds should be shared: see
	// Band.Bounds.
	Histogram *spatial.HistogramPoint
	// Exponential is the value of an exponential histogram.
	Exponential *spatial.ExponentialPoint
}

func (p *Point) time() uint64 {
	switch p.Kind {
	case Histogram:
		if !p.Stale {
			return p.Histogram.Time
		}
	case Exponential:
		if !p.Stale {
			return p.Exponential.Time
		}
	default:
	}
	return p.Sum.Time
}

// Reason says what becomes of a point and why. Its text is meant for the
// attribute of a counter.
type Reason uint8

// The point is left out.
const (
	// Within means that the reader is not off by more than the tolerance.
	Within Reason = iota
	// Turned is Within for the line that begins at the point before, which is
	// sent now: see Outcome.Before.
	Turned
	// Late is older than the last point of the series. Sending it would put it
	// before points that were left out because of what a reader saw then.
	Late
	// Duplicate is of the time of the last point of the series.
	Duplicate
)

// LeftOut is above every reason that leaves out.
const LeftOut = Duplicate + 1

// The point passes.
const (
	// Moved means that the reader would be off by more than the tolerance.
	Moved Reason = iota + 16
	// Heartbeat means that nothing came for long enough.
	Heartbeat
	// First is the first point of a series, or of one that was forgotten.
	First
	// Reset is a counter that fell, or a histogram of which something fell.
	Reset
	// StartChange is another start time.
	StartChange
	// NotFinite is NaN or an infinity; the point after it passes as Recovered.
	NotFinite
	// Recovered is the first finite value after NotFinite.
	Recovered
	// TypeChange is another type, or an integer after a double.
	TypeChange
	// LayoutChange is a histogram with other buckets, or with other fields.
	LayoutChange
	// PredictorChange means that the rule has another predictor than before.
	PredictorChange
	// ClockBack is older than the last point by more than a heartbeat: the clock
	// of the source was set back, or this is an old batch. The series begins anew.
	ClockBack
	// Ended is a stale marker.
	Ended
	// Restored is the first point after a restart from a state that was not the
	// last one: what the reader saw meanwhile is not known.
	Restored
	// Refused is the first point after one that the next component did not take.
	Refused
	// Retried is a point that comes late, of a time of which points were refused.
	Retried
	// NoRoom is a point of a new series beyond the bound.
	NoRoom
	// NoTime is a point without a time, or past the year 2262.
	NoTime
	// Malformed is a histogram that contradicts itself.
	Malformed
)

// Passes reports whether the point is sent.
func (r Reason) Passes() bool { return r >= Moved }

var reasonNames = map[Reason]string{
	Within: "within_tolerance", Turned: "turned", Late: "late", Duplicate: "duplicate", Moved: "moved", Heartbeat: "heartbeat",
	First: "first", Reset: "reset", StartChange: "start_change", NotFinite: "not_finite", Recovered: "recovered", TypeChange: "type_change",
	LayoutChange: "layout_change", PredictorChange: "predictor_change", ClockBack: "clock_back", Ended: "stale_marker", Restored: "restored", Refused: "after_refusal", Retried: "retried",
	NoRoom: "no_room", NoTime: "no_time", Malformed: "malformed",
}

// Reasons lists all reasons, those that leave out first.
func Reasons() []Reason {
	list := []Reason{Within, Turned, Late, Duplicate}
	for r := Moved; r <= Malformed; r++ {
		list = append(list, r)
	}
	return list
}

// String returns the reason as lower_snake_case.
func (r Reason) String() string {
	if name, ok := reasonNames[r]; ok {
		return name
	}
	return "unknown"
}

// Outcome says what to do with a point.
type Outcome struct {
	Reason Reason
	// Before means that a point that was left out is to be sent first. It is in
	// the Before that was lent.
	Before bool
}

// Before is a point that was left out and comes after all, ahead of the point
// at hand. It is of the same series, so it takes the attributes of that point;
// its exemplars are lost. The caller lends it, and its content is valid until
// it is lent again.
type Before struct {
	// Kind tells which of the others is set.
	Kind        Kind
	Sum         spatial.SumPoint
	Histogram   spatial.HistogramPoint
	Exponential spatial.ExponentialPoint

	counts, negative []uint64
	repay            func() // under the lock of the shard, if it is refused; usually nil
}
