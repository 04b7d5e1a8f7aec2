package cardinalityprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// armFeeder finds the points of experiments in a batch.
type armFeeder struct {
	measurement *measurement
	view        *armView
	now         time.Time

	match   routing.Match
	whole   *routing.Experiment
	above   pcommon.Map // of the resource
	inScope pcommon.Map
	base    uint64 // the hash of what is above the point, as the backend has it
	plain   uint64 // that of the resource and the scope, by which units are assigned
}

var armSizes pmetric.ProtoMarshaler

// resource counts what a resource holds of experiments.
func (f *armFeeder) resource(rm pmetric.ResourceMetrics) {
	f.above = rm.Resource().Attributes()
	f.match = f.view.table.Resource(f.above)
	if f.match.None() {
		return
	}
	e, known := f.match.Whole()
	if known && e == nil {
		return
	}
	f.whole = e
	resource := f.labels(series.Resource, f.above)
	f.plain = routing.ResourceHash(f.above)
	for _, sm := range rm.ScopeMetrics().All() {
		f.inScope = sm.Scope().Attributes()
		f.base = resource
		if f.measurement.backend.Streams() || f.measurement.config.Backend.ScopeLabels {
			f.base += f.measurement.hasher.Map(series.Scope, f.inScope) +
				f.measurement.hasher.Name(sm.Scope().Name(), sm.Scope().Version())
		}
		scope := routing.ScopeHash(sm.Scope())
		for _, m := range sm.Metrics().All() {
			f.metric(m, known, scope)
		}
	}
}

// labels hashes those attributes that the backend tells series apart by.
func (f *armFeeder) labels(domain series.Domain, attributes pcommon.Map) (sum uint64) {
	for key, value := range attributes.All() {
		if _, is := f.measurement.backend.Label(domain, key); is {
			sum += f.measurement.hasher.Value(domain, key, value)
		}
	}
	return sum
}

// metric counts the points of a metric. Those of one experiment are counted under
// one lock.
func (f *armFeeder) metric(m pmetric.Metric, known bool, scope uint64) {
	points, ok := walk.Of(m)
	if !ok || points.Len() == 0 {
		return
	}
	hasher := f.measurement.hasher
	base := f.base + hasher.Name(m.Name(), m.Unit()) + uint64(kind(&points))
	metric := routing.MetricHash(m.Name(), m.Unit(), &points)
	run := armRun{feeder: f, metric: m, points: points, base: base, series: f.plain + scope + metric}
	if known {
		run.count(f.whole, 0, points.Len())
		return
	}
	found := f.match.Metric(m.Name())
	if found.None() {
		return
	}
	if e, whole := found.Whole(); whole {
		run.count(e, 0, points.Len())
		return
	}
	for i := range points.Len() {
		run.count(found.Point(points.Attributes(i)), i, i+1)
	}
}

// armRun is points of one metric.
type armRun struct {
	feeder       *armFeeder
	metric       pmetric.Metric
	points       walk.Points
	base, series uint64
}

// count counts the points from..to of an experiment.
func (r *armRun) count(e *routing.Experiment, from, to int) {
	if e == nil {
		return
	}
	c := r.feeder.view.counters[e.Tag]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(r.feeder.now)
	for i := from; i < to; i++ {
		attributes := r.points.Attributes(i)
		point := r.base + r.feeder.measurement.hasher.Map(series.Point, attributes)
		if mark, marked := attributes.Get(policy.ArmAttribute); marked {
			point -= r.feeder.measurement.hasher.Value(series.Point, policy.ArmAttribute, mark)
		}
		size := r.size(i)
		weight := r.weight(i)
		stale := r.points.Flags(i).NoRecordedValue()
		c.total.add(point, weight, size, stale, maxArmSlots)
		if c.unit == routing.UnitNone {
			continue
		}
		unit, has := r.unit(e, attributes)
		if u := c.unitOf(unit, has); u != nil {
			u.add(point, weight, size, stale, maxUnitSlots)
		}
	}
}

// unit is the hash by which routers assign the point.
func (r *armRun) unit(e *routing.Experiment, attributes pcommon.Map) (uint64, bool) {
	f := r.feeder
	switch e.Unit {
	case routing.UnitResource:
		return e.ResourceUnit(f.plain), true
	case routing.UnitSeries:
		return e.SeriesUnit(r.series + routing.PointHash(attributes)), true
	case routing.UnitAttribute:
		if value, there := e.UnitValue(f.above, f.inScope, attributes); there {
			return e.AttributeUnit(value), true
		}
	case routing.UnitNone, routing.UnitTrace:
	}
	return 0, false
}

// size is that of a point as OTLP.
func (r *armRun) size(i int) int {
	switch r.points.Type() {
	case pmetric.MetricTypeGauge:
		return armSizes.NumberDataPointSize(r.metric.Gauge().DataPoints().At(i))
	case pmetric.MetricTypeSum:
		return armSizes.NumberDataPointSize(r.metric.Sum().DataPoints().At(i))
	case pmetric.MetricTypeHistogram:
		return armSizes.HistogramDataPointSize(r.points.Histogram(i))
	case pmetric.MetricTypeExponentialHistogram:
		return armSizes.ExponentialHistogramDataPointSize(r.metric.ExponentialHistogram().DataPoints().At(i))
	case pmetric.MetricTypeSummary:
		return armSizes.SummaryDataPointSize(r.points.Summary(i))
	case pmetric.MetricTypeEmpty:
	}
	return 0
}

// weight is how many series of the backend the point makes.
func (r *armRun) weight(i int) int {
	if r.feeder.measurement.backend.Streams() {
		return 1
	}
	switch r.points.Type() {
	case pmetric.MetricTypeHistogram:
		p := r.points.Histogram(i)
		if p.HasSum() {
			return p.ExplicitBounds().Len() + 3 // +Inf, count and sum
		}
		return p.ExplicitBounds().Len() + 2
	case pmetric.MetricTypeSummary:
		return r.points.Summary(i).QuantileValues().Len() + 2
	case pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeExponentialHistogram, pmetric.MetricTypeEmpty:
	}
	return 1
}
