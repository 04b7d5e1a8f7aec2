package cardinalityprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// armFeeder finds the points of experiments in what a feeder feeds. It uses the
// hashes that the feeder has made.
type armFeeder struct {
	f       *feeder
	armed   *armed
	naming  naming
	view    *armView
	running int64

	// on says that the resource may have points of experiments, of that the metric.
	on, of bool
	match  routing.Match
	found  routing.Points
	// whole is the experiment, if any, of all points of the resource, one that of
	// all points of the metric; known and sure say that points need not be looked
	// at.
	whole, one  *routing.Experiment
	known, sure bool

	metric pmetric.Metric
	scope  pcommon.InstrumentationScope
	units  unitHashes
	points []armPoint
	at     int // where points begin in the feeder's run
	parts  []uint64
}

// unitHashes are those of routers. They are made when the first point asks for
// them.
type unitHashes struct {
	resource, upper, metric          uint64
	hasResource, hasUpper, hasMetric bool
}

// begin takes the experiments for a batch. Without any it costs an atomic load.
func (a *armFeeder) begin() {
	a.on = false
	if a.view = a.armed.view.Load(); a.view == nil || a.view.table.Len() == 0 {
		a.view = nil
		return
	}
	a.running = subWindowOf(time.Now(), a.armed.subWindow)
}

// enterResource looks for experiments of a resource.
func (a *armFeeder) enterResource(attributes pcommon.Map) {
	if a.view == nil {
		return
	}
	a.units = unitHashes{}
	a.match = a.view.table.Resource(attributes)
	a.whole, a.known = a.match.Whole()
	a.on = !a.match.None() && (!a.known || a.whole != nil)
}

func (a *armFeeder) enterScope(scope pcommon.InstrumentationScope) {
	a.scope = scope
	a.units.hasUpper = false
}

// enterMetric looks for experiments of a metric.
func (a *armFeeder) enterMetric(m pmetric.Metric) {
	a.metric, a.units.hasMetric = m, false
	if a.one, a.sure = a.whole, a.known; !a.known {
		a.found = a.match.Metric(m.Name())
		a.one, a.sure = a.found.Whole()
		a.sure = a.sure || a.found.None()
	}
	a.of = !a.sure || a.one != nil
}

// experiment returns that of a point, or nil.
func (a *armFeeder) experiment(point int) *routing.Experiment {
	if a.sure {
		return a.one
	}
	return a.found.Point(a.f.points.Attributes(point))
}

// flush counts the run of points that the feeder has hashed.
func (a *armFeeder) flush() {
	if a.f.targetRun {
		a.flushTarget()
		return
	}
	if !a.of {
		return
	}
	index := a.f.index
	if a.sure {
		a.observe(a.one, 0, len(index))
		return
	}
	for from := 0; from < len(index); { // points of one experiment in a row are counted together
		e, to := a.experiment(index[from]), from+1
		for to < len(index) && a.experiment(index[to]) == e {
			to++
		}
		if e != nil {
			a.observe(e, from, to)
		}
		from = to
	}
}

// observe counts points from..to of the run.
func (a *armFeeder) observe(e *routing.Experiment, from, to int) {
	c := a.view.counters[e.Tag]
	a.points, a.at = a.points[:0], from
	for k := from; k < to; k++ {
		a.points = append(a.points, a.point(c, e, a.f.hashes[k], a.f.index[k]))
	}
	c.observe(a.running, a.points, a)
}

// stale counts the end of a series, which is a point and no sample.
func (a *armFeeder) stale(point int) {
	if !a.of {
		return
	}
	if e := a.experiment(point); e != nil {
		c := a.view.counters[e.Tag]
		c.weigh(a.running, a.point(c, e, 0, point))
	}
}

// flushTarget counts target_info, if the resource is one experiment's.
func (a *armFeeder) flushTarget() {
	if !a.known || a.whole == nil {
		return
	}
	a.at = 0
	a.view.counters[a.whole.Tag].target(a.running, a.f.hashes[0], a)
}

// point describes a point to its counter.
func (a *armFeeder) point(c *armCounter, e *routing.Experiment, stream uint64, i int) armPoint {
	p := armPoint{stream: stream, size: pointSize(a.metric, i)}
	if c.marked {
		if mark, is := a.f.points.Attributes(i).Get(policy.ArmAttribute); is {
			p.stream -= a.f.hasher.Value(series.Point, policy.ArmAttribute, mark)
		}
	}
	switch e.Unit {
	case routing.UnitResource:
		p.unit, p.inUnit = e.ResourceUnit(a.resourceHash()), true
	case routing.UnitSeries:
		p.unit, p.inUnit = e.SeriesUnit(a.seriesHash()+routing.PointHash(a.f.points.Attributes(i))), true
	case routing.UnitAttribute:
		if value, is := e.UnitValue(a.f.resource, a.f.scope, a.f.points.Attributes(i)); is {
			p.unit, p.inUnit = e.AttributeUnit(value), true
		}
	case routing.UnitNone, routing.UnitTrace:
	}
	return p
}

func (a *armFeeder) resourceHash() uint64 {
	if u := &a.units; !u.hasResource {
		u.resource, u.hasResource = routing.ResourceHash(a.f.resource), true
	}
	return a.units.resource
}

// seriesHash is that of all but the point.
func (a *armFeeder) seriesHash() uint64 {
	u := &a.units
	if !u.hasUpper {
		u.upper, u.hasUpper = a.resourceHash()+routing.ScopeHash(a.scope), true
	}
	if !u.hasMetric {
		u.metric, u.hasMetric = routing.MetricHash(a.metric.Name(), a.metric.Unit(), &a.f.points), true
	}
	return u.upper + u.metric
}

// series implements armSource.
func (a *armFeeder) series(point int) []uint64 {
	a.parts = a.naming.appendSeries(a.parts[:0], a.f.Describe(a.at+point))
	return a.parts
}

// release lets go of the batch.
func (a *armFeeder) release() {
	a.view, a.on, a.whole, a.one = nil, false, nil, nil
	a.match, a.found = routing.Match{}, routing.Points{}
	a.metric, a.scope = pmetric.Metric{}, pcommon.InstrumentationScope{}
}

var sizes pmetric.ProtoMarshaler

// pointSize is the size of a point as OTLP, without what resource, scope and
// metric add to a message: that depends on how points are batched, which is no
// property of an arm.
func pointSize(m pmetric.Metric, i int) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return sizes.NumberDataPointSize(m.Gauge().DataPoints().At(i))
	case pmetric.MetricTypeSum:
		return sizes.NumberDataPointSize(m.Sum().DataPoints().At(i))
	case pmetric.MetricTypeHistogram:
		return sizes.HistogramDataPointSize(m.Histogram().DataPoints().At(i))
	case pmetric.MetricTypeExponentialHistogram:
		return sizes.ExponentialHistogramDataPointSize(m.ExponentialHistogram().DataPoints().At(i))
	case pmetric.MetricTypeSummary:
		return sizes.SummaryDataPointSize(m.Summary().DataPoints().At(i))
	case pmetric.MetricTypeEmpty:
	}
	return 0
}
