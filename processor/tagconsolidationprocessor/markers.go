package tagconsolidationprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// Where a rule begins while data flows, what it takes passed before, and
// databases show the last value of a series for some time. So that nobody sees
// series and their sum side by side, the first point of each is taken and goes on
// as the end of its series: a point with the same labels and NoRecordedValue.
//
// It ends when the output is there: at the next edge, where the output is shown
// first, or at once if the output was taken over and is shown already. To keep
// such points until the edge was rejected: they need their attributes, so it takes
// memory without a bound; the time of a point does not have to be that at which it
// is sent.

// lookback is how long databases show the last value of a series: it is the
// default of Prometheus. A series that is silent for longer needs no end.
const lookback = uint64(5 * time.Minute)

// fate is what becomes of the current point where it came.
type fate uint8

const (
	taken  fate = iota
	passes      // it goes on as it is
	ends        // it goes on as the end of its series
)

// judge decides about a point with which something happened. It returns false if
// the point was not counted here.
func (f *feeder) judge(out consolidation.Outcome) (counted bool) {
	const first = consolidation.NewInput | consolidation.Anew
	r, happened := f.lane.rule, out.Happened
	switch {
	case happened&consolidation.RuleMoved != 0:
		f.forward()
		return false
	case out.Verdict.Refused():
	case f.point.Stale:
		if happened&consolidation.Taken != 0 || happened&consolidation.Unknown != 0 && f.now < r.raw {
			f.fate = passes // it is the end of its series
		}
	case happened&consolidation.Taken != 0:
		f.fate, f.endsAt = ends, r.took
	case happened&first != 0 && f.now < r.raw && !f.beganAfter(r):
		f.fate, f.endsAt = ends, f.now-f.now%f.interval+f.interval
	}
	if f.fate != taken {
		f.lane.ended++
	}
	return true
}

// beganAfter says that the stream of the current point began after the rule: there
// was nothing of it that passed.
func (f *feeder) beganAfter(r *rule) bool {
	span := f.point.Span()
	return span.Start != 0 && span.Start < span.Time && span.Start >= uint64(r.since.Load()) //nolint:gosec // not negative
}

// dataPoint is what the points of all types share.
type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}

// end makes a point, which is new, the end of the series of another.
func (f *feeder) end(fresh, of dataPoint) {
	of.Attributes().MoveTo(fresh.Attributes())
	fresh.SetStartTimestamp(of.StartTimestamp())
	fresh.SetTimestamp(max(of.Timestamp(), pcommon.Timestamp(f.endsAt)))
	fresh.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
}

// The following return whether a point that was fed is removed from its batch.

func (f *feeder) numberIsTaken(p pmetric.NumberDataPoint) bool {
	if f.fate == ends {
		fresh := pmetric.NewNumberDataPoint()
		f.end(fresh, p)
		fresh.MoveTo(p)
	}
	return f.fate == taken
}

func (f *feeder) histogramIsTaken(p pmetric.HistogramDataPoint) bool {
	if f.fate == ends {
		fresh := pmetric.NewHistogramDataPoint()
		f.end(fresh, p)
		fresh.MoveTo(p)
	}
	return f.fate == taken
}

func (f *feeder) exponentialIsTaken(p pmetric.ExponentialHistogramDataPoint) bool {
	if f.fate == ends {
		fresh := pmetric.NewExponentialHistogramDataPoint()
		f.end(fresh, p)
		fresh.MoveTo(p)
	}
	return f.fate == taken
}

func (f *feeder) summaryIsTaken(p pmetric.SummaryDataPoint) bool {
	if f.fate == ends {
		fresh := pmetric.NewSummaryDataPoint()
		f.end(fresh, p)
		fresh.MoveTo(p)
	}
	return f.fate == taken
}
