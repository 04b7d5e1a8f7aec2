package capture

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Origin says who sends a round and when.
type Origin struct {
	// Job becomes the resource attribute service.name, Instance
	// service.instance.id.
	Job, Instance string
	// Start is when the sender started, Time when it measured.
	Start, Time time.Time
}

// Metrics converts a round into what an application with an OpenTelemetry SDK
// would send: counters are cumulative monotonic sums, histograms have explicit
// bounds, and labels with an empty value are attributes with an empty value.
// Metrics come sorted by name.
func Metrics(r Round, from Origin) (pmetric.Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(r.Text))
	if err != nil {
		return pmetric.Metrics{}, fmt.Errorf("parse round %q: %w", r.Name, err)
	}
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)

	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", from.Job)
	rm.Resource().Attributes().PutStr("service.instance.id", from.Instance)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("phoenix.testkit.capture")
	sm.Metrics().EnsureCapacity(len(names))
	w := writer{start: pcommon.NewTimestampFromTime(from.Start), time: pcommon.NewTimestampFromTime(from.Time)}
	for _, name := range names {
		if err := w.family(families[name], sm.Metrics().AppendEmpty()); err != nil {
			return pmetric.Metrics{}, fmt.Errorf("convert round %q: metric %q: %w", r.Name, name, err)
		}
	}
	return md, nil
}

// writer writes families with the times of one round.
type writer struct{ start, time pcommon.Timestamp }

func (w writer) family(f *dto.MetricFamily, m pmetric.Metric) error {
	m.SetName(f.GetName())
	m.SetDescription(f.GetHelp())
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for _, p := range f.GetMetric() {
			w.number(p, p.GetCounter().GetValue(), sum.DataPoints().AppendEmpty()).SetStartTimestamp(w.start)
		}
	case dto.MetricType_GAUGE:
		points := m.SetEmptyGauge().DataPoints()
		for _, p := range f.GetMetric() {
			w.number(p, p.GetGauge().GetValue(), points.AppendEmpty())
		}
	case dto.MetricType_UNTYPED:
		points := m.SetEmptyGauge().DataPoints()
		for _, p := range f.GetMetric() {
			w.number(p, p.GetUntyped().GetValue(), points.AppendEmpty())
		}
	case dto.MetricType_HISTOGRAM:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for _, p := range f.GetMetric() {
			w.histogram(p, h.DataPoints().AppendEmpty())
		}
	case dto.MetricType_SUMMARY:
		points := m.SetEmptySummary().DataPoints()
		for _, p := range f.GetMetric() {
			w.summary(p, points.AppendEmpty())
		}
	default: // the text format has no others
		return fmt.Errorf("unsupported type %s", f.GetType())
	}
	return nil
}

func (w writer) number(from *dto.Metric, value float64, to pmetric.NumberDataPoint) pmetric.NumberDataPoint {
	to.SetTimestamp(w.time)
	to.SetDoubleValue(value)
	attributes(from, to.Attributes())
	return to
}

// histogram turns cumulative buckets into counts of their own.
func (w writer) histogram(from *dto.Metric, to pmetric.HistogramDataPoint) {
	h := from.GetHistogram()
	to.SetStartTimestamp(w.start)
	to.SetTimestamp(w.time)
	to.SetCount(h.GetSampleCount())
	to.SetSum(h.GetSampleSum())
	var below uint64
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), +1) {
			continue // counted from the sample count
		}
		to.ExplicitBounds().Append(b.GetUpperBound())
		to.BucketCounts().Append(b.GetCumulativeCount() - below)
		below = b.GetCumulativeCount()
	}
	to.BucketCounts().Append(h.GetSampleCount() - below)
	attributes(from, to.Attributes())
}

func (w writer) summary(from *dto.Metric, to pmetric.SummaryDataPoint) {
	s := from.GetSummary()
	to.SetStartTimestamp(w.start)
	to.SetTimestamp(w.time)
	to.SetCount(s.GetSampleCount())
	to.SetSum(s.GetSampleSum())
	for _, q := range s.GetQuantile() {
		v := to.QuantileValues().AppendEmpty()
		v.SetQuantile(q.GetQuantile())
		v.SetValue(q.GetValue())
	}
	attributes(from, to.Attributes())
}

func attributes(from *dto.Metric, to pcommon.Map) {
	to.EnsureCapacity(len(from.GetLabel()))
	for _, l := range from.GetLabel() {
		to.PutStr(l.GetName(), l.GetValue())
	}
}
