package control_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// askAll registers the parts as instances of one component and asks them.
func askAll(t interface {
	require.TestingT
	Context() context.Context
}, plane *control.Plane, parts ...report.Cardinality,
) report.Cardinality {
	unregister := make([]func(), len(parts))
	defer func() {
		for _, f := range unregister {
			f()
		}
	}()
	for i, part := range parts {
		var err error
		unregister[i], err = plane.RegisterCardinality(registration("cardinality", "ingest", &controltest.Source{Answer: part}))
		require.NoError(t, err)
	}
	answers, err := plane.Cardinality(t.Context(), "ingest", report.CardinalityQuery{Detail: true})
	require.NoError(t, err)
	require.Len(t, answers, 1)
	return answers[0]
}

func TestOneSourceIsPassedOnAsItIs(t *testing.T) {
	want := controltest.Ingest()
	want.Component = "cardinality"
	assert.Equal(t, want, askAll(t, controltest.Open(t, control.Settings{}), controltest.Ingest()))
}

func TestDifferentSourcesAreSummed(t *testing.T) {
	at := time.Date(2026, time.March, 14, 15, 0, 0, 0, time.UTC)
	a := report.Cardinality{
		From: at, To: at.Add(time.Minute), Window: time.Minute, Series: 10, Streams: 8, Points: 80, MetricsTracked: 1,
		Refused: map[string]uint64{"limit": 1}, MemoryBytes: 100, MemoryLimitBytes: 1_000,
		Overflow: &report.CardinalityOverflow{Series: 3, Reasons: []string{"max_metrics"}},
		Metrics: []report.MetricCardinality{{
			Name: "m", Type: "sum", Series: 10, Streams: 8, Points: 80,
			Growth: report.Growth{NewPerMinute: 1, NewInWindow: 2, Growing: true},
			Limit:  &report.SeriesLimit{Match: "m", MaxSeries: 15},
			Best:   &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 4, Series: 6},
			Attributes: []report.AttributeCardinality{
				{Key: "pod", Level: report.LevelDataPoint, Distinct: 5, SeriesWithout: 4, Saving: 6},
				{Key: "only_a", Level: report.LevelDataPoint, Distinct: 2, SeriesWithout: 9, Saving: 1},
			},
			Groups: []report.AttributeGroup{{Attributes: []string{"pod", "uid"}, SeriesWithout: 2, Saving: 8, Since: at}},
		}},
	}
	b := report.Cardinality{
		From: at.Add(-time.Minute), To: at, Window: time.Minute, Series: 7, Streams: 7, Points: 70, MetricsTracked: 2,
		Refused: map[string]uint64{"limit": 2, "type": 4}, MemoryBytes: 50, MemoryLimitBytes: 1_000,
		Overflow: &report.CardinalityOverflow{Series: 1, Reasons: []string{"max_memory_mib", "max_metrics"}},
		Metrics: []report.MetricCardinality{
			{
				Name: "m", Type: "gauge", Unit: "s", Series: 6, Streams: 6, Points: 60,
				Best: &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 1, Series: 5},
				Attributes: []report.AttributeCardinality{
					{Key: "pod", Level: report.LevelDataPoint, Label: "pod", Distinct: 3, SeriesWithout: 1, Saving: 5},
					{Key: "pod", Level: report.LevelResource, Distinct: 1, SeriesWithout: 6},
				},
				Groups: []report.AttributeGroup{
					{Attributes: []string{"pod", "uid"}, SeriesWithout: 1, Saving: 5, Since: at.Add(time.Second)},
					{Attributes: []string{"x", "y"}, SeriesWithout: 5, Saving: 1, Since: at},
				},
			},
			{Name: "only_b", Series: 1, Streams: 1, Points: 10},
		},
	}
	got := askAll(t, controltest.Open(t, control.Settings{}), a, b)
	assert.Equal(t, report.Cardinality{
		Point: "ingest", Component: "cardinality",
		From: at.Add(-time.Minute), To: at.Add(time.Minute), Window: time.Minute,
		Series: 17, Streams: 15, Points: 150, MetricsTracked: 3,
		Refused: map[string]uint64{"limit": 3, "type": 4}, MemoryBytes: 150, MemoryLimitBytes: 2_000,
		Overflow: &report.CardinalityOverflow{Series: 4, Reasons: []string{"max_memory_mib", "max_metrics"}},
		Metrics: []report.MetricCardinality{
			{
				Name: "m", Type: "mixed", Unit: "s", Series: 16, Streams: 14, Points: 140, Estimated: true,
				Growth: report.Growth{NewPerMinute: 1, NewInWindow: 2, Growing: true},
				Limit:  &report.SeriesLimit{Match: "m", MaxSeries: 15, Exceeded: true},
				Best:   &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 5, Series: 11},
				Attributes: []report.AttributeCardinality{
					{Key: "pod", Level: report.LevelDataPoint, Label: "pod", Distinct: 8, SeriesWithout: 5, Saving: 11},
					{Key: "only_a", Level: report.LevelDataPoint, Distinct: 2, SeriesWithout: 15, Saving: 1},
					{Key: "pod", Level: report.LevelResource, Distinct: 1, SeriesWithout: 16},
				},
				Groups: []report.AttributeGroup{
					{Attributes: []string{"pod", "uid"}, SeriesWithout: 3, Saving: 13, Since: at.Add(time.Second)},
					{Attributes: []string{"x", "y"}, SeriesWithout: 15, Saving: 1, Since: at},
				},
			},
			{Name: "only_b", Series: 1, Streams: 1, Points: 10},
		},
	}, got)
	assert.Equal(t, map[string]uint64{"limit": 1}, a.Refused, "what a source owns is not written to")
	assert.Equal(t, uint64(5), a.Metrics[0].Attributes[0].Distinct)
}

func TestBestOfSourcesThatDisagreeIsTheLarger(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	metric := func(attribute string, saving uint64) report.Cardinality {
		m := report.MetricCardinality{Name: "m", Type: "sum", Series: 100}
		if attribute != "" {
			m.Best = &report.Saving{Attributes: []string{attribute}, SeriesWithout: 100 - saving, Series: saving}
		}
		return report.Cardinality{Metrics: []report.MetricCardinality{m}}
	}
	f := func(a, b report.Cardinality, want *report.Saving) {
		t.Helper()
		assert.Equal(t, want, askAll(t, plane, a, b).Metrics[0].Best)
		assert.Equal(t, want, askAll(t, plane, b, a).Metrics[0].Best, "in any order")
	}
	f(metric("pod", 30), metric("uid", 70), &report.Saving{Attributes: []string{"uid"}, SeriesWithout: 130, Series: 70})
	f(metric("pod", 30), metric("uid", 30), &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 170, Series: 30})
	f(metric("pod", 30), metric("", 0), &report.Saving{Attributes: []string{"pod"}, SeriesWithout: 170, Series: 30})
	f(metric("", 0), metric("", 0), nil)
}

// TestSumsAgreeWithANaiveSum adds up random parts in both ways, and checks that
// saving and rest of every attribute still make the whole.
func TestSumsAgreeWithANaiveSum(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(randomPart), 2, 4).Draw(t, "parts")
		got := askAll(t, plane, parts...)
		type key struct{ name, group string }
		series, points := map[key]uint64{}, map[key]uint64{}
		for _, part := range parts {
			for _, m := range part.Metrics {
				series[key{m.Name, m.Group}] += m.Series
				points[key{m.Name, m.Group}] += m.Points
			}
		}
		if len(got.Metrics) != len(series) {
			t.Fatalf("%d metrics, want %d", len(got.Metrics), len(series))
		}
		for _, m := range got.Metrics {
			k := key{m.Name, m.Group}
			if m.Series != series[k] || m.Points != points[k] {
				t.Fatalf("%v has %d series and %d points, want %d and %d", k, m.Series, m.Points, series[k], points[k])
			}
			for _, a := range m.Attributes {
				if a.SeriesWithout+a.Saving != m.Series {
					t.Fatalf("%v of %v: %d + %d is not %d", a.Key, k, a.SeriesWithout, a.Saving, m.Series)
				}
			}
		}
	})
}

func randomPart(t *rapid.T) report.Cardinality {
	var part report.Cardinality
	names := rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 0, 6, rapid.ID[int]).Draw(t, "names")
	for _, n := range names {
		m := report.MetricCardinality{
			Name:   fmt.Sprint("m", n/2),
			Group:  fmt.Sprint("g", n%2),
			Series: rapid.Uint64Range(0, 1_000).Draw(t, "series"),
			Points: rapid.Uint64Range(0, 1_000).Draw(t, "points"),
		}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c"})).Draw(t, "keys")))) {
			saving := rapid.Uint64Range(0, m.Series).Draw(t, "saving")
			m.Attributes = append(m.Attributes, report.AttributeCardinality{Key: key, SeriesWithout: m.Series - saving, Saving: saving})
		}
		part.Metrics = append(part.Metrics, m)
	}
	return part
}
