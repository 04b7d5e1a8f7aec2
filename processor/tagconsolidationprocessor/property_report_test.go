package tagconsolidationprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// batch collects reports, those of one resource and metric together.
type batch struct {
	data    pmetric.Metrics
	blocks  []*block
	sharing bool
}

type block struct {
	program *program // of the first report
	metric  pmetric.Metric
}

func newPropertyBatch(sharing bool) *batch {
	return &batch{data: pmetric.NewMetrics(), sharing: sharing}
}

// add adds a report.
func (b *batch) add(r *reading) {
	r.writePoint(b.metric(r.program))
}

func (b *batch) metric(p *program) pmetric.Metric {
	for _, k := range b.blocks {
		if b.sharing && k.program.sameMetric(p) {
			return k.metric
		}
	}
	rm := b.data.ResourceMetrics().AppendEmpty()
	_ = rm.Resource().Attributes().FromRaw(p.resource) // of strings and integers
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(p.scopeName)
	sm.Scope().SetVersion(p.version)
	_ = sm.Scope().Attributes().FromRaw(p.scope)
	m := sm.Metrics().AppendEmpty()
	m.SetName(p.name)
	m.SetUnit(p.unit)
	becomeKind(m, p.kind)
	b.blocks = append(b.blocks, &block{p, m})
	return m
}

// sameMetric says whether the points of two programs belong into one metric.
func (p *program) sameMetric(o *program) bool {
	return p.kind == o.kind && p.name == o.name && p.unit == o.unit && p.scopeName == o.scopeName && p.version == o.version &&
		p.resource["service.name"] == o.resource["service.name"] && p.resource["k8s.pod.name"] == o.resource["k8s.pod.name"] &&
		p.resource["region"] == o.resource["region"] && p.scope["team"] == o.scope["team"]
}

func becomeKind(m pmetric.Metric, kind consolidation.Kind) {
	temporality := pmetric.AggregationTemporalityCumulative
	if kind.Delta() {
		temporality = pmetric.AggregationTemporalityDelta
	}
	switch kind {
	case consolidation.Gauge:
		m.SetEmptyGauge()
	case consolidation.Summary:
		m.SetEmptySummary()
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
	default:
		sum := m.SetEmptySum()
		sum.SetAggregationTemporality(temporality)
		sum.SetIsMonotonic(kind == consolidation.DeltaSum || kind == consolidation.CumulativeSum)
	}
}

func (r *reading) writePoint(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		r.writeNumber(m.Gauge().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSum:
		r.writeNumber(m.Sum().DataPoints().AppendEmpty())
	case pmetric.MetricTypeHistogram:
		p := m.Histogram().DataPoints().AppendEmpty()
		if r.writeHead(p) {
			p.SetCount(r.count)
			p.ExplicitBounds().FromRaw(r.bounds)
			p.BucketCounts().FromRaw(r.counts)
			r.writeFields(p)
		}
	case pmetric.MetricTypeExponentialHistogram:
		p := m.ExponentialHistogram().DataPoints().AppendEmpty()
		if r.writeHead(p) {
			p.SetCount(r.count)
			p.SetScale(r.scale)
			p.SetZeroThreshold(r.threshold)
			p.SetZeroCount(r.zeros)
			p.Positive().SetOffset(r.offset)
			p.Positive().BucketCounts().FromRaw(r.counts)
			p.Negative().SetOffset(r.negOffset)
			p.Negative().BucketCounts().FromRaw(r.negative)
			r.writeFields(p)
		}
	case pmetric.MetricTypeSummary:
		p := m.Summary().DataPoints().AppendEmpty()
		if r.writeHead(p) {
			p.SetCount(r.count)
			p.SetSum(r.sum)
			q := p.QuantileValues().AppendEmpty()
			q.SetQuantile(0.5)
			q.SetValue(1)
		}
	case pmetric.MetricTypeEmpty:
	}
}

// writeHead writes what all points have, and says whether there is a value.
func (r *reading) writeHead(p interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
},
) bool {
	_ = p.Attributes().FromRaw(r.program.point)
	p.SetStartTimestamp(pcommon.Timestamp(r.start))
	p.SetTimestamp(pcommon.Timestamp(r.time))
	p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(r.stale))
	return !r.stale
}

func (r *reading) writeNumber(p pmetric.NumberDataPoint) {
	switch {
	case !r.writeHead(p) || r.noValue:
	case r.double:
		p.SetDoubleValue(r.real)
	default:
		p.SetIntValue(r.whole)
	}
}

func (r *reading) writeFields(p interface {
	SetSum(float64)
	SetMin(float64)
	SetMax(float64)
},
) {
	if r.hasSum {
		p.SetSum(r.sum)
	}
	if r.hasExtreme && r.count > 0 {
		p.SetMin(r.least)
		p.SetMax(r.most)
	}
}

// malform makes a report one that cannot be counted rightly, in one of several
// ways.
func (r *reading) malform(way int) {
	kind := r.program.kind
	number := kind == consolidation.Gauge || kind == consolidation.DeltaSum || kind == consolidation.CumulativeSum ||
		kind == consolidation.DeltaUpDown || kind == consolidation.CumulativeUpDown
	switch {
	case way == 0:
		r.start = r.time + 1
	case way == 1:
		r.start, r.time = 0, 0
	case number && way == 2:
		r.noValue = true
	case kind == consolidation.DeltaSum || kind == consolidation.CumulativeSum:
		r.whole, r.real = -1, -1
	case number: // any value of a gauge is one
		r.start = r.time + 1
	case kind == consolidation.Summary:
		r.count, r.sum = 0, 1
	case way == 2 && len(r.bounds) > 1:
		r.bounds = []float64{2, 2}
	case way == 3:
		r.count, r.zeros, r.counts, r.negative, r.hasSum, r.sum = 0, 0, nil, nil, true, 1
	default:
		r.count++
	}
}
