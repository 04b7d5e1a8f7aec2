package cardinalityprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/report"
)

// TestLargeMetric has 200 pods of 60 series each. Pod, uid and instance each
// save nothing; what they save together is known after two sub-windows.
func TestLargeMetric(t *testing.T) {
	const series = 12_000
	md := parseStream(t, `
resource service.name=shop service.instance.id=10.0.0.{1..200} k8s.pod.name=pod{1..200} k8s.pod.uid=uid{1..200}
sum requests cumulative monotonic
  http.route=/r{1..30} code=200
  http.route=/r{1..30} code=500`)
	md.MarkReadOnly()
	for _, yaml := range []string{
		"backend: {resource_attributes: [k8s.pod.name, k8s.pod.uid], target_info: false}", "backend: {kind: otlp}",
	} {
		t.Run(yaml, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				p := r.start(yaml)
				for range 4 {
					require.NoError(t, p.ConsumeMetrics(t.Context(), md))
					time.Sleep(150 * time.Second) // the clock is synctest's
					synctest.Wait()
				}
				m := r.metric("requests")
				assert.True(t, m.Estimated)
				assert.Equal(t, uint64(series), m.Streams, "streams are counted exactly")
				assert.InEpsilon(t, series, m.Series, 0.02)
				within := func(want int, got uint64, what string) {
					t.Helper()
					assert.InDelta(t, want, int64(got), 0.02*series, what)
				}
				for _, a := range m.Attributes {
					switch a.Key {
					case "http.route":
						within(series*29/30, a.Saving, a.Key)
						assert.Equal(t, uint64(30), a.Distinct)
					case "code":
						within(series/2, a.Saving, a.Key)
					default:
						within(0, a.Saving, a.Key)
					}
				}
				require.Len(t, m.Groups, 1)
				assert.ElementsMatch(t, []string{
					"resource.service.instance.id", "resource.k8s.pod.name", "resource.k8s.pod.uid",
				}, m.Groups[0].Attributes)
				within(series*199/200, m.Groups[0].Saving, "group")
				require.NotNil(t, m.Best)
				assert.Len(t, m.Best.Attributes, 3)
			})
		})
	}
}

// A saving within the error of the sketches is no suggestion: here every
// attribute but one saves nothing, and that one is the whole identity.
func TestNoiseIsNoSaving(t *testing.T) {
	for _, kind := range []string{"prometheus", "otlp"} {
		r := newRig(t)
		p := r.start("backend: {kind: " + kind + "}")
		r.feed(p, "sum requests cumulative\n  id={1..10000} copy={1..10000} zone=a")
		m := r.metric("requests")
		require.True(t, m.Estimated)
		assert.Nil(t, m.Best, kind)
	}
}

// TestMemoryIsBounded sends more series than 1 MiB holds.
func TestMemoryIsBounded(t *testing.T) {
	const series = 20_000
	r := newRig(t)
	p := r.start("max_memory_mib: 1")
	md := parseStream(t, "gauge a\n  x={1..20000}\ngauge b\n  x={1..10}")
	for range 2 {
		require.NoError(t, p.ConsumeMetrics(t.Context(), md))
	}
	c := r.report(report.CardinalityQuery{})
	assert.LessOrEqual(t, c.MemoryBytes, c.MemoryLimitBytes*5/4, "the bound is passed by one step at most")
	require.NotNil(t, c.Overflow)
	assert.Equal(t, []string{"max_memory_mib"}, c.Overflow.Reasons)
	assert.Less(t, c.Series, uint64(series*3/4))
	assert.InEpsilon(t, series+10, c.Series+c.Overflow.Series, 0.05, "what has no room is counted together")
	assert.Equal(t, "points{point=default} 40020\n", r.telemetryText([]string{"points"}))
}
