package abrouterconnector

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// pointAt is a point with all that it stands under.
type pointAt struct {
	resource pmetric.ResourceMetrics
	scope    pmetric.ScopeMetrics
	metric   pmetric.Metric
	i        int
}

// content is the point alone in a request of its own: equal only if everything
// is, from the schema of the resource to the exemplars.
func (p pointAt) content(t require.TestingT) string {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	p.resource.Resource().CopyTo(rm.Resource())
	rm.SetSchemaUrl(p.resource.SchemaUrl())
	sm := rm.ScopeMetrics().AppendEmpty()
	p.scope.Scope().CopyTo(sm.Scope())
	sm.SetSchemaUrl(p.scope.SchemaUrl())
	m := sm.Metrics().AppendEmpty()
	p.metric.CopyTo(m)
	i := 0
	removeIf(m, func() bool { i++; return i-1 != p.i })
	return encoded(t, md)
}

// removeIf removes points, whatever their type.
func removeIf(m pmetric.Metric, f func() bool) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return f() })
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return f() })
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return f() })
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(pmetric.ExponentialHistogramDataPoint) bool { return f() })
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(func(pmetric.SummaryDataPoint) bool { return f() })
	case pmetric.MetricTypeEmpty:
	}
}

func encoded(t require.TestingT, md pmetric.Metrics) string {
	data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	return string(data)
}

// each calls f with every point, in order, and empty with each container that
// holds nothing.
func each(md pmetric.Metrics, f func(pointAt), empty func(string)) {
	for _, rm := range md.ResourceMetrics().All() {
		if rm.ScopeMetrics().Len() == 0 {
			empty(fmt.Sprint("resource ", rm.Resource().Attributes().AsRaw()))
		}
		for _, sm := range rm.ScopeMetrics().All() {
			if sm.Metrics().Len() == 0 {
				empty(fmt.Sprint("scope ", rm.Resource().Attributes().AsRaw(), sm.Scope().Name()))
			}
			for _, m := range sm.Metrics().All() {
				if pointsOfMetric(m) == 0 {
					empty(fmt.Sprint("metric ", rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), m.Name(), m.Type()))
				}
				for i := range pointsOfMetric(m) {
					f(pointAt{rm, sm, m, i})
				}
			}
		}
	}
}

// contents lists what is in a batch: points, and what is empty.
func contents(t require.TestingT, md pmetric.Metrics) (list []string) {
	each(md, func(p pointAt) { list = append(list, p.content(t)) }, func(what string) { list = append(list, what) })
	return list
}

// tenantsOfTest are the values that attributes of drawn batches have.
var tenantsOfTest = []string{"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"}

// drawMetrics draws a batch with everything in it that OTLP has.
func drawMetrics(t *rapid.T) pmetric.Metrics {
	md := pmetric.NewMetrics()
	serial := 0
	for range rapid.IntRange(0, 4).Draw(t, "resources") {
		rm := md.ResourceMetrics().AppendEmpty()
		drawAttributes(t, rm.Resource().Attributes())
		rm.Resource().SetDroppedAttributesCount(rapid.Uint32Range(0, 3).Draw(t, "dropped"))
		rm.SetSchemaUrl(rapid.SampledFrom([]string{"", "https://schema/1"}).Draw(t, "schema"))
		for range rapid.IntRange(0, 3).Draw(t, "scopes") {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl(rapid.SampledFrom([]string{"", "https://schema/2"}).Draw(t, "schema"))
			sm.Scope().SetName(rapid.SampledFrom([]string{"", "library"}).Draw(t, "scope"))
			sm.Scope().SetVersion("1")
			sm.Scope().SetDroppedAttributesCount(2)
			drawAttributes(t, sm.Scope().Attributes())
			for range rapid.IntRange(0, 3).Draw(t, "metrics") {
				drawMetric(t, sm.Metrics().AppendEmpty(), &serial)
			}
		}
	}
	return md
}

func drawAttributes(t *rapid.T, m pcommon.Map) {
	for _, key := range []string{"service.name", "tenant"} {
		if v := rapid.SampledFrom(append(tenantsOfTest, "")).Draw(t, key); v != "" {
			m.PutStr(key, v)
		}
	}
	m.PutEmptySlice("list").AppendEmpty().SetInt(1)
}

var temporalities = []pmetric.AggregationTemporality{
	pmetric.AggregationTemporalityUnspecified, pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative,
}

// drawMetric draws a metric with points that differ by their number.
func drawMetric(t *rapid.T, m pmetric.Metric, serial *int) {
	m.SetName(rapid.SampledFrom([]string{"m1", "m2"}).Draw(t, "metric"))
	m.SetDescription("what it is")
	m.SetUnit("By")
	m.Metadata().PutStr("prometheus.type", "counter")
	n := rapid.IntRange(0, 5).Draw(t, "points")
	temporality := rapid.SampledFrom(temporalities).Draw(t, "temporality")
	next := func(attributes pcommon.Map) int {
		drawAttributes(t, attributes)
		*serial++
		return *serial
	}
	switch rapid.SampledFrom([]string{"none", "gauge", "sum", "histogram", "exponential", "summary"}).Draw(t, "type") {
	case "gauge":
		fillNumbers(m.SetEmptyGauge().DataPoints(), n, next)
	case "sum":
		m.SetEmptySum().SetAggregationTemporality(temporality)
		m.Sum().SetIsMonotonic(rapid.Bool().Draw(t, "monotonic"))
		fillNumbers(m.Sum().DataPoints(), n, next)
	case "histogram":
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
		for range n {
			p := m.Histogram().DataPoints().AppendEmpty()
			p.SetCount(uint64(next(p.Attributes())))
			p.SetSum(1)
			p.SetMin(0.5)
			p.BucketCounts().FromRaw([]uint64{1, 2})
			p.ExplicitBounds().FromRaw([]float64{1})
			p.Exemplars().AppendEmpty().SetIntValue(1)
		}
	case "exponential":
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
		for range n {
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			p.SetCount(uint64(next(p.Attributes())))
			p.SetScale(3)
			p.Positive().BucketCounts().FromRaw([]uint64{1, 2})
		}
	case "summary":
		m.SetEmptySummary()
		for range n {
			p := m.Summary().DataPoints().AppendEmpty()
			p.SetCount(uint64(next(p.Attributes())))
			p.QuantileValues().AppendEmpty().SetQuantile(0.5)
		}
	}
}

func fillNumbers(points pmetric.NumberDataPointSlice, n int, next func(pcommon.Map) int) {
	for i := range n {
		p := points.AppendEmpty()
		if serial := next(p.Attributes()); i%2 == 0 {
			p.SetIntValue(int64(serial))
		} else {
			p.SetDoubleValue(float64(serial))
		}
		p.SetTimestamp(2e9)
		p.SetStartTimestamp(1e9)
		p.Exemplars().AppendEmpty().SetDoubleValue(0.5)
	}
}

func TestDrawnPointsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		each(drawMetrics(t), func(p pointAt) {
			c := p.content(t)
			require.False(t, seen[c])
			seen[c] = true
		}, func(string) {})
	})
}
