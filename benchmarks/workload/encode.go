package workload

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is one encoded request and where its points are in it. Times and
// values have a fixed width in OTLP, so that a round overwrites them in place.
type request struct {
	body   []byte
	points []point
}

// point is where a point's time and value are.
type point struct {
	time, value int
	double      bool
	step        uint64
}

// doubleStep makes seconds of a step. It is a power of two: sums stay exact.
const doubleStep = 1.0 / 64

func (p *point) increment() float64 {
	if p.double {
		return float64(p.step) * doubleStep
	}
	return float64(p.step)
}

func (r *request) advance(round int, now time.Time) {
	nanos := uint64(now.UnixNano())
	for i := range r.points {
		p := &r.points[i]
		bits := uint64(max(0, round)) * p.step
		if p.double {
			bits = math.Float64bits(float64(bits) * doubleStep)
		}
		binary.LittleEndian.PutUint64(r.body[p.time:], nanos)
		binary.LittleEndian.PutUint64(r.body[p.value:], bits)
	}
}

// encode makes the request of PodsPerRequest pods of a service, beginning with
// pod.
func encode(shape Shape, service, pod int, start time.Time) (request, error) {
	md := pmetric.NewMetrics()
	var r request
	for p := pod; p < pod+shape.PodsPerRequest; p++ {
		rm := md.ResourceMetrics().AppendEmpty()
		putResource(rm.Resource().Attributes(), service, p)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(scopeName)
		sm.Scope().SetVersion(scopeVersion)
		for m := range metrics {
			fillMetric(sm.Metrics().AppendEmpty(), metrics[m], shape, start, func(route, code int, attrs pcommon.Map) {
				putPoint(attrs, service, p, route, code)
				r.points = append(r.points, point{double: metrics[m].double, step: increment(service, p, m, route, code)})
			})
		}
	}
	var err error
	if r.body, err = new(pmetric.ProtoMarshaler).MarshalMetrics(md); err != nil {
		return request{}, fmt.Errorf("encode a request: %w", err)
	}
	if err := r.locate(); err != nil {
		return request{}, fmt.Errorf("find the points of a request: %w", err)
	}
	return r, nil
}

// fillMetric writes a metric with all its points, in the order in which it
// calls put.
func fillMetric(to pmetric.Metric, m metric, shape Shape, start time.Time, put func(route, code int, attrs pcommon.Map)) {
	to.SetName(m.name)
	to.SetDescription(m.description)
	to.SetUnit(m.unit)
	sum := to.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.DataPoints().EnsureCapacity(shape.Routes * shape.Codes)
	for route := range shape.Routes {
		for code := range shape.Codes {
			p := sum.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			p.SetTimestamp(pcommon.NewTimestampFromTime(start))
			if m.double {
				p.SetDoubleValue(doubleStep)
			} else {
				p.SetIntValue(1)
			}
			put(route, code, p.Attributes())
		}
	}
}

// The way from a request to its points, and the fields of a point, as numbered
// by opentelemetry/proto/metrics/v1/metrics.proto.
var toPoint = []protowire.Number{
	1, // ExportMetricsServiceRequest.resource_metrics
	2, // ResourceMetrics.scope_metrics
	2, // ScopeMetrics.metrics
	7, // Metric.sum
	1, // Sum.data_points
}

const (
	fieldTime   = 3 // NumberDataPoint.time_unix_nano
	fieldDouble = 4 // NumberDataPoint.as_double
	fieldInt    = 6 // NumberDataPoint.as_int
)

// locate finds the offsets of times and values.
func (r *request) locate() error {
	found := 0
	var walk func(begin, end, depth int) error
	walk = func(begin, end, depth int) error {
		for begin < end {
			number, kind, n := protowire.ConsumeTag(r.body[begin:end])
			if n < 0 {
				return protowire.ParseError(n)
			}
			begin += n
			size := protowire.ConsumeFieldValue(number, kind, r.body[begin:end])
			if size < 0 {
				return protowire.ParseError(size)
			}
			switch {
			case depth == len(toPoint):
				r.points[found].note(number, begin)
			case number == toPoint[depth]:
				_, prefix := protowire.ConsumeVarint(r.body[begin:end])
				if err := walk(begin+prefix, begin+size, depth+1); err != nil {
					return err
				}
			}
			begin += size
		}
		if depth == len(toPoint) {
			found++
		}
		return nil
	}
	if err := walk(0, len(r.body), 0); err != nil {
		return err
	}
	if found != len(r.points) {
		return fmt.Errorf("%d of %d", found, len(r.points))
	}
	return nil
}

func (p *point) note(number protowire.Number, at int) {
	switch number {
	case fieldTime:
		p.time = at
	case fieldDouble, fieldInt:
		p.value = at
	default: // its start and attributes stay
	}
}
