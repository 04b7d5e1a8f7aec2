package synthetic_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/synthetic"
)

func newMetric(t *testing.T, s synthetic.Settings) *synthetic.Metric {
	t.Helper()
	m, err := synthetic.New(s)
	require.NoError(t, err)
	return m
}

func text(t *testing.T, m *synthetic.Metric) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, m.WriteText(&b, 7))
	return b.Bytes()
}

func TestSavingsAreThosePromised(t *testing.T) {
	const series = 50_000 // the shares are those of any size
	m := newMetric(t, synthetic.Settings{Series: series, Seed: 1})
	require.Equal(t, series, m.Series())
	require.Equal(t, series, m.SeriesWithout(), "no series twice")
	for label, want := range map[string]struct{ distinct, percent int }{
		synthetic.LabelPod:       {75, 0},
		synthetic.LabelPodUID:    {75, 0},
		synthetic.LabelInstance:  {75, 0},
		synthetic.LabelZone:      {3, 0},
		synthetic.LabelCluster:   {1, 0},
		synthetic.LabelRetry:     {1, 10},
		synthetic.LabelDirection: {2, 50},
		synthetic.LabelRoute:     {3, 60},
		synthetic.LabelUser:      {100, 99},
	} {
		assert.Equal(t, want.distinct, m.Distinct(label), "values of %s", label)
		assert.Equal(t, series*(100-want.percent)/100, m.SeriesWithout(label), "series without %s", label)
	}
	pods := []string{synthetic.LabelPod, synthetic.LabelPodUID, synthetic.LabelInstance}
	assert.Equal(t, series, m.SeriesWithout(pods[:2]...), "two of three save nothing")
	assert.Less(t, m.SeriesWithout(pods...), 4_000, "all three save nearly everything")
	assert.Equal(t, series, m.SeriesWithout("absent"))
	assert.Zero(t, m.Distinct("absent"))
	assert.Len(t, m.Labels(), 9)
}

// The text is the same metric: the capture's oracle counts what the generator
// knows.
func TestTheOracleAgrees(t *testing.T) {
	m := newMetric(t, synthetic.Settings{Series: 20_000, Seed: 2, Name: "x_total"})
	families, err := capture.Count(capture.Round{Name: "synthetic", Text: text(t, m)})
	require.NoError(t, err)
	require.Len(t, families, 1)
	f := families["x_total"]
	assert.Equal(t, capture.TypeCounter, f.Type)
	assert.Equal(t, m.Series(), f.Series)
	require.Len(t, f.Labels, len(m.Labels()))
	for _, label := range m.Labels() {
		assert.Equal(t, m.Distinct(label), f.Labels[label].Distinct, label)
		assert.Equal(t, m.SeriesWithout(label), f.Labels[label].SeriesWithout, label)
	}
	pods := []string{synthetic.LabelPod, synthetic.LabelPodUID, synthetic.LabelInstance, synthetic.LabelZone}
	assert.Equal(t, f.SeriesWithout(pods...), m.SeriesWithout(pods...))
}

func TestBatchesHoldEverySeriesOnce(t *testing.T) {
	m := newMetric(t, synthetic.Settings{Series: 2_000, Seed: 3})
	from := synthetic.Origin{Service: "shop", Start: time.Unix(1, 0), Time: time.Unix(2, 0)}
	seen, batches := map[string]bool{}, 0
	for md := range m.Batches(600, 7, from) {
		batches++
		assert.LessOrEqual(t, md.DataPointCount(), 600)
		rm := md.ResourceMetrics().At(0)
		assert.Equal(t, map[string]any{"service.name": "shop"}, rm.Resource().Attributes().AsRaw())
		metric := rm.ScopeMetrics().At(0).Metrics().At(0)
		assert.Equal(t, m.Name(), metric.Name())
		assert.True(t, metric.Sum().IsMonotonic())
		assert.Equal(t, pmetric.AggregationTemporalityCumulative, metric.Sum().AggregationTemporality())
		for _, p := range metric.Sum().DataPoints().All() {
			seen[string(attributesJSON(t, p))] = true
			require.Equal(t, int64(7), p.IntValue())
		}
	}
	assert.Equal(t, 4, batches)
	assert.Len(t, seen, 2_000)

	for range m.Batches(600, 7, from) {
		break // the caller may stop early
	}
}

func attributesJSON(t *testing.T, p pmetric.NumberDataPoint) []byte {
	t.Helper()
	md := pmetric.NewMetrics()
	p.Attributes().CopyTo(md.ResourceMetrics().AppendEmpty().Resource().Attributes())
	b, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	return b
}

func TestSeedDecidesValuesAndOrderOnly(t *testing.T) {
	first := text(t, newMetric(t, synthetic.Settings{Series: 2_000, Seed: 4}))
	again := text(t, newMetric(t, synthetic.Settings{Series: 2_000, Seed: 4}))
	other := newMetric(t, synthetic.Settings{Series: 2_000, Seed: 5})
	assert.True(t, bytes.Equal(first, again))
	assert.False(t, bytes.Equal(first, text(t, other)))
	assert.Equal(t, 2_000, other.Series())
}

func TestSettings(t *testing.T) {
	m := newMetric(t, synthetic.Settings{})
	assert.Equal(t, 200_000, m.Series())
	assert.Equal(t, "synthetic_requests_total", m.Name())
	for _, series := range []int{-2_000, 1_999, 2_001, 100_000_000} {
		_, err := synthetic.New(synthetic.Settings{Series: series})
		require.ErrorContains(t, err, "series: ")
	}
}
