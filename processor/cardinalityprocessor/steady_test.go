package cardinalityprocessor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
)

// TestConcurrentCallers lets four pipelines send while sub-windows rotate,
// limits are analysed and reports are made, and counts at the end.
func TestConcurrentCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		cfg := r.config("window: 4s\ntop: 3\nlimits: [{match: shared, max_series: 100}]")
		const callers, rounds = 4, 50
		var wg sync.WaitGroup
		var failed atomic.Int32
		for caller := range callers {
			p := r.create("cardinality", cfg)
			require.NoError(t, p.Start(t.Context(), r.host))
			t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
			own := parseStream(t, fmt.Sprintf("resource service.name=s{1..3} host.name=h{1..3}\nsum own%d\n  x={1..40}\nhistogram shared\n  x={%d..%d} !bounds=1,2", caller, 10*caller, 10*caller+29))
			wg.Go(func() {
				for range rounds {
					failed.Add(failures(p.ConsumeMetrics(t.Context(), own)))
					time.Sleep(100 * time.Millisecond) // fake clock; a rotation is due at every tenth
				}
				failed.Add(failures(p.ConsumeMetrics(t.Context(), own)))
			})
		}
		for range rounds {
			requireConsistent(t, r.report(report.CardinalityQuery{}))
			requireConsistent(t, r.report(report.CardinalityQuery{Since: time.Second}))
			r.telemetryText(nil)
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
		synctest.Wait()
		assert.Zero(t, failed.Load())
		for caller := range callers {
			m := r.metric(fmt.Sprintf("own%d", caller))
			assert.Equal(t, uint64(3*40), m.Series)
			assert.Equal(t, uint64(3*40*(rounds+1)), m.Points)
		}
		m := r.metric("shared")
		assert.Equal(t, uint64(3*60), m.Streams, "x is 0 to 59")
		assert.Equal(t, uint64(3*60*5), m.Series)
		assert.Equal(t, uint64(3*30*callers*(rounds+1)), m.Points)
	})
}

func failures(err error) int32 {
	if err != nil {
		return 1
	}
	return 0
}

// TestSteadyStateAllocatesNothing feeds points of every type again and again.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const text = `resource service.name=shop host.name=h service.instance.id=i
scope lib@1 team=a
gauge gauge
  x={1..300} y=int:{1..300}
sum sum cumulative monotonic
  x={1..300} z=bool:true
histogram histogram delta
  x={1..300} !bounds=1,2,3
exponential_histogram exponential_histogram delta
  x={1..300} w=double:1.5
summary summary
  x={1..300} v=map:deep u=bytes:raw`
	for _, yaml := range []string{"", "backend: {kind: otlp}", "group_by: service.name", "group_by: x"} {
		for _, routes := range [][]policy.Route{
			nil, {mirrorRoute("a/b", "shop")}, {splitRoute("a/b", "shop", "series", "")}, {splitRoute("a/b", "shop", "attribute", "point.x")},
		} {
			t.Run(fmt.Sprint(yaml, len(routes)), func(t *testing.T) {
				// No control plane: what it does beside would count.
				e := startEnd(t, "candidate", yaml, routes...)
				md := parseStream(t, text)
				e.send(parseStream(t, text))
				f := e.arm.measurement.newFeeder()
				f.feed(md)
				require.Zero(t, testing.AllocsPerRun(20, func() { f.feed(md) }))
			})
		}
	}
}

// What a call allocates does not grow with its points; the pool may lose a feeder.
func TestCallsAllocateAFixedNumber(t *testing.T) {
	r := newRig(t)
	p := r.start("")
	allocations := func(points int) float64 {
		md := parseStream(t, fmt.Sprintf("resource service.name=shop\nsum a\n  x={1..%d} y=b", points))
		return testing.AllocsPerRun(100, func() { _ = p.ConsumeMetrics(t.Context(), md); r.sink.Reset() })
	}
	allocations(3000) // every series is known now
	assert.Less(t, allocations(3000), 100.0)
}

// A feeder in the pool holds no part of a batch.
func TestFeederLetsGoOfTheBatch(t *testing.T) {
	e := startEnd(t, "baseline", "backend: {scope_labels: true}", mirrorRoute("a/b", "shop"))
	f := e.arm.measurement.newFeeder()
	for _, text := range []string{
		"resource service.name=shop a=1 b=2 c=3\nscope lib@1 d=4\nsum wide\n  e=5 f=6 g=7 h=8",
		"resource service.name=shop\nsum narrow\n  e=5",
	} {
		f.feed(parseStream(t, text))
		f.release()
		for _, list := range [][]cardinality.Attribute{f.upper[:cap(f.upper)], f.description.Attributes[:cap(f.description.Attributes)]} {
			for _, a := range list {
				assert.Zero(t, a)
			}
		}
		assert.Zero(t, f.points)
		assert.Zero(t, f.resource)
		assert.Zero(t, f.arm.match)
		assert.Zero(t, f.arm.found)
		assert.Zero(t, f.arm.metric)
		assert.Zero(t, f.arm.scope)
	}
}
