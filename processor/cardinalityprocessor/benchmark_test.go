package cardinalityprocessor

import (
	"fmt"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// batchPoints is the size of a batch in the benchmarks.
const batchPoints = 1000

// sweepsPerSubWindow is how often every series sends within a sub-window: a
// scrape every 15s in sub-windows of 150s, the default.
const sweepsPerSubWindow = 10

// benchBatches returns encoded batches that hold each of n series once: one
// metric, 6 resource and 6 point attributes.
func benchBatches(n int) [][]byte {
	var batches [][]byte
	var marshaler pmetric.ProtoMarshaler
	for from := 0; from < n; from += batchPoints {
		raw, err := marshaler.MarshalMetrics(benchBatch(from, min(n, from+batchPoints)))
		if err != nil {
			panic(err)
		}
		batches = append(batches, raw)
	}
	return batches
}

func benchBatch(from, to int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	pod := from / batchPoints
	for key, value := range map[string]string{
		"service.name": "checkout", "service.namespace": "shop", "service.instance.id": fmt.Sprintf("10.0.%d.%d:8080", pod/256, pod%256),
		"k8s.pod.name": fmt.Sprintf("checkout-7d9f8b6c5d-%05d", pod), "k8s.node.name": fmt.Sprintf("node-%02d", pod%50), "deployment.environment.name": "production",
	} {
		rm.Resource().Attributes().PutStr(key, value)
	}
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("http.server.requests")
	sum := m.SetEmptySum()
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.SetIsMonotonic(true)
	for i := from; i < to; i++ {
		p := sum.DataPoints().AppendEmpty()
		a := p.Attributes()
		a.PutStr("http.request.method", [...]string{"GET", "POST", "PUT", "DELETE"}[i%4])
		a.PutStr("http.route", "/api/v1/users/"+strconv.Itoa(i/4%50))
		a.PutStr("http.response.status_code", [...]string{"200", "201", "404", "500", "503"}[i/200%5])
		a.PutStr("network.protocol.version", "1.1")
		a.PutStr("server.address", "checkout.shop.svc.cluster.local")
		a.PutStr("url.scheme", "https")
		p.SetIntValue(int64(i))
	}
	return md
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

func allocatedObjects(sample []metrics.Sample) uint64 {
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// BenchmarkSteady measures whole sub-windows: the rotation, the first sight of
// every series in the new sub-window, and nine more points of each. Batches
// are decoded as a receiver would, outside of the measured time.
func BenchmarkSteady(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, kind := range []string{"prometheus", "otlp"} {
			b.Run(fmt.Sprintf("series=%d/backend=%s", n, kind), func(b *testing.B) { benchSteady(b, n, kind) })
		}
	}
}

func benchSteady(b *testing.B, n int, kind string) {
	p, m := benchInstance(b, func(c *Config) { c.Backend.Kind = kind })
	batches := benchBatches(n)
	var decoder pmetric.ProtoUnmarshaler
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	var spent time.Duration
	var points, allocated uint64
	consume := func(raw []byte) {
		md, err := decoder.UnmarshalMetrics(raw)
		require.NoError(b, err)
		before := allocatedObjects(sample)
		begin := time.Now()
		err = p.ConsumeMetrics(b.Context(), md)
		spent += time.Since(begin)
		allocated += allocatedObjects(sample) - before
		require.NoError(b, err)
		points += uint64(md.DataPointCount())
	}
	now := time.Now()
	for range m.config.SubWindows + 2 { // all sub-windows are in use
		for _, raw := range batches {
			consume(raw)
		}
		now = now.Add(m.config.Window)
		m.tracker.Rotate(now)
	}
	expected := int64(n)
	if kind == "prometheus" {
		expected += targets(n)
	}
	require.Equal(b, expected, m.tracker.Totals().Streams)
	spent, points, allocated = 0, 0, 0
	b.ResetTimer()
	for b.Loop() {
		now = now.Add(m.config.Window)
		begin := time.Now()
		m.tracker.Rotate(now)
		spent += time.Since(begin)
		for range sweepsPerSubWindow {
			for _, raw := range batches {
				consume(raw)
			}
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
	b.ReportMetric(float64(allocated)/float64(points), "allocs/point")
	b.ReportMetric(0, "ns/op")
}

// targets is the number of series of target_info: one a resource.
func targets(n int) int64 { return int64((n + batchPoints - 1) / batchPoints) }

// BenchmarkFirstSight measures points whose series was never seen.
func BenchmarkFirstSight(b *testing.B) {
	for _, n := range []int{8000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			batches := benchBatches(n)
			var decoder pmetric.ProtoUnmarshaler
			var spent time.Duration
			points := 0
			for b.Loop() {
				p, _ := benchInstance(b, nil)
				for _, raw := range batches {
					md, err := decoder.UnmarshalMetrics(raw)
					require.NoError(b, err)
					begin := time.Now()
					require.NoError(b, p.ConsumeMetrics(b.Context(), md))
					spent += time.Since(begin)
					points += md.DataPointCount()
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkParallel measures how ConsumeMetrics scales with callers. All
// callers send the same 16 metrics of 1,000 series, the worst case for locks.
func BenchmarkParallel(b *testing.B) {
	for _, callers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			p, _ := benchInstance(b, nil)
			var batches []pmetric.Metrics
			for i := range 16 {
				batches = append(batches, benchBatch(i*batchPoints, (i+1)*batchPoints))
			}
			var points uint64
			begin := time.Now()
			for b.Loop() {
				var wg sync.WaitGroup
				for c := range callers {
					wg.Go(func() {
						for i := range 64 {
							_ = p.ConsumeMetrics(b.Context(), batches[(i+c*5)%len(batches)])
						}
					})
				}
				wg.Wait()
				points += uint64(callers) * 64 * batchPoints
			}
			b.ReportMetric(float64(points)/time.Since(begin).Seconds()/1e6, "Mpoints/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
