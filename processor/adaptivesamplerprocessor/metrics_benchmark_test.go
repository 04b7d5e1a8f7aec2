package adaptivesamplerprocessor

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const benchRules = `
metrics: {max_series: 2000000}
rules:
  - name: all
    dead_band: {match: {metric: bench.*}, tolerance: {relative: 0.01}}
`

// benchPoints is how many points a batch of the benchmarks has.
const benchPoints = 1000

// benchBatch is a batch of one resource and one metric, six attributes each.
func benchBatch(kind pmetric.MetricType, batch int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	for _, pair := range [][2]string{
		{"service.name", "checkout"},
		{"service.namespace", "shop"},
		{"deployment.environment.name", "production"},
		{"k8s.pod.name", fmt.Sprintf("checkout-7d9f8b6c5d-%05d", batch)},
		{"service.instance.id", fmt.Sprintf("10.0.%d.%d:8080", batch/256, batch%256)},
		{"k8s.node.name", fmt.Sprintf("node-%02d", batch%50)},
	} {
		rm.Resource().Attributes().PutStr(pair[0], pair[1])
	}
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("bench.requests")
	attributes := func(to pcommon.Map, i int) {
		to.PutStr("http.request.method", [...]string{"GET", "POST", "PUT", "DELETE"}[i%4])
		to.PutStr("http.route", "/api/v1/users/"+strconv.Itoa(i/4%50))
		to.PutStr("http.response.status_code", [...]string{"200", "201", "404", "500", "503"}[i/200])
		to.PutStr("network.protocol.version", "1.1")
		to.PutStr("server.address", "checkout.shop.svc.cluster.local")
		to.PutStr("url.scheme", "https")
	}
	for i := range benchPoints {
		switch kind {
		case pmetric.MetricTypeGauge:
			if i == 0 {
				m.SetEmptyGauge()
			}
			attributes(m.Gauge().DataPoints().AppendEmpty().Attributes(), i)
		case pmetric.MetricTypeSum:
			if i == 0 {
				m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				m.Sum().SetIsMonotonic(true)
			}
			attributes(m.Sum().DataPoints().AppendEmpty().Attributes(), i)
		default:
			if i == 0 {
				m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			}
			p := m.Histogram().DataPoints().AppendEmpty()
			attributes(p.Attributes(), i)
			p.ExplicitBounds().FromRaw([]float64{5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000})
			p.BucketCounts().FromRaw(make([]uint64, 15))
		}
	}
	return md
}

// tick gives the points of a batch the next time and value.
func tick(md pmetric.Metrics, at time.Time, round int) {
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	numbers := func(points pmetric.NumberDataPointSlice) {
		for i := range points.Len() {
			p := points.At(i)
			p.SetTimestamp(stamp(at))
			p.SetIntValue(int64(1_000_000 + i + round))
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(m.Sum().DataPoints())
	default:
		for i := range m.Histogram().DataPoints().Len() {
			p := m.Histogram().DataPoints().At(i)
			p.SetTimestamp(stamp(at))
			p.SetCount(uint64(1_000_000 + round))
			p.BucketCounts().SetAt(7, p.Count())
			p.SetSum(float64(p.Count()))
		}
	}
}

// steadyMetrics is a processor that knows the series of n batches, and a function that makes the next batch and returns one
// that sends it.
func steadyMetrics(tb testing.TB, yaml string, kind pmetric.MetricType, batches int) (rig *metricsRig, next func() (send func())) {
	tb.Helper()
	rig = newPlainRig(tb, yaml, func(pmetric.Metrics) error { return nil })
	begin, n := time.Unix(1_700_000_000, 0), 0
	list := make([]pmetric.Metrics, batches)
	for i := range list {
		list[i] = benchBatch(kind, i)
	}
	next = func() func() {
		round, i := n/batches, n%batches
		n++
		tick(list[i], begin.Add(time.Duration(round)*15*time.Second), round)
		md := copyOf(list[i])
		return func() {
			if err := rig.p.ConsumeMetrics(tb.Context(), md); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for range 8 * batches {
		next()()
	}
	return rig, next
}

// benchmarkMetrics sends batches of known series. As those that a receiver has just decoded they are in the processor's cache;
// making them is not measured.
func benchmarkMetrics(b *testing.B, yaml string, kind pmetric.MetricType, batches int) {
	b.Helper()
	rig, next := steadyMetrics(b, yaml, kind, batches)
	defer rig.end()
	runtime.GC()
	var spent []time.Duration
	for b.Loop() {
		send := next()
		began := time.Now()
		send()
		spent = append(spent, time.Since(began))
	}
	slices.Sort(spent) // the median: what else the machine does is not of interest
	b.ReportMetric(float64(spent[len(spent)/2].Nanoseconds())/benchPoints, "ns/point")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkMetrics(b *testing.B) {
	for _, kind := range []pmetric.MetricType{pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram} {
		for _, series := range []int{1_000, 1_000_000} {
			if kind == pmetric.MetricTypeHistogram && series > 1_000 {
				series = 100_000
			}
			b.Run(fmt.Sprintf("%s/series=%d", kind, series), func(b *testing.B) { benchmarkMetrics(b, benchRules, kind, series/benchPoints) })
		}
	}
	for name, rules := range map[string]string{
		"linear":             `rules: [{name: all, dead_band: {match: {metric: "*"}, tolerance: {relative: 0.01}, predictor: linear}}]`,
		"no rule matches":    `rules: [{name: none, dead_band: {match: {metric: other}, tolerance: {relative: 0.01}}}]`,
		"no rules":           `rules: []`,
		"budget in points":   `rules: [{name: all, dead_band: {match: {metric: "*"}, tolerance: {relative: 0.01}}}, {name: b, budget: {signal: metrics, points_per_second: 100000}}]`,
		"budget in bytes":    `rules: [{name: all, dead_band: {match: {metric: "*"}, tolerance: {relative: 0.01}}}, {name: b, budget: {signal: metrics, bytes_per_second: 10000000}}]`,
		"preview":            `rules: [{name: all, mode: preview, dead_band: {match: {metric: "*"}, tolerance: {relative: 0.01}}}]`,
		"series, a quarter":  `rules: [{name: all, series: {match: {metric: "*"}, ratio: 0.25}}]`,
		"condition on point": `rules: [{name: all, dead_band: {match: {metric: "*", point: [{attribute: url.scheme, value: "http*"}]}, tolerance: {relative: 0.01}}}]`,
	} {
		b.Run("sums/"+name, func(b *testing.B) { benchmarkMetrics(b, rules, pmetric.MetricTypeSum, 1) })
	}
}

// BenchmarkManyMetricRules: a metric is compared with the rules of its own beginnings and resource only.
func BenchmarkManyMetricRules(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			rules := "rules:\n"
			var list strings.Builder
			for i := range n {
				fmt.Fprintf(&list, "  - {name: r%d, dead_band: {match: {metric: '*', resource: [{attribute: service.name, value: s%d}]}, tolerance: {relative: 0.01}}}\n", i, i)
			}
			rules += list.String()
			benchmarkMetrics(b, rules+"  - {name: all, dead_band: {match: {metric: '*'}, tolerance: {relative: 0.01}}}\n", pmetric.MetricTypeSum, 1)
		})
	}
}

func TestAPointOfMetricsDoesNotAllocate(t *testing.T) {
	for _, kind := range []pmetric.MetricType{pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram} {
		rig, next := steadyMetrics(t, benchRules, kind, 1)
		const rounds = 20
		sends := make([]func(), rounds)
		for i := range sends {
			sends[i] = next()
		}
		i := 0
		allocs := testing.AllocsPerRun(rounds-1, func() { sends[i](); i++ })
		rig.end()
		require.LessOrEqual(t, allocs, 8.0, "%s: a batch of %d points", kind, benchPoints)
	}
}
