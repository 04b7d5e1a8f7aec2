package cardinalityprocessor

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/report"
)

func TestCapabilities(t *testing.T) {
	p := newRig(t).start("")
	assert.Equal(t, consumer.Capabilities{MutatesData: false}, p.Capabilities())
}

// TestDataPassesUntouched sends whatever pdata can hold.
func TestDataPassesUntouched(t *testing.T) {
	r := newRig(t)
	labels, streams := r.start("max_metrics: 50\nmax_attributes_per_metric: 5"), r.create("cardinality/otlp", r.config("backend: {kind: otlp}"))
	require.NoError(t, streams.Start(t.Context(), r.host))
	t.Cleanup(func() { require.NoError(t, streams.Shutdown(t.Context())) })
	rapid.Check(t, func(rt *rapid.T) {
		md := drawStrange(rt)
		before := marshal(t, md)
		md.MarkReadOnly() // whoever writes panics
		r.sink.Reset()
		require.NoError(rt, labels.ConsumeMetrics(t.Context(), md))
		require.NoError(rt, streams.ConsumeMetrics(t.Context(), md))
		require.Len(rt, r.sink.AllMetrics(), 2)
		for _, out := range r.sink.AllMetrics() {
			require.Equal(rt, before, marshal(t, out))
		}
	})
}

// TestLargeAndDeep sends what no generator should send often.
func TestLargeAndDeep(t *testing.T) {
	for _, kind := range []string{"prometheus", "otlp"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			p := r.start("backend: {kind: " + kind + "}")
			md := parseStream(t, "resource service.name=shop host.name=h\nsum wide\n  -\nsum deep\n  -\n  -")
			metrics := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
			wide := metrics.At(0).Sum().DataPoints().At(0).Attributes()
			for i := range 10_000 {
				wide.PutStr("key"+strconv.Itoa(i), "value")
			}
			for i := range 2 {
				deep := metrics.At(1).Sum().DataPoints().At(i).Attributes().PutEmptyMap("nested")
				for range 100 {
					deep.PutStr("level", strconv.Itoa(i))
					deep = deep.PutEmptyMap("next")
				}
			}
			before := marshal(t, md)
			md.MarkReadOnly()
			for range 3 {
				require.NoError(t, p.ConsumeMetrics(t.Context(), md))
			}
			require.Equal(t, before, marshal(t, r.sink.AllMetrics()[2]))

			m := r.metric("wide")
			assert.Equal(t, uint64(1), m.Series)
			assert.Len(t, m.Attributes, 65, "64 and the rest")
			assert.Equal(t, uint64(3), m.Points)
			assert.Equal(t, []string{"max_attributes_per_metric"}, r.report(report.CardinalityQuery{}).Overflow.Reasons)
			assert.Equal(t, uint64(2), r.metric("deep").Series)
		})
	}
}

// drawStrange draws a batch in which anything may be anything.
func drawStrange(t *rapid.T) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		rm := md.ResourceMetrics().AppendEmpty()
		strangeMap(t, rm.Resource().Attributes(), 0)
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.Scope().SetName(strangeText.Draw(t, "scope"))
			sm.Scope().SetVersion(strangeText.Draw(t, "version"))
			strangeMap(t, sm.Scope().Attributes(), 0)
			for range rapid.IntRange(0, 4).Draw(t, "metrics") {
				strangeMetric(t, sm.Metrics().AppendEmpty())
			}
		}
	}
	return md
}

var (
	strangeText = rapid.SampledFrom([]string{
		"", "a", "service.name", "job", "le", "__name__", "\xff\xfe", "\x00", "a b", "ключ", "1", strings.Repeat("x", 70_000),
	})
	strangeNumber = rapid.SampledFrom([]float64{
		0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1),
	})
)

func strangeMap(t *rapid.T, m pcommon.Map, depth int) {
	for range rapid.IntRange(0, 4).Draw(t, "attributes") {
		strangeValue(t, m.PutEmpty(strangeText.Draw(t, "key")), depth)
	}
}

func strangeValue(t *rapid.T, v pcommon.Value, depth int) {
	kinds := 8
	if depth > 3 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0: // empty
	case 1:
		v.SetStr(strangeText.Draw(t, "value"))
	case 2:
		v.SetInt(rapid.SampledFrom([]int64{0, 1, math.MinInt64, math.MaxInt64}).Draw(t, "value"))
	case 3:
		v.SetDouble(strangeNumber.Draw(t, "value"))
	case 4:
		v.SetBool(true)
	case 5:
		v.SetEmptyBytes().FromRaw([]byte(strangeText.Draw(t, "value")))
	case 6:
		for s := v.SetEmptySlice(); s.Len() < 3; {
			strangeValue(t, s.AppendEmpty(), depth+1)
		}
	case 7:
		strangeMap(t, v.SetEmptyMap(), depth+1)
	}
}

func strangeMetric(t *rapid.T, m pmetric.Metric) {
	m.SetName(strangeText.Draw(t, "name"))
	m.SetUnit(strangeText.Draw(t, "unit"))
	m.SetDescription(strangeText.Draw(t, "description"))
	temporality := pmetric.AggregationTemporality(rapid.Int32().Draw(t, "temporality"))
	points := rapid.IntRange(0, 3).Draw(t, "points")
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0: // without data
	case 1:
		for g := m.SetEmptyGauge(); g.DataPoints().Len() < points; {
			strangePoint(t, g.DataPoints().AppendEmpty())
		}
	case 2:
		m.SetEmptySum().SetAggregationTemporality(temporality)
		for m.Sum().DataPoints().Len() < points {
			p := m.Sum().DataPoints().AppendEmpty()
			strangePoint(t, p)
			p.SetDoubleValue(strangeNumber.Draw(t, "value"))
		}
	case 3:
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
		for m.Histogram().DataPoints().Len() < points {
			p := m.Histogram().DataPoints().AppendEmpty()
			strangePoint(t, p)
			p.ExplicitBounds().FromRaw(rapid.SliceOfN(strangeNumber, 0, 20).Draw(t, "bounds"))
			p.BucketCounts().FromRaw([]uint64{1, math.MaxUint64})
		}
	case 4:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
		for m.ExponentialHistogram().DataPoints().Len() < points {
			strangePoint(t, m.ExponentialHistogram().DataPoints().AppendEmpty())
		}
	case 5:
		for s := m.SetEmptySummary(); s.DataPoints().Len() < points; {
			p := s.DataPoints().AppendEmpty()
			strangePoint(t, p)
			p.QuantileValues().AppendEmpty().SetQuantile(strangeNumber.Draw(t, "quantile"))
		}
	}
}

func strangePoint(t *rapid.T, p point) {
	strangeMap(t, p.Attributes(), 0)
	p.SetFlags(pmetric.DataPointFlags(rapid.Uint32().Draw(t, "flags")))
}
