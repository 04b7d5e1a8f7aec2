package cardinalityprocessor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/report"
)

// FuzzConsume decodes arbitrary bytes, counts what comes out under both
// backends, and checks that the data is the same and the report makes sense.
func FuzzConsume(f *testing.F) {
	for _, text := range []string{
		"",
		"resource service.name=shop host.name=a\nscope lib@1 x=1\ngauge a unit=s\n  x=1 y=int:2\n  -",
		"sum a delta monotonic\n  x=1\n  x=double:NaN\n  x=bytes:abc\nsum a cumulative\n  x=map:v",
		"histogram h delta\n  x=1 !bounds=1,2,5\n  x=1 !bounds=1,3 !nosum\n  x=2 !stale",
		"exponential_histogram e cumulative\n  x=1\nsummary q\n  x=1 !quantiles=0.5,0.9\nempty n\ngauge \"\"\n  x=1",
		"gauge wide\n  a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8\ngauge m{1..12}\n  i={1..30}",
	} {
		f.Add(marshal(f, parseStream(f, text)))
	}
	f.Add([]byte("\x0a\x05\x12\x03\x12\x01\x0a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(raw)
		if err != nil {
			return
		}
		for _, yaml := range []string{
			"max_metrics: 8\nmax_attributes_per_metric: 4\ngroup_by: x",
			"backend: {kind: otlp}",
			"backend: {resource_attributes: all, scope_labels: true}",
		} {
			consumeAndCheck(t, yaml, md)
		}
	})
}

func consumeAndCheck(t *testing.T, yaml string, md pmetric.Metrics) {
	t.Helper()
	r := newRig(t)
	p := r.create("cardinality", r.config(yaml))
	require.NoError(t, p.Start(t.Context(), r.host))
	defer func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) }()
	before := marshal(t, md)
	for range 2 { // the second time every series is known
		require.NoError(t, p.ConsumeMetrics(t.Context(), md))
	}
	require.Equal(t, before, marshal(t, md))
	c := r.report(report.CardinalityQuery{})
	requireConsistent(t, c)
	for _, m := range c.Metrics {
		require.Positive(t, m.Series, m.Name)
		require.Positive(t, m.Streams, m.Name)
	}
}

// requireConsistent checks what holds for every report of small metrics, also of
// a sub-window that has just begun.
func requireConsistent(t *testing.T, c report.Cardinality) {
	t.Helper()
	var series, streams, points uint64
	for _, m := range c.Metrics {
		series += m.Series
		streams += m.Streams
		if m.Name != "target_info" { // its points are made here
			points += m.Points
		}
		require.NotEmpty(t, m.Type, m.Name)
		require.GreaterOrEqual(t, m.Points, m.Streams, m.Name)
		require.LessOrEqual(t, m.Growth.NewInWindow, m.Points, m.Name)
		if c.Backend == "otlp" {
			require.Equal(t, m.Streams, m.Series, m.Name)
		}
		for _, a := range m.Attributes {
			require.LessOrEqual(t, a.Distinct, m.Streams, "%s %s", m.Name, a.Key)
			require.Positive(t, a.Distinct, "%s %s", m.Name, a.Key)
			require.Positive(t, a.SeriesWithout, "%s %s", m.Name, a.Key)
			requireSaving(t, m, a.SeriesWithout, a.Saving)
			if a.Label == "" && !a.Overflow {
				require.Zero(t, a.Saving, "%s %s", m.Name, a.Key)
			}
		}
		for _, g := range m.Groups {
			require.Greater(t, len(g.Attributes), 1, m.Name)
			requireSaving(t, m, g.SeriesWithout, g.Saving)
		}
		if m.Best != nil {
			requireSaving(t, m, m.Best.SeriesWithout, m.Best.Series)
			require.Positive(t, m.Best.Series, m.Name)
		}
	}
	assert.Equal(t, series, c.Series)
	assert.Equal(t, streams, c.Streams)
	assert.Len(t, c.Metrics, c.MetricsTracked)
	assert.LessOrEqual(t, points, c.Points)
	assert.False(t, c.To.Before(c.From))
	if c.Overflow != nil {
		assert.NotEmpty(t, c.Overflow.Reasons)
	}
}

func requireSaving(t *testing.T, m report.MetricCardinality, without, saving uint64) {
	t.Helper()
	require.LessOrEqual(t, without, m.Series, m.Name)
	require.Equal(t, m.Series, without+saving, m.Name)
}
