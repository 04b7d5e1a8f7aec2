package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

func attributes(pairs ...string) pcommon.Map {
	m := pcommon.NewMap()
	for i := 0; i < len(pairs); i += 2 {
		m.PutStr(pairs[i], pairs[i+1])
	}
	return m
}

func scope(name string) *stream.Scope {
	resource := &stream.Resource{Attributes: attributes("service.name", "shop"), SchemaURL: "https://schema/r"}
	return &stream.Scope{Resource: resource, Name: name, Version: "1", Attributes: attributes("lib", "x"), SchemaURL: "https://schema/s"}
}

func metric(s *stream.Scope, name string, kind consolidation.Kind) *stream.Metric {
	return &stream.Metric{
		Scope: s, Name: name, Description: "what " + name + " is", Unit: "1", Metadata: attributes("kept", "yes"), Kind: kind,
	}
}

func TestBatchGroupsLikeOTLP(t *testing.T) {
	b := stream.NewBatch("phoenix.writer", "w1")
	s := scope("lib")
	requests, errors := metric(s, "requests", consolidation.CumulativeSum), metric(s, "errors", consolidation.CumulativeSum)
	for _, m := range []*stream.Metric{requests, errors, requests} {
		exemplars, ok := b.Add(&consolidation.Emission{
			Owner: &stream.Stream{Metric: m, Attributes: attributes("route", "/")}, Kind: m.Kind, Start: 5, Time: 10, Number: spatial.Int(3),
		})
		require.True(t, ok)
		require.Zero(t, exemplars.Len())
	}
	require.Equal(t, 3, b.Len())
	md := b.Take()
	require.Zero(t, b.Len())
	require.Zero(t, b.Take().ResourceMetrics().Len())

	require.Equal(t, 1, md.ResourceMetrics().Len())
	rm := md.ResourceMetrics().At(0)
	require.Equal(t, "https://schema/r", rm.SchemaUrl())
	require.Equal(t, map[string]any{"service.name": "shop"}, rm.Resource().Attributes().AsRaw())
	require.Equal(t, 1, rm.ScopeMetrics().Len())
	sm := rm.ScopeMetrics().At(0)
	require.Equal(t, "https://schema/s", sm.SchemaUrl())
	require.Equal(t, "lib", sm.Scope().Name())
	require.Equal(t, "1", sm.Scope().Version())
	require.Equal(t, map[string]any{"lib": "x"}, sm.Scope().Attributes().AsRaw())
	require.Equal(t, 2, sm.Metrics().Len())
	m := sm.Metrics().At(0)
	require.Equal(t, []string{"requests", "what requests is", "1"}, []string{m.Name(), m.Description(), m.Unit()})
	require.Equal(t, map[string]any{"kept": "yes"}, m.Metadata().AsRaw())
	require.Equal(t, 2, m.Sum().DataPoints().Len())
	p := m.Sum().DataPoints().At(0)
	require.Equal(t, map[string]any{"route": "/", "phoenix.writer": "w1"}, p.Attributes().AsRaw())
	require.EqualValues(t, 5, p.StartTimestamp())
	require.EqualValues(t, 10, p.Timestamp())
	require.EqualValues(t, 3, p.IntValue())
}

func TestBatchKinds(t *testing.T) {
	bounds, _ := spatial.NewBounds([]float64{1, 2})
	moments := spatial.Moments{Sum: 4.5, Min: 1, Max: 2, Known: spatial.HasSum | spatial.HasMin | spatial.HasMax}
	classic := &spatial.HistogramPoint{Bounds: bounds, Counts: []uint64{1, 2, 0}, Count: 3, Moments: moments}
	exponential := &spatial.ExponentialPoint{
		Scale: 2, ZeroThreshold: 0.5, ZeroCount: 1, Count: 6, Moments: moments,
		Positive: spatial.Buckets{Offset: -3, Counts: []uint64{2, 0, 1}}, Negative: spatial.Buckets{Offset: 4, Counts: []uint64{2}},
	}
	summary := spatial.SummaryPoint(spatial.Span{}, 7, 8.5)
	for kind := range consolidation.Summary + 1 {
		t.Run(kind.String(), func(t *testing.T) {
			e := consolidation.Emission{
				Owner: &stream.Stream{Metric: metric(scope(""), "m", kind), Attributes: attributes()},
				Kind:  kind, Time: 10, Number: spatial.Double(1.5),
			}
			switch kind {
			case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
				e.Histogram = classic
			case consolidation.DeltaExponential, consolidation.CumulativeExponential:
				e.Exponential = exponential
			case consolidation.Summary:
				e.Histogram = &summary
			default:
			}
			m := added(t, &e)
			temporality := pmetric.AggregationTemporalityCumulative
			if kind.Delta() {
				temporality = pmetric.AggregationTemporalityDelta
			}
			switch kind {
			case consolidation.Gauge:
				require.InDelta(t, 1.5, m.Gauge().DataPoints().At(0).DoubleValue(), 0)
			case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
				require.Equal(t, temporality, m.Histogram().AggregationTemporality())
				p := m.Histogram().DataPoints().At(0)
				require.Equal(t, []float64{1, 2}, p.ExplicitBounds().AsRaw())
				require.Equal(t, []uint64{1, 2, 0}, p.BucketCounts().AsRaw())
				require.EqualValues(t, 3, p.Count())
				require.Equal(t, []float64{4.5, 1, 2}, []float64{p.Sum(), p.Min(), p.Max()})
			case consolidation.DeltaExponential, consolidation.CumulativeExponential:
				require.Equal(t, temporality, m.ExponentialHistogram().AggregationTemporality())
				p := m.ExponentialHistogram().DataPoints().At(0)
				require.Equal(t, []int32{2, -3, 4}, []int32{p.Scale(), p.Positive().Offset(), p.Negative().Offset()})
				require.Equal(t, []uint64{2, 0, 1}, p.Positive().BucketCounts().AsRaw())
				require.Equal(t, []uint64{2}, p.Negative().BucketCounts().AsRaw())
				require.Equal(t, []uint64{1, 6}, []uint64{p.ZeroCount(), p.Count()})
				require.InDelta(t, 0.5, p.ZeroThreshold(), 0)
				require.Equal(t, []float64{4.5, 1, 2}, []float64{p.Sum(), p.Min(), p.Max()})
			case consolidation.Summary:
				p := m.Summary().DataPoints().At(0)
				require.EqualValues(t, 7, p.Count())
				require.InDelta(t, 8.5, p.Sum(), 0)
				require.Zero(t, p.QuantileValues().Len())
			default:
				require.Equal(t, temporality, m.Sum().AggregationTemporality())
				require.Equal(t, kind == consolidation.DeltaSum || kind == consolidation.CumulativeSum, m.Sum().IsMonotonic())
				require.InDelta(t, 1.5, m.Sum().DataPoints().At(0).DoubleValue(), 0)
			}
		})
		t.Run(kind.String()+" stale", func(t *testing.T) {
			m := added(t, &consolidation.Emission{
				Owner: &stream.Stream{Metric: metric(scope(""), "m", kind), Attributes: attributes()}, Kind: kind, Time: 10, Stale: true,
			})
			md := pmetric.NewMetrics()
			m.CopyTo(md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty())
			require.Equal(t, 1, md.DataPointCount())
			require.True(t, stale(m))
		})
	}
}

func added(t *testing.T, e *consolidation.Emission) pmetric.Metric {
	t.Helper()
	b := stream.NewBatch("", "")
	_, exemplars := b.Add(e)
	require.Equal(t, e.Kind != consolidation.Summary, exemplars)
	return b.Take().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
}

func stale(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().At(0).Flags().NoRecordedValue()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().At(0).Flags().NoRecordedValue()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().At(0).Flags().NoRecordedValue()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().At(0).Flags().NoRecordedValue()
	default:
		return m.Summary().DataPoints().At(0).Flags().NoRecordedValue()
	}
}

func TestBatchMarksBoundsKeptApart(t *testing.T) {
	m := added(t, &consolidation.Emission{
		Owner: &stream.Stream{Metric: metric(scope(""), "m", consolidation.DeltaHistogram), Attributes: attributes("a", "b")},
		Kind:  consolidation.DeltaHistogram, Time: 1, Variant: 0xab,
		Histogram: &spatial.HistogramPoint{Counts: []uint64{1}, Count: 1},
	})
	require.Equal(t, map[string]any{"a": "b", "phoenix.bounds": "ab"}, m.Histogram().DataPoints().At(0).Attributes().AsRaw())
}
