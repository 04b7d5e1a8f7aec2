package cardinalityprocessor

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// batchPoints is the size of a batch in the benchmarks.
const batchPoints = 1000

// sweepsPerSubWindow is how often every series sends within a sub-window: a
// scrape every 15s in sub-windows of 150s, the default.
const sweepsPerSubWindow = 10

// workload is a batch of 1,000 points of one metric, 6 resource and 6 point
// attributes, that stands for any number of pods: turning to another pod
// changes three resource attributes. The points stay in the processor's cache,
// as points that a receiver has just decoded are; the decoding itself, at
// several times the cost of counting, is left out.
type workload struct {
	md                     pmetric.Metrics
	pod, instance, node    pcommon.Value
	pods, instances, nodes []string
}

func newWorkload(n int) *workload {
	w := &workload{md: pmetric.NewMetrics()}
	for pod := range (n + batchPoints - 1) / batchPoints {
		w.pods = append(w.pods, fmt.Sprintf("checkout-7d9f8b6c5d-%05d", pod))
		w.instances = append(w.instances, fmt.Sprintf("10.0.%d.%d:8080", pod/256, pod%256))
		w.nodes = append(w.nodes, fmt.Sprintf("node-%02d", pod%50))
	}
	rm := w.md.ResourceMetrics().AppendEmpty()
	a := rm.Resource().Attributes()
	a.PutStr("service.name", "checkout")
	a.PutStr("service.namespace", "shop")
	a.PutStr("deployment.environment.name", "production")
	w.pod, w.instance, w.node = a.PutEmpty("k8s.pod.name"), a.PutEmpty("service.instance.id"), a.PutEmpty("k8s.node.name")
	w.turn(0)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.requests")
	sum := m.SetEmptySum()
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.SetIsMonotonic(true)
	for i := range batchPoints {
		p := sum.DataPoints().AppendEmpty()
		a := p.Attributes()
		a.PutStr("http.request.method", [...]string{"GET", "POST", "PUT", "DELETE"}[i%4])
		a.PutStr("http.route", "/api/v1/users/"+strconv.Itoa(i/4%50))
		a.PutStr("http.response.status_code", [...]string{"200", "201", "404", "500", "503"}[i/200])
		a.PutStr("network.protocol.version", "1.1")
		a.PutStr("server.address", "checkout.shop.svc.cluster.local")
		a.PutStr("url.scheme", "https")
		p.SetIntValue(int64(i))
	}
	return w
}

// turn makes the batch that of another pod.
func (w *workload) turn(pod int) pmetric.Metrics {
	w.pod.SetStr(w.pods[pod])
	w.instance.SetStr(w.instances[pod])
	w.node.SetStr(w.nodes[pod])
	return w.md
}

// benchInstance makes a processor whose tracker the benchmark rotates itself.
func benchInstance(tb testing.TB, change func(*Config)) (processor.Metrics, *measurement) {
	tb.Helper()
	shared := newInstances()
	cfg := createDefaultConfig().(*Config)
	cfg.MaxMemoryMiB = 2048
	if change != nil {
		change(cfg)
	}
	set := processortest.NewNopSettings(metadata.Type)
	p, err := shared.create(tb.Context(), set, cfg, consumertest.NewNop())
	require.NoError(tb, err)
	require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, p.Shutdown(tb.Context())) })
	return p, shared.byID[set.ID]
}

// BenchmarkSteady measures whole sub-windows: the rotation, the first sight of
// every series in the new sub-window, and nine more points of each.
func BenchmarkSteady(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, kind := range []string{"prometheus", "otlp"} {
			b.Run(fmt.Sprintf("series=%d/backend=%s", n, kind), func(b *testing.B) { benchSteady(b, n, kind) })
		}
	}
}

func benchSteady(b *testing.B, n int, kind string) {
	p, m := benchInstance(b, func(c *Config) { c.Backend.Kind = kind })
	w := newWorkload(n)
	now := time.Now()
	subWindow := func(sweeps int) {
		now = now.Add(m.config.Window)
		m.tracker.Rotate(now)
		for range sweeps {
			for pod := range w.pods {
				_ = p.ConsumeMetrics(b.Context(), w.turn(pod))
			}
		}
	}
	for range m.config.SubWindows + 2 { // until all sub-windows are in use
		subWindow(1)
	}
	expected := int64(n)
	if kind == "prometheus" {
		expected += int64(len(w.pods)) // target_info
	}
	require.Equal(b, expected, m.tracker.Totals().Streams)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	points := 0
	for b.Loop() {
		subWindow(sweepsPerSubWindow)
		points += sweepsPerSubWindow * n
	}
	spent := time.Since(begin)
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(points), "allocs/point")
}

// BenchmarkFirstSight measures points whose series was never seen, from an
// empty tracker on.
func BenchmarkFirstSight(b *testing.B) {
	for _, n := range []int{8000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			w := newWorkload(n)
			var spent time.Duration
			points := 0
			for b.Loop() {
				p, _ := benchInstance(b, nil)
				begin := time.Now()
				for pod := range w.pods {
					_ = p.ConsumeMetrics(b.Context(), w.turn(pod))
				}
				spent += time.Since(begin)
				points += n
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
		})
	}
}

// BenchmarkParallel measures how ConsumeMetrics scales with callers, which all
// send the same metric: the worst case for locks. The limit is what the machine
// gives to callers that share nothing: they hash the same points, no more.
func BenchmarkParallel(b *testing.B) {
	for _, callers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("consume/callers=%d", callers), func(b *testing.B) {
			p, _ := benchInstance(b, nil)
			benchParallel(b, callers, func(md pmetric.Metrics) { _ = p.ConsumeMetrics(b.Context(), md) })
		})
		b.Run(fmt.Sprintf("limit/callers=%d", callers), func(b *testing.B) {
			_, m := benchInstance(b, nil)
			benchParallel(b, callers, func(md pmetric.Metrics) {
				points, _ := walk.Of(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0))
				for i := range points.Len() {
					m.hasher.Map(series.Point, points.Attributes(i))
				}
			})
		})
	}
}

func benchParallel(b *testing.B, callers int, consume func(pmetric.Metrics)) {
	b.Helper()
	const rounds = 64
	workloads := make([]*workload, callers)
	for c := range workloads {
		workloads[c] = newWorkload(16 * batchPoints)
		for pod := range workloads[c].pods {
			consume(workloads[c].turn(pod))
		}
	}
	points := 0
	begin := time.Now()
	for b.Loop() {
		var wg sync.WaitGroup
		for _, w := range workloads {
			wg.Go(func() {
				for i := range rounds {
					consume(w.turn(i % len(w.pods)))
				}
			})
		}
		wg.Wait()
		points += callers * rounds * batchPoints
	}
	b.ReportMetric(float64(points)/time.Since(begin).Seconds()/1e6, "Mpoints/s")
}
