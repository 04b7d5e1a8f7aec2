package tagconsolidationprocessor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const benchPoints = 1000

// steadyBatch is a batch of one resource and one cumulative sum, with 6
// attributes each on the resource and on the points, two of which are dropped.
func steadyBatch(metric string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	pod := "checkout-7d9f8b6c5-x2x4z"
	for _, kv := range [][2]string{
		{"service.name", "checkout"},
		{"service.namespace", "shop"},
		{"k8s.namespace.name", "production"},
		{"k8s.deployment.name", "checkout"},
		{"k8s.pod.name", pod},
		{"deployment.environment.name", "eu-west-1"},
	} {
		rm.Resource().Attributes().PutStr(kv[0], kv[1])
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	m := sm.Metrics().AppendEmpty()
	m.SetName(metric)
	m.SetUnit("{request}")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i := range benchPoints {
		p := sum.DataPoints().AppendEmpty()
		a := p.Attributes()
		a.PutStr("http.route", fmt.Sprintf("/api/v1/orders/%d", i%50))
		a.PutStr("http.request.method", "GET")
		a.PutInt("http.response.status_code", int64(200+i/50%5))
		a.PutStr("server.address", "checkout.example.com")
		a.PutStr("network.protocol.version", "1.1")
		a.PutStr("client.address", fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	return md
}

const benchRules = `
interval: 1m
rules:
  - name: drop
    match: {metric: http.server.requests}
    attributes: {drop: [client.address, resource.k8s.pod.name]}
`

// benchmarkProcess measures process alone: the batch is copied outside of the
// measured time, because what is matched leaves it.
func benchmarkProcess(b *testing.B, yaml string, template pmetric.Metrics) {
	r := newRig(b, yaml)
	start := pcommon.NewTimestampFromTime(epoch)
	round := 0
	batch := func() pmetric.Metrics {
		round++
		md := pmetric.NewMetrics()
		template.CopyTo(md)
		points := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
		for i := range points.Len() {
			p := points.At(i)
			p.SetStartTimestamp(start)
			p.SetTimestamp(start + pcommon.Timestamp(round)*pcommon.Timestamp(time.Millisecond))
			p.SetIntValue(int64(round) * 7)
		}
		return md
	}
	r.send(batch())
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		md := batch()
		b.StartTimer()
		_, _ = r.c.process(b.Context(), md)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPoints, "ns/point")
}

func BenchmarkMatched(b *testing.B) {
	benchmarkProcess(b, benchRules, steadyBatch("http.server.requests"))
}

func BenchmarkUnmatched(b *testing.B) {
	benchmarkProcess(b, benchRules, steadyBatch("rpc.server.requests"))
}

// BenchmarkManyRules shows that rules are found, not scanned.
func BenchmarkManyRules(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			var yaml strings.Builder
			yaml.WriteString(benchRules)
			for i := range n {
				fmt.Fprintf(&yaml, "  - name: other-%d\n    match: {metric: other.metric.%d}\n    attributes: {drop: [pod]}\n", i, i)
			}
			benchmarkProcess(b, yaml.String(), steadyBatch("http.server.requests"))
		})
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	r := newRig(t, benchRules)
	md := steadyBatch("http.server.requests")
	points := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
	at := pcommon.NewTimestampFromTime(epoch)
	f := r.c.free.get()
	f.use(r.c.rules.Load())
	keep := func() { // what feed does, but for taking the points out of the batch
		at++
		f.resource, f.now = md.ResourceMetrics().At(0).Resource().Attributes(), uint64(at)
		f.resources++
		sm := md.ResourceMetrics().At(0).ScopeMetrics().At(0)
		f.scope, f.scopeURL = sm.Scope(), sm.SchemaUrl()
		f.scopes++
		f.enterMetric(sm.Metrics().At(0))
		for i := range points.Len() {
			points.At(i).SetTimestamp(at)
			f.number(points.At(i))
		}
	}
	for i := range points.Len() {
		points.At(i).SetIntValue(7) // to set one allocates
	}
	keep()
	require.Zero(t, testing.AllocsPerRun(100, keep))
	require.Equal(t, benchPoints, r.c.engine.Stats().Inputs)
}
