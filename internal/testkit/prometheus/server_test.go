//go:build e2e

package prometheus_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

// counter returns a cumulative sum with one point.
func counter(at time.Time, value int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	rm.Resource().Attributes().PutStr("service.instance.id", "shop-0")
	rm.Resource().Attributes().PutStr("k8s.pod.name", "pod-0")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("orders")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	dp := sum.DataPoints().AppendEmpty()
	dp.SetIntValue(value)
	dp.SetTimestamp(pcommon.NewTimestampFromTime(at))
	dp.Attributes().PutStr("route", "/pay")
	return md
}

// native returns an exponential histogram with one value in a bucket.
func native(at time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("latency")
	h := m.SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	dp := h.DataPoints().AppendEmpty()
	dp.SetTimestamp(pcommon.NewTimestampFromTime(at))
	dp.SetCount(4)
	dp.SetSum(6)
	dp.Positive().BucketCounts().FromRaw([]uint64{4}) // scale 0: (1, 2]
	return md
}

func TestServerAnswersWhatWasWritten(t *testing.T) {
	t.Parallel()
	server := prometheus.Start(t, prometheus.Options{PromoteResourceAttributes: []string{"k8s.pod.name"}})
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	for second := range 31 {
		require.NoError(t, server.Write(t.Context(), counter(begin.Add(time.Duration(second)*time.Second), int64(7*second))))
	}
	end := begin.Add(30 * time.Second)
	require.NoError(t, server.Write(t.Context(), native(end)))

	labels := model.Metric{"job": "shop", "instance": "shop-0", "k8s_pod_name": "pod-0", "route": "/pay"}
	vector, err := server.Query(t.Context(), `rate(orders_total[20s])`, end)
	require.NoError(t, err)
	assert.Equal(t, model.Vector{{Metric: labels, Value: 7, Timestamp: model.TimeFromUnixNano(end.UnixNano())}}, vector)

	matrix, err := server.QueryRange(t.Context(), `sum(orders_total)`, prometheus.Range{Start: begin, End: end, Step: 15 * time.Second})
	require.NoError(t, err)
	require.Len(t, matrix, 1)
	var values []float64
	for _, pair := range matrix[0].Values {
		values = append(values, float64(pair.Value))
	}
	assert.Equal(t, []float64{0, 105, 210}, values)

	vector, err = server.Query(t.Context(), `histogram_avg(latency)`, end)
	require.NoError(t, err)
	require.Len(t, vector, 1)
	assert.InDelta(t, 1.5, float64(vector[0].Value), 1e-9)

	vector, err = server.Query(t.Context(), `no_such_metric`, end)
	require.NoError(t, err)
	assert.Empty(t, vector)
	_, err = server.Query(t.Context(), `rate(`, end)
	require.ErrorContains(t, err, "bad_data: ")
	_, err = server.Query(t.Context(), `sum(orders_total or latency)`, end)
	require.Error(t, err, "Prometheus warns of a mix of floats and histograms")
}

func TestServerKeepsOldSamplesWithinTheWindowOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	strict := prometheus.Start(t, prometheus.Options{})
	require.NoError(t, strict.Write(t.Context(), counter(now, 2)))
	require.ErrorContains(t, strict.Write(t.Context(), counter(now.Add(-5*time.Second), 1)), "write metrics: 400")

	lenient := prometheus.Start(t, prometheus.Options{OutOfOrderWindow: 10 * time.Second})
	require.NoError(t, lenient.Write(t.Context(), counter(now, 2)))
	require.NoError(t, lenient.Write(t.Context(), counter(now.Add(-5*time.Second), 1)))
	require.ErrorContains(t, lenient.Write(t.Context(), counter(now.Add(-15*time.Second), 0)), "write metrics: 400")
	vector, err := lenient.Query(t.Context(), `count_over_time(orders_total[1m])`, now)
	require.NoError(t, err)
	require.Len(t, vector, 1)
	assert.Equal(t, 2.0, float64(vector[0].Value))
}

// The program that make runs beforehand and the tests mean the same file.
func TestInstallPrintsTheBinaryThatTestsUse(t *testing.T) {
	t.Setenv(prometheus.BinaryVariable, "")
	prometheus.Start(t, prometheus.Options{}) // builds it, if need be
	want, err := prometheus.Binary(t.Context(), func(string) { t.Error("it is built already") })
	require.NoError(t, err)
	said, err := exec.CommandContext(t.Context(), "go", "run", "./install").Output()
	require.NoError(t, err)
	assert.Equal(t, want+"\n", string(said))
}
