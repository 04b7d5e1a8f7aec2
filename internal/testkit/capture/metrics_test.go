package capture_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

var (
	start  = time.Unix(1_700_000_000, 0)
	origin = capture.Origin{Job: "api", Instance: "host:1", Start: start, Time: start.Add(time.Minute)}
)

func metricsByName(t *testing.T, r capture.Round) map[string]pmetric.Metric {
	t.Helper()
	md, err := capture.Metrics(r, origin)
	require.NoError(t, err)
	require.Equal(t, 1, md.ResourceMetrics().Len())
	rm := md.ResourceMetrics().At(0)
	assert.Equal(t, map[string]any{"service.name": "api", "service.instance.id": "host:1"}, rm.Resource().Attributes().AsRaw())
	require.Equal(t, 1, rm.ScopeMetrics().Len())
	metrics := map[string]pmetric.Metric{}
	for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
		metrics[m.Name()] = m
	}
	return metrics
}

func TestMetricsKeepTypesAndValues(t *testing.T) {
	metrics := metricsByName(t, round("by hand", byHand))
	require.Len(t, metrics, 5)

	sum := metrics["requests_total"].Sum()
	assert.True(t, sum.IsMonotonic())
	assert.Equal(t, pmetric.AggregationTemporalityCumulative, sum.AggregationTemporality())
	require.Equal(t, 5, sum.DataPoints().Len())
	last := sum.DataPoints().At(4)
	assert.Equal(t, map[string]any{"method": "PUT", "code": "200", "pod": "a", "extra": ""}, last.Attributes().AsRaw())
	assert.InDelta(t, 2, last.DoubleValue(), 0)
	assert.Equal(t, pcommon.NewTimestampFromTime(origin.Start), last.StartTimestamp())
	assert.Equal(t, pcommon.NewTimestampFromTime(origin.Time), last.Timestamp())

	h := metrics["latency_seconds"].Histogram()
	assert.Equal(t, pmetric.AggregationTemporalityCumulative, h.AggregationTemporality())
	require.Equal(t, 2, h.DataPoints().Len())
	p := h.DataPoints().At(0)
	assert.Equal(t, []float64{0.1}, p.ExplicitBounds().AsRaw())
	assert.Equal(t, []uint64{1, 1}, p.BucketCounts().AsRaw())
	assert.Equal(t, uint64(2), p.Count())
	assert.InDelta(t, 3, p.Sum(), 0)
	assert.Equal(t, map[string]any{"path": "/"}, p.Attributes().AsRaw())

	s := metrics["pause_seconds"].Summary().DataPoints().At(0)
	assert.Equal(t, uint64(2), s.Count())
	require.Equal(t, 2, s.QuantileValues().Len())
	assert.InDelta(t, 0.5, s.QuantileValues().At(0).Quantile(), 0)
	assert.True(t, math.IsNaN(s.QuantileValues().At(1).Value()))

	assert.Equal(t, 2, metrics["queue_count"].Gauge().DataPoints().Len())
	assert.Equal(t, 1, metrics["loose_sum"].Gauge().DataPoints().Len(), "untyped is a gauge")
}

// Every family of the real data becomes one metric with one point a stream,
// and a histogram's buckets and two are its series.
func TestMetricsHoldWhatTheOracleCounts(t *testing.T) {
	for _, r := range realRounds(t) {
		families, err := capture.Count(r)
		require.NoError(t, err)
		metrics := metricsByName(t, r)
		require.Len(t, metrics, len(families))
		for name, f := range families {
			streams, series := size(metrics[name])
			assert.Equal(t, f.Streams, streams, "streams of %s", name)
			assert.Equal(t, f.Series, series, "series of %s", name)
		}
	}
}

func size(m pmetric.Metric) (streams, series int) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len(), m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len(), m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			series += p.BucketCounts().Len() + 2
		}
		return m.Histogram().DataPoints().Len(), series
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			series += p.QuantileValues().Len() + 2
		}
		return m.Summary().DataPoints().Len(), series
	}
	return 0, 0
}

func TestMetricsRefuseBrokenText(t *testing.T) {
	_, err := capture.Metrics(round("cut", "x{a=\"1"), origin)
	require.ErrorContains(t, err, `parse round "cut": `)
}
