package walk_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/walk"
)

// point is what every type of data point has.
type point interface {
	Attributes() pcommon.Map
	Flags() pmetric.DataPointFlags
	SetFlags(pmetric.DataPointFlags)
}

// kind is a type of metrics, how a metric becomes one and how it gets a point.
type kind struct {
	name        string
	is          pmetric.MetricType
	become      func(pmetric.Metric)
	add         func(pmetric.Metric) point
	temporality pmetric.AggregationTemporality
	monotonic   bool
}

// kinds are all five types with all temporalities that they may have.
func kinds() []kind {
	list := []kind{
		{
			name: "gauge", is: pmetric.MetricTypeGauge,
			become: func(m pmetric.Metric) { m.SetEmptyGauge() },
			add:    func(m pmetric.Metric) point { return m.Gauge().DataPoints().AppendEmpty() },
		},
		{
			name: "summary", is: pmetric.MetricTypeSummary,
			become: func(m pmetric.Metric) { m.SetEmptySummary() },
			add:    func(m pmetric.Metric) point { return m.Summary().DataPoints().AppendEmpty() },
		},
	}
	for _, temporality := range []pmetric.AggregationTemporality{
		pmetric.AggregationTemporalityUnspecified, pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative,
	} {
		list = append(list, aggregated(temporality)...)
	}
	return list
}

// aggregated are the types that have a temporality.
func aggregated(temporality pmetric.AggregationTemporality) []kind {
	list := []kind{
		{
			name: "histogram", is: pmetric.MetricTypeHistogram, temporality: temporality,
			become: func(m pmetric.Metric) { m.SetEmptyHistogram().SetAggregationTemporality(temporality) },
			add:    func(m pmetric.Metric) point { return m.Histogram().DataPoints().AppendEmpty() },
		},
		{
			name: "exponential histogram", is: pmetric.MetricTypeExponentialHistogram, temporality: temporality,
			become: func(m pmetric.Metric) { m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality) },
			add:    func(m pmetric.Metric) point { return m.ExponentialHistogram().DataPoints().AppendEmpty() },
		},
	}
	for _, monotonic := range []bool{false, true} {
		list = append(list, kind{
			name: fmt.Sprint("sum, monotonic ", monotonic), is: pmetric.MetricTypeSum, temporality: temporality, monotonic: monotonic,
			become: func(m pmetric.Metric) {
				m.SetEmptySum().SetAggregationTemporality(temporality)
				m.Sum().SetIsMonotonic(monotonic)
			},
			add: func(m pmetric.Metric) point { return m.Sum().DataPoints().AppendEmpty() },
		})
	}
	for i := range list {
		list[i].name += ", " + temporality.String()
	}
	return list
}

// eachKind runs a test with an empty metric of every kind.
func eachKind(t *testing.T, test func(t *testing.T, k kind, m pmetric.Metric)) {
	t.Helper()
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			m := pmetric.NewMetric()
			k.become(m)
			test(t, k, m)
		})
	}
}

func TestEveryTypeIsAmongTheKinds(t *testing.T) {
	known := map[pmetric.MetricType]bool{}
	for _, k := range kinds() {
		known[k.is] = true
	}
	for is := pmetric.MetricTypeEmpty + 1; is.String() != ""; is++ {
		require.True(t, known[is], "pdata has a new type: %s", is)
	}
	require.Len(t, known, 5)
}

func TestPointsAreWhatDirectAccessGives(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind, m pmetric.Metric) {
		const n = 3
		direct := make([]point, 0, n)
		for i := range n {
			p := k.add(m)
			p.Attributes().PutInt("i", int64(i))
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(i == 1))
			direct = append(direct, p)
		}
		points, ok := walk.Of(m)
		require.True(t, ok)
		require.Equal(t, k.is, points.Type())
		require.Equal(t, k.temporality, points.Temporality())
		require.Equal(t, k.monotonic, points.Monotonic())
		require.Equal(t, n, points.Len())
		for i := range n {
			require.Equal(t, map[string]any{"i": int64(i)}, points.Attributes(i).AsRaw())
			points.Attributes(i).PutBool("written", true)
			require.Equal(t, 2, direct[i].Attributes().Len(), "the same map, not a copy")
			require.Equal(t, direct[i].Flags(), points.Flags(i))
			require.Equal(t, i == 1, points.Flags(i).NoRecordedValue())
		}
	})
}

func TestAMetricWithoutPointsIsKnown(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind, m pmetric.Metric) {
		points, ok := walk.Of(m)
		require.True(t, ok)
		require.Equal(t, k.is, points.Type())
		require.Zero(t, points.Len())
	})
}

func TestAMetricWithoutDataIsNot(t *testing.T) {
	points, ok := walk.Of(pmetric.NewMetric())
	require.False(t, ok)
	require.Equal(t, pmetric.MetricTypeEmpty, points.Type())
	require.Zero(t, points.Len(), "a loop over it does nothing")
	require.Equal(t, pmetric.AggregationTemporalityUnspecified, points.Temporality())
	require.False(t, points.Monotonic())
}

// A type that came after this version decodes to a metric without data: the
// field of its oneof is unknown.
func TestATypeOfALaterVersionIsNotKnown(t *testing.T) {
	name := []byte{0x0a, 1, 'm'}
	later := []byte{0xa2, 0x06, 2, 0x0a, 0} // field 100
	metric := append(append([]byte{}, name...), later...)
	wrap := func(field byte, message []byte) []byte {
		return append([]byte{field<<3 | 2, byte(len(message))}, message...)
	}
	request := wrap(1, wrap(2, wrap(2, metric)))
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(request)
	require.NoError(t, err)
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	require.Equal(t, "m", m.Name())
	_, ok := walk.Of(m)
	require.False(t, ok)
}

func TestHistogramsAndSummariesAreReachable(t *testing.T) {
	m := pmetric.NewMetric()
	m.SetEmptyHistogram().DataPoints().AppendEmpty()
	m.Histogram().DataPoints().AppendEmpty().ExplicitBounds().FromRaw([]float64{1, 2})
	points, _ := walk.Of(m)
	require.Equal(t, []float64{1, 2}, points.Histogram(1).ExplicitBounds().AsRaw())

	m.SetEmptySummary().DataPoints().AppendEmpty()
	m.Summary().DataPoints().AppendEmpty().QuantileValues().AppendEmpty().SetQuantile(0.99)
	points, _ = walk.Of(m)
	require.Equal(t, 0.99, points.Summary(1).QuantileValues().At(0).Quantile())
}

func TestWalkingDoesNotAllocate(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind, m pmetric.Metric) {
		for range 10 {
			k.add(m).Attributes().PutStr("k", "v")
		}
		sum := 0
		require.Zero(t, testing.AllocsPerRun(100, func() {
			points, _ := walk.Of(m)
			for i := range points.Len() {
				sum += points.Attributes(i).Len() + int(points.Flags(i))
			}
		}))
		require.Positive(t, sum)
	})
}
