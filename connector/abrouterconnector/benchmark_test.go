package abrouterconnector

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// benchSink is an arm that takes everything.
type benchSink struct {
	consumertest.Consumer
	mutates bool
	took    chan struct{} // nil: nobody waits for it
}

func (s benchSink) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: s.mutates}
}

func (s benchSink) ConsumeMetrics(context.Context, pmetric.Metrics) error {
	if s.took != nil {
		s.took <- struct{}{}
	}
	return nil
}

// startBench makes and starts a connector between a baseline and a candidate.
func startBench(b *testing.B, baseline, candidate consumer.Metrics, change func(*Config), routes []policy.Route) connector.Metrics {
	b.Helper()
	p := newPlane()
	p.publish(nil, routes...)
	c, err := NewFactory().CreateMetricsToMetrics(b.Context(), connectortest.NewNopSettings(metadata.Type), testConfig(change),
		connector.NewMetricsRouter(map[pipeline.ID]consumer.Metrics{
			pipeline.NewIDWithName(pipeline.SignalMetrics, "baseline"):  baseline,
			pipeline.NewIDWithName(pipeline.SignalMetrics, "candidate"): candidate,
		}))
	require.NoError(b, err)
	require.NoError(b, c.Start(b.Context(), host{controlID: p}))
	b.Cleanup(func() { require.NoError(b, c.Shutdown(context.Background())) })
	return c
}

// benchRoutes are n experiments, each of one service.
func benchRoutes(n int, of func(service string) policy.Route) (routes []policy.Route) {
	for i := range n {
		routes = append(routes, of("service-"+strconv.Itoa(i)))
	}
	return routes
}

// measureCalls reports what a point of the caller's batch costs, of 10 resources
// with 100 points each.
func measureCalls(b *testing.B, c consumer.Metrics, prepare func() pmetric.Metrics, took <-chan struct{}) {
	b.Helper()
	b.ReportAllocs()
	var spent time.Duration
	points := 0
	for b.Loop() {
		b.StopTimer()
		md := prepare()
		b.StartTimer()
		began := time.Now()
		if err := c.ConsumeMetrics(b.Context(), md); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(began)
		points += benchResources * benchPoints
		if took != nil {
			<-took
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(points), "ns/point")
}

// BenchmarkMirror is what a caller waits for; what the candidate does is not in
// it, but for the copy where the baseline mutates.
func BenchmarkMirror(b *testing.B) {
	original := workload()
	f := func(name string, baselineMutates bool, change func(*Config), routes []policy.Route) {
		b.Run(name, func(b *testing.B) {
			took := make(chan struct{}, 1)
			candidate := benchSink{took: took}
			if !baselineMutates && change != nil {
				c := startBench(b, benchSink{}, candidate, change, routes)
				measureCalls(b, c, func() pmetric.Metrics { return original }, took) // read-only: one batch for all
				return
			}
			c := startBench(b, benchSink{mutates: baselineMutates}, candidate, change, routes)
			measureCalls(b, c, func() pmetric.Metrics { return copyOf(original) }, took)
		})
	}
	all := benchRoutes(10, mirrorRoute)
	f("read-only", false, unmarked, all)
	f("read-only, marked", false, nil, all)
	f("mutating", true, nil, all)
	f("read-only, 10000 experiments", false, unmarked, benchRoutes(10_000, mirrorRoute))
	b.Run("CopyTo", func(b *testing.B) {
		measureCalls(b, copying{}, func() pmetric.Metrics { return copyOf(original) }, nil)
	})
	b.Run("none", func(b *testing.B) {
		c := startBench(b, benchSink{}, benchSink{}, nil, nil)
		measureCalls(b, c, func() pmetric.Metrics { return original }, nil)
	})
}

// copying is what a mirror cannot do without when the baseline writes.
type copying struct{ consumertest.Consumer }

func (copying) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	copyOf(md)
	return nil
}

// BenchmarkConsume is a split, with all that is around it.
func BenchmarkConsume(b *testing.B) {
	original := workload()
	f := func(name string, experiments, weight int, candidateMutates bool) {
		b.Run(name, func(b *testing.B) {
			c := startBench(b, benchSink{mutates: true}, benchSink{mutates: candidateMutates}, nil,
				benchRoutes(experiments, func(s string) policy.Route { return splitRoute(s, weight) }))
			measureCalls(b, c, func() pmetric.Metrics { return copyOf(original) }, nil)
		})
	}
	f("experiments=10", 10, 50, false)
	f("experiments=10000", 10_000, 50, false)
	f("weight=5, the candidate mutates", 10, 5, true)
	f("weight=50, the candidate mutates", 10, 50, true)
}

// BenchmarkCompile is what a new policy costs, beside the data path.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c := compiler{config: testConfig(nil), signal: signalMetrics}
			routes := benchRoutes(n, func(s string) policy.Route { return splitRoute(s, 5) })
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.compile(&policy.Snapshot{Version: 1, Routes: routes}, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTraces divides spans by their trace.
func BenchmarkTraces(b *testing.B) {
	original := spans("shop", 10, 100)
	c := compiler{config: testConfig(nil), signal: signalTraces}
	v, _, err := c.compile(&policy.Snapshot{Version: 1, Routes: []policy.Route{traceRoute(50)}}, time.Now())
	require.NoError(b, err)
	var t tally
	b.ReportAllocs()
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		td := ptrace.NewTraces()
		original.CopyTo(td)
		b.StartTimer()
		began := time.Now()
		divideTraces(v, td, began, &t)
		spent += time.Since(began)
		t.reset()
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*original.SpanCount()), "ns/span")
}

// paired measures two calls in turns of 20, so that what else the machine does
// hits both, and reports the median of each and their ratio.
func paired(b *testing.B, prepare func() pmetric.Metrics, one, other func(pmetric.Metrics) (wait func())) {
	b.Helper()
	var times [2][]time.Duration
	for b.Loop() {
		for i, call := range []func(pmetric.Metrics) func(){one, other} {
			for range 20 {
				md := prepare()
				began := time.Now()
				wait := call(md)
				times[i] = append(times[i], time.Since(began))
				wait()
			}
		}
	}
	var medians [2]float64
	for i := range times {
		slices.Sort(times[i])
		medians[i] = float64(times[i][len(times[i])/2]) / (benchResources * benchPoints)
	}
	b.ReportMetric(medians[0], "ns/point")
	b.ReportMetric(medians[1], "other-ns/point")
	b.ReportMetric(medians[0]/medians[1], "ratio")
}

// BenchmarkPaired has the comparisons that are demanded: a mirror whose baseline
// writes with CopyTo alone, and 10,000 experiments with ten.
func BenchmarkPaired(b *testing.B) {
	original := workload()
	calls := func(b *testing.B, baselineMutates bool, change func(*Config), routes []policy.Route) func(pmetric.Metrics) func() {
		b.Helper()
		candidate, wait := benchSink{}, func() {}
		if routes[0].Mirror {
			candidate.took = make(chan struct{}, 1)
			wait = func() { <-candidate.took }
		}
		c := startBench(b, benchSink{mutates: baselineMutates}, candidate, change, routes)
		return func(md pmetric.Metrics) func() {
			if err := c.ConsumeMetrics(b.Context(), md); err != nil {
				b.Error(err)
			}
			return wait
		}
	}
	fresh := func() pmetric.Metrics { return copyOf(original) }
	b.Run("mirror, the baseline writes", func(b *testing.B) {
		paired(b, fresh, calls(b, true, nil, benchRoutes(10, mirrorRoute)), func(md pmetric.Metrics) func() {
			copyOf(md)
			return func() {}
		})
	})
	b.Run("mirror, 10000 experiments", func(b *testing.B) {
		paired(b, func() pmetric.Metrics { return original },
			calls(b, false, unmarked, benchRoutes(10_000, mirrorRoute)), calls(b, false, unmarked, benchRoutes(10, mirrorRoute)))
	})
	split := func(n int) []policy.Route {
		return benchRoutes(n, func(s string) policy.Route { return splitRoute(s, 5) })
	}
	b.Run("split, 10000 experiments", func(b *testing.B) {
		paired(b, fresh, calls(b, true, nil, split(10_000)), calls(b, true, nil, split(10)))
	})
}

// BenchmarkRoutes is what control asks for four times a second.
func BenchmarkRoutes(b *testing.B) {
	c := startBench(b, benchSink{}, benchSink{}, nil, benchRoutes(10_000, func(s string) policy.Route { return splitRoute(s, 50) }))
	r := c.(metricsConnector).router //nolint:forcetypeassert // it is
	for i := range uint64(5_000) {
		r.view().routes[0].state.assigned.Load().units[toBaseline].add(i * 0x9E3779B97F4A7C15)
	}
	for b.Loop() {
		if list, err := r.Routes(b.Context(), nil); err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}
