package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/walk"
)

// markerLead is by how much a marker is older than the point that its stream has
// in the other arm. Where both arms write one series of the backend, two values
// of one time would collide.
const markerLead = pcommon.Timestamp(time.Millisecond)

// continuity is what keeps a stream right that moves to the other arm.
type continuity uint8

const (
	// continuityNone: every point stands for itself (delta).
	continuityNone continuity = iota
	// continuityLevel: the arm that it left must drop the last value.
	continuityLevel
	// continuityCounter: besides, what it grew by between its last point in one arm
	// and its first in the other must be counted once. So the first point is given
	// to both arms, to the new one as a base line.
	continuityCounter
)

func continuityOf(p *walk.Points) continuity {
	switch p.Type() {
	case pmetric.MetricTypeGauge:
		return continuityLevel
	case pmetric.MetricTypeSummary:
		return continuityCounter
	case pmetric.MetricTypeSum:
		if p.Temporality() == pmetric.AggregationTemporalityCumulative && !p.Monotonic() {
			return continuityLevel
		}
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeHistogram, pmetric.MetricTypeExponentialHistogram:
	}
	if p.Temporality() == pmetric.AggregationTemporalityCumulative {
		return continuityCounter
	}
	return continuityNone
}

// left returns the change by which a unit moved to its arm, if it did so in one
// that is still in its phase; nil otherwise.
func (a *assigner) left(p *participant, unit uint64, to side) *assignment {
	for x := p.moving; x != nil; x = x.moved.after(a.now, a.s.overlaps.phase) {
		if armOf(unit, x.before) != to {
			return x
		}
	}
	return nil
}

// marks says what else becomes of a point of a unit, besides that it is given to
// its arm.
func (a *assigner) marks(p *participant, unit uint64, to side, i int) code {
	by := a.left(p, unit, to)
	if by == nil {
		return 0
	}
	points := &a.place.points
	kind := continuityOf(points)
	switch {
	case kind == continuityNone:
		return 0
	case points.Flags(i).NoRecordedValue():
		return codeCopy // the stream ends: both arms may still have it
	case kind == continuityLevel:
		return codeMarker
	case !by.live || to == toBaseline && p.route.state.breach.Load() != nil:
		// What it sent to the arm that it left is not known after a restart; and a
		// candidate that was closed because it fails gets no more points.
		a.division.withoutOverlap++
		return codeMarker | codeUnknownStart
	}
	switch stream := a.place.seriesHash(i); a.s.overlaps.take(by, stream) {
	case tookFirst:
		a.division.shared = append(a.division.shared, shared{by: by, stream: stream})
		return codeCopy | codeUnknownStart
	case tookNone:
		a.division.withoutOverlap++
		return codeMarker | codeUnknownStart
	case tookBefore:
	}
	return codeMarker
}

// dataPoint is what the points of all types have.
type dataPoint[P any] interface {
	Attributes() pcommon.Map
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
	CopyTo(P)
}

// setMarker makes a stale marker of an empty point: what of the stream is before
// the given point is over.
func setMarker[P dataPoint[P]](marker, point P) {
	point.Attributes().CopyTo(marker.Attributes())
	start, at := point.StartTimestamp(), point.Timestamp()
	if start >= at { // unknown, as OTLP has it
		start = 0
	}
	marker.SetStartTimestamp(start)
	marker.SetTimestamp(max(start, at-min(at, markerLead)))
	marker.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
}
