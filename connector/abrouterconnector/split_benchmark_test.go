package abrouterconnector

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

const (
	benchResources = 10
	benchPoints    = 100 // a resource, in 10 metrics
)

// workload has resources with 6 attributes and counters with 6 each.
func workload() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for r := range benchResources {
		rm := md.ResourceMetrics().AppendEmpty()
		attributes := rm.Resource().Attributes()
		attributes.PutStr("service.name", "service-"+strconv.Itoa(r%10))
		attributes.PutStr("service.instance.id", "f47ac10b-58cc-4372-a567-"+strconv.Itoa(r))
		attributes.PutStr("k8s.namespace.name", "production")
		attributes.PutStr("k8s.pod.name", "checkout-7d9f8b6c5d-"+strconv.Itoa(r))
		attributes.PutStr("k8s.node.name", "node-"+strconv.Itoa(r%7))
		attributes.PutStr("host.name", "host-"+strconv.Itoa(r%7))
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("github.com/example/library")
		for m := range 10 {
			metric := sm.Metrics().AppendEmpty()
			metric.SetName("http.server.metric." + strconv.Itoa(m))
			counterOf(metric)
			for p := range benchPoints / 10 {
				point := metric.Sum().DataPoints().AppendEmpty()
				point.SetTimestamp(1e18)
				point.SetIntValue(int64(p))
				labels := point.Attributes()
				labels.PutStr("http.request.method", "GET")
				labels.PutStr("http.route", "/users/{id}/orders")
				labels.PutInt("http.response.status_code", int64(200+p%5))
				labels.PutStr("server.address", "shop.example.com")
				labels.PutStr("url.scheme", "https")
				labels.PutStr("user", "u"+strconv.Itoa(p))
			}
		}
	}
	return md
}

// benchWorld has n experiments, each on one service; the workload is of ten.
func benchWorld(tb testing.TB, n, weight int, unit routing.Unit) *world {
	tb.Helper()
	list := make([]routing.Experiment, n)
	for i := range list {
		list[i] = routing.Experiment{
			ID: "team/" + strconv.Itoa(i), Unit: unit,
			Resource: []routing.Attribute{{Key: "service.name", Value: "service-" + strconv.Itoa(i)}},
		}
	}
	return newWorld(tb, weight, list...)
}

// measure divides batches, and reports what a point costs and how many moved.
// prepare, if not nil, changes a batch before it is divided.
func measure(b *testing.B, w *world, prepare func(pmetric.Metrics)) {
	b.Helper()
	original := workload()
	moved, points := 0, 0
	b.ReportAllocs()
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		md := pmetric.NewMetrics()
		original.CopyTo(md) // as warm as what a receiver has just decoded
		if prepare != nil {
			prepare(md)
		}
		b.StartTimer()
		start := time.Now()
		d := w.divide(md)
		spent += time.Since(start)
		if d.has[toCandidate] {
			moved += d.parts[toCandidate].DataPointCount()
		}
		points += benchResources * benchPoints
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
	b.ReportMetric(100*float64(moved)/float64(points), "%moved")
}

// BenchmarkSplit divides 10 resources of 100 points each, and names what a point
// costs on two shared cores of a Xeon in README.md. A batch of 10,000 points, which
// leaves the caches, costs a third more by series and half more by resource.
func BenchmarkSplit(b *testing.B) {
	for _, unit := range []routing.Unit{routing.UnitResource, routing.UnitSeries} {
		for _, weight := range []int{1, 50, 100} {
			b.Run(fmt.Sprintf("%s/weight=%d", unit, weight), func(b *testing.B) { measure(b, benchWorld(b, 10, weight, unit), nil) })
		}
	}
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("resource/experiments=%d", n), func(b *testing.B) { measure(b, benchWorld(b, n, 25, routing.UnitResource), nil) })
	}
	// Each resource is of another experiment than those before it, so that nothing
	// of any of them is in the caches.
	b.Run("resource/experiments=10000 in turn", func(b *testing.B) {
		const n = 10_000
		names := make([]string, n)
		for i := range names {
			names[i] = "service-" + strconv.Itoa(i*7919%n)
		}
		turn := 0
		measure(b, benchWorld(b, n, 25, routing.UnitResource), func(md pmetric.Metrics) {
			for _, rm := range md.ResourceMetrics().All() {
				rm.Resource().Attributes().PutStr("service.name", names[turn%n])
				turn++
			}
		})
	})
	b.Run("none", func(b *testing.B) {
		w := benchWorld(b, 10, 50, routing.UnitResource)
		for i := range w.list {
			w.list[i].Resource[0].Value = "other-" + strconv.Itoa(i)
		}
		var err error
		w.v.table, err = routing.Compile(w.list)
		require.NoError(b, err)
		measure(b, w, nil)
	})
}

// BenchmarkMoving divides while all streams are on the move: the weight went from
// 0 to 100, and each has had the point that both arms get.
func BenchmarkMoving(b *testing.B) {
	for _, unit := range []routing.Unit{routing.UnitResource, routing.UnitSeries} {
		b.Run(string(unit), func(b *testing.B) {
			w := benchWorld(b, 10, 0, unit)
			w.s = newSplitter(testInterval, 100_000)
			w.divide(workload())
			w.set(100)
			w.divide(workload())
			measure(b, w, nil)
		})
	}
}

func TestSplittingByResourceAllocatesNothingAPoint(t *testing.T) {
	w := benchWorld(t, 10, 50, routing.UnitResource)
	w.divide(workload())
	batches := make([]pmetric.Metrics, 11)
	for i := range batches {
		batches[i] = workload()
	}
	i := 0
	moved := 0
	allocs := testing.AllocsPerRun(len(batches)-1, func() {
		d := w.divide(batches[i])
		moved = d.parts[toCandidate].ResourceMetrics().Len()
		i++
	})
	require.Positive(t, moved)
	require.Less(t, moved, benchResources)
	require.LessOrEqual(t, allocs, float64(moved+8), "one a moved resource, which has 100 points")
}

// A moved point is one allocation, a metric that is divided four, and a resource
// twenty at most for what it and its scopes have: pdata has no way to move the pointers.
func TestSplittingBySeriesAllocatesOnceAMovedPoint(t *testing.T) {
	w := benchWorld(t, 10, 50, routing.UnitSeries)
	w.divide(workload())
	batches := make([]pmetric.Metrics, 11)
	for i := range batches {
		batches[i] = workload()
	}
	i, moved := 0, 0
	allocs := testing.AllocsPerRun(len(batches)-1, func() {
		d := w.divide(batches[i])
		moved = d.parts[toCandidate].DataPointCount()
		i++
	})
	require.Greater(t, moved, 400)
	require.LessOrEqual(t, allocs, float64(moved+4*10*benchResources+20*benchResources))
}
