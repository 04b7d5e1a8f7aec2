package tagconsolidationprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const dropPod = `
interval: 10s
writer: none
rules:
  - name: drop-pod
    match: {metric: "http.*"}
    attributes: {drop: [pod]}
`

// counters returns a batch of one cumulative sum with a point for each value,
// one a pod.
func counters(start, at time.Time, values map[string]int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.requests")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for pod, value := range values {
		p := sum.DataPoints().AppendEmpty()
		p.Attributes().PutStr("pod", pod)
		p.Attributes().PutStr("route", "/")
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetIntValue(value)
	}
	return md
}

func TestDroppedLabelSumsUp(t *testing.T) {
	r := newRig(t, dropPod)
	start := r.now.Add(time.Second)
	r.now = r.now.Add(5 * time.Second)
	left := r.send(counters(start, r.now, map[string]int64{"a": 10, "b": 20}))
	require.Zero(t, left.DataPointCount())
	out := r.turn()
	require.Len(t, out, 1)
	points := out[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
	require.Equal(t, 1, points.Len())
	require.EqualValues(t, 30, points.At(0).IntValue())
	require.Equal(t, map[string]any{"route": "/"}, points.At(0).Attributes().AsRaw())
	require.Equal(t, r.now, points.At(0).Timestamp().AsTime())
	require.Equal(t, epoch, points.At(0).StartTimestamp().AsTime())
}
