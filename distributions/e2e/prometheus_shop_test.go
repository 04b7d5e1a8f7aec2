//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// shop is a service of shopPods pods that are under a steady load: what a
// counter grows by in a tick depends on the series alone, so that what a rate
// has to be does not depend on when it is asked. Values differ by pod in all
// that is measured, in ways that do not cancel out.
type shop struct {
	start time.Time
}

const (
	shopPods = 40
	// shopTick is how often a pod reports.
	shopTick = time.Second
	// podDelay is how much later than the one before it a pod measures. With
	// shopPods of them a tick is spread over 40ms.
	podDelay = time.Millisecond
	// firstReport is when, after the start, the first pod makes its first report:
	// half way between two edges of a processor's interval of a second.
	firstReport = shopTick / 2
)

var (
	shopRoutes = []string{"/cart", "/pay", "/search", "/user/{id}"}
	shopBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20}
	// shopCodes and how many requests end in each, before the pod's and the
	// route's factors.
	shopCodes = []struct {
		code  string
		share int
	}{{"200", 20}, {"404", 3}, {"500", 1}}
)

// canaryTick is the name of a sum whose value is the number of ticks. It has
// one series at the beginning of a report and one at its end.
const canaryTick = "canary.tick"

// report is all that the pods say at a tick, counted from 0.
func (s shop) report(tick int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	s.canary(md, tick, "first")
	for pod := range shopPods {
		rm := md.ResourceMetrics().AppendEmpty()
		resource := rm.Resource().Attributes()
		resource.PutStr("service.name", "shop")
		resource.PutStr("service.instance.id", fmt.Sprintf("instance-%02d", pod))
		resource.PutStr("k8s.pod.name", podName(pod))
		w := writer{
			metrics: rm.ScopeMetrics().AppendEmpty().Metrics(),
			start:   pcommon.NewTimestampFromTime(s.start),
			now:     pcommon.NewTimestampFromTime(s.measured(tick).Add(time.Duration(pod) * podDelay)),
			pod:     podName(pod),
		}
		// The order of the pods is not that of their values.
		s.reportPod(w, pod*17%shopPods, tick+1)
	}
	s.canary(md, tick, "last")
	return md
}

// measured is when the first pod measures.
func (s shop) measured(tick int) time.Time {
	return s.start.Add(firstReport + time.Duration(tick)*shopTick)
}

func podName(pod int) string { return fmt.Sprintf("shop-%02d", pod) }

func (s shop) canary(md pmetric.Metrics, tick int, end string) {
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "canary")
	w := writer{
		metrics: rm.ScopeMetrics().AppendEmpty().Metrics(),
		start:   pcommon.NewTimestampFromTime(s.start), now: pcommon.NewTimestampFromTime(s.measured(tick)),
	}
	dp := w.sum(canaryTick, "", false).AppendEmpty()
	w.stamp(dp)
	dp.Attributes().PutStr("end", end)
	dp.SetIntValue(int64(tick))
}

// reportPod writes the report of a pod. Which pod it is, is in size; ticks have
// passed since the start.
func (s shop) reportPod(w writer, size, ticks int) {
	w.requests(size, ticks)
	w.cpu(size, ticks)
	w.active(size, ticks)
	w.latency("http.latency", size, ticks)
	w.latency("rpc.latency", size+1, ticks)
	w.exponential(size, ticks)
	for queue := range 3 {
		dp := w.gauge("queue.depth", "")
		dp.Attributes().PutStr("queue", fmt.Sprintf("queue-%d", queue))
		dp.SetIntValue(int64(100*(queue+1) + 3*size + ticks*(1+size%4)))
	}
	zone := fmt.Sprintf("zone-%d", size%4)
	for name, value := range map[string]float64{
		"memory.used":      1e8 + 1e7*float64(size) + 1e5*float64(ticks),
		"disk.free":        9e10 - 1e9*float64(size) - 1e6*float64(ticks),
		"disk.temperature": 20 + 0.5*float64(size) + 0.01*float64(ticks),
	} {
		dp := w.gauge(name, "")
		dp.Attributes().PutStr("zone", zone)
		dp.SetDoubleValue(value)
	}
}

// writer appends the metrics of one pod.
type writer struct {
	metrics    pmetric.MetricSlice
	start, now pcommon.Timestamp
	pod        string
}

// stamped is what all kinds of points have.
type stamped interface {
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	Attributes() pcommon.Map
}

func (w writer) stamp(dp stamped) {
	dp.SetStartTimestamp(w.start)
	dp.SetTimestamp(w.now)
	if w.pod != "" {
		dp.Attributes().PutStr("pod", w.pod)
	}
}

func (w writer) metric(name, unit string) pmetric.Metric {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	return m
}

func (w writer) sum(name, unit string, monotonic bool) pmetric.NumberDataPointSlice {
	sum := w.metric(name, unit).SetEmptySum()
	sum.SetIsMonotonic(monotonic)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return sum.DataPoints()
}

func (w writer) gauge(name, unit string) pmetric.NumberDataPoint {
	dp := w.metric(name, unit).SetEmptyGauge().DataPoints().AppendEmpty()
	w.stamp(dp)
	dp.SetStartTimestamp(0)
	return dp
}

func (w writer) requests(size, ticks int) {
	points := w.sum("http.requests", "", true)
	for r, route := range shopRoutes {
		for c, code := range shopCodes {
			dp := points.AppendEmpty()
			w.stamp(dp)
			dp.Attributes().PutStr("route", route)
			dp.Attributes().PutStr("code", code.code)
			dp.SetIntValue(int64(ticks * (code.share*(1+size*(r+1)%7) + size*(c+1)/3 + r)))
		}
	}
}

func (w writer) cpu(size, ticks int) {
	points := w.sum("cpu.time", "s", true)
	for m, mode := range []string{"user", "system"} {
		dp := points.AppendEmpty()
		w.stamp(dp)
		dp.Attributes().PutStr("mode", mode)
		dp.SetDoubleValue(float64(ticks) * 0.0137 * float64(1+size%9+5*m))
	}
}

func (w writer) active(size, ticks int) {
	points := w.sum("http.active", "", false)
	for r, route := range shopRoutes {
		dp := points.AppendEmpty()
		w.stamp(dp)
		dp.Attributes().PutStr("route", route)
		dp.SetIntValue(int64(1_000 - 10*size - ticks*(1+(size+r)%3))) // falls
	}
}

// latency is a classic histogram whose peak is at another bucket in each pod
// and route.
func (w writer) latency(name string, size, ticks int) {
	h := w.metric(name, "s").SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for r, route := range shopRoutes {
		dp := h.DataPoints().AppendEmpty()
		w.stamp(dp)
		dp.Attributes().PutStr("route", route)
		dp.ExplicitBounds().FromRaw(shopBounds)
		counts := make([]uint64, len(shopBounds)+1)
		var count uint64
		var sum, lower float64
		for b, upper := range shopBounds {
			n := ticks * triangle(b-3-size%4-r, 12+size%5)
			counts[b] = uint64(n)
			count += counts[b]
			sum += float64(n) * (lower + upper) / 2
			lower = upper
		}
		dp.BucketCounts().FromRaw(counts)
		dp.SetCount(count)
		dp.SetSum(sum)
	}
}

// exponential is a histogram, of another scale in every second pod.
func (w writer) exponential(size, ticks int) {
	h := w.metric("db.latency", "s").SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for r, route := range shopRoutes {
		dp := h.DataPoints().AppendEmpty()
		w.stamp(dp)
		dp.Attributes().PutStr("route", route)
		scale := 2 + size%2
		dp.SetScale(int32(scale))
		dp.SetZeroCount(uint64(ticks))
		offset := (size%7 - 16 + r) << (scale - 2)
		dp.Positive().SetOffset(int32(offset))
		counts := make([]uint64, 24)
		count, sum := dp.ZeroCount(), 0.0
		for b := range counts {
			n := ticks * triangle(b-10-size%5, 20+size%3)
			counts[b] = uint64(n)
			count += counts[b]
			sum += float64(n) * math.Exp2((float64(offset+b)+0.5)/math.Exp2(float64(scale)))
		}
		dp.Positive().BucketCounts().FromRaw(counts)
		dp.SetCount(count)
		dp.SetSum(sum)
	}
}

// triangle falls by 3 on both sides of its peak, to 0.
func triangle(distance, peak int) int {
	return max(0, peak-3*max(distance, -distance))
}
