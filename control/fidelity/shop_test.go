package fidelity_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// shop is a service whose pods report every scrape, each at a second of its own,
// under a load that swings and has bursts, and another service that does not take
// part.
type shop struct {
	pods   int
	scrape time.Duration
	// delay is how long a report is on its way.
	delay time.Duration
	// burst is by how much the load rises, as a factor, for 40s of every 4 minutes.
	burst float64
	// errors makes the part of 500s rise to this part of the requests after so long.
	failing    float64
	failsAfter time.Duration
	// lives is how long a pod lives until another one takes its place. 0: for ever.
	lives time.Duration
	began time.Time
}

var (
	routes = []string{"/cart", "/pay", "/search"}
	bounds = []float64{0.01, 0.05, 0.1, 0.5, 1, 5}
)

// at is what is reported at a second.
func (s *shop) at(elapsed time.Duration) pmetric.Metrics {
	md := pmetric.NewMetrics()
	if s.began.IsZero() {
		s.began = time.Now().Add(-elapsed)
	}
	for pod := range s.pods {
		phase := time.Duration(chance(pod, 1) * float64(s.scrape)).Truncate(time.Second)
		measured := elapsed - s.delay.Truncate(time.Second)
		if measured < 0 || (measured-phase)%s.scrape != 0 {
			continue
		}
		name := "shop"
		if pod%5 == 4 {
			name = "bank"
		}
		w := writer{
			pod: pod, name: fmt.Sprintf("pod-%d", pod), start: s.began.Add(-time.Hour),
			// Not at a whole second: what a pod measures has no edge.
			now: s.began.Add(measured - time.Duration(chance(pod, 2)*float64(900*time.Millisecond))),
		}
		born := -3600.0
		if s.lives > 0 {
			// Lives begin at other times for each pod.
			t, offset := w.now.Sub(s.began).Seconds(), chance(pod, 3)*s.lives.Seconds()
			generation := math.Floor((t + offset) / s.lives.Seconds())
			if birth := generation*s.lives.Seconds() - offset; birth > 0 {
				born = birth
				w.name += fmt.Sprintf("-%g", generation)
				w.start = s.began.Add(time.Duration(birth * float64(time.Second)))
			}
		}
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", name)
		rm.Resource().Attributes().PutStr("k8s.pod.name", w.name)
		w.metrics = rm.ScopeMetrics().AppendEmpty().Metrics()
		s.report(w, w.now.Sub(s.began).Seconds(), born)
	}
	return md
}

// chance is between 0 and 1, and always the same.
func chance(a, b int) float64 {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%d/%d", a, b)
	return float64(h.Sum32()%1000) / 1000
}

// load is how many units of work there were until a second: one a second, a swing
// of a quarter over 5 minutes, and bursts.
func (s *shop) load(t float64) float64 {
	const period, every, long = 300.0, 240.0, 40.0
	work := t + 3600 + 0.25*period/(2*math.Pi)*(1-math.Cos(2*math.Pi*t/period))
	whole, part := math.Modf(max(t, 0) / every)
	return work + s.burst*(whole*long+math.Min(part*every, long))
}

func (s *shop) report(w writer, t, born float64) {
	work := s.load(t) - s.load(born)
	requests := w.sum("http.requests", "")
	failed := 0.01 * work
	if late := t - max(s.failsAfter.Seconds(), born); s.failing > 0 && late > 0 {
		failed += s.failing * late
	}
	for i, route := range routes {
		factor := (1 + float64(w.pod%7)) * float64(i+2)
		for code, part := range map[string]float64{"200": work, "404": 0.05 * work, "500": failed} {
			dp := w.point(requests)
			dp.Attributes().PutStr("route", route)
			dp.Attributes().PutStr("code", code)
			dp.SetIntValue(int64(part * factor))
		}
	}
	w.histogram("http.latency", work)
	w.gauge("queue.depth", 50+10*math.Sin(t/60)+float64(w.pod))
	w.gauge("up.pods", 1)
}

type writer struct {
	metrics    pmetric.MetricSlice
	start, now time.Time
	pod        int
	name       string
}

func (w writer) sum(name, unit string) pmetric.NumberDataPointSlice {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return sum.DataPoints()
}

func (w writer) point(points pmetric.NumberDataPointSlice) pmetric.NumberDataPoint {
	dp := points.AppendEmpty()
	dp.SetStartTimestamp(pcommon.NewTimestampFromTime(w.start))
	dp.SetTimestamp(pcommon.NewTimestampFromTime(w.now))
	dp.Attributes().PutStr("pod", w.name)
	return dp
}

func (w writer) gauge(name string, value float64) {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	dp := w.point(m.SetEmptyGauge().DataPoints())
	dp.SetStartTimestamp(0)
	dp.SetDoubleValue(value)
}

func (w writer) histogram(name string, work float64) {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit("s")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i, route := range routes {
		dp := h.DataPoints().AppendEmpty()
		dp.SetStartTimestamp(pcommon.NewTimestampFromTime(w.start))
		dp.SetTimestamp(pcommon.NewTimestampFromTime(w.now))
		dp.Attributes().PutStr("pod", w.name)
		dp.Attributes().PutStr("route", route)
		dp.ExplicitBounds().FromRaw(bounds)
		counts, total, sum := make([]uint64, len(bounds)+1), uint64(0), 0.0
		for b := range counts {
			counts[b] = uint64(work * float64(1+(b+i+w.pod)%5))
			total += counts[b]
			sum += float64(counts[b]) * bounds[min(b, len(bounds)-1)] * 0.7
		}
		dp.BucketCounts().FromRaw(counts)
		dp.SetCount(total)
		dp.SetSum(sum)
	}
}

// shopQueries is what people ask about the shop. All aggregate over the pods.
var shopQueries = []string{
	`sum by (route) (rate(http_requests_total[2m]))`,
	`sum by (route, code) (rate(http_requests_total[4m]))`,
	`sum by (code) (increase(http_requests_total{job="shop"}[2m]))`,
	`sum by (route) (rate(http_requests_total{code=~"5.."}[4m])) / sum by (route) (rate(http_requests_total[4m]))`,
	`sum without (pod) (rate(http_requests_total{job="shop"}[2m]))`,
	`histogram_quantile(0.9, sum by (le, route) (rate(http_latency_seconds_bucket[4m])))`,
	`sum by (route) (rate(http_latency_seconds_sum[2m])) / sum by (route) (rate(http_latency_seconds_count[2m]))`,
	`max_over_time(sum(rate(http_requests_total[2m]))[3m:30s])`,
	`sum(queue_depth)`,
	`sum by (job) (up_pods)`,
	`avg_over_time(sum(queue_depth)[2m:30s])`,
}

func queriesOf(exprs ...string) experiment.Fidelity {
	var f experiment.Fidelity
	for _, expr := range exprs {
		f.Queries = append(f.Queries, experiment.Query{Name: expr, Expr: expr})
	}
	return f
}

// dropPod is the good candidate.
func dropPod(interval time.Duration) string {
	return fmt.Sprintf(`
interval: %s
writer: none
rules:
  - {name: drop-pod, match: {metric: "*"}, attributes: {drop: [pod, resource.k8s.pod.name]}, gauge: sum}
`, interval)
}
