package cardinalityprocessor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/report"
)

// TestReportEqualsModel feeds random streams, once as drawn and once with
// resources, metrics, points and attributes in another order, and compares the
// reports with the model.
func TestReportEqualsModel(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		model
	}{
		"otlp":              {"backend: {kind: otlp}", model{otlp: true}},
		"prometheus":        {"", model{targetInfo: true}},
		"promoted":          {"backend: {resource_attributes: [k8s.pod.name], target_info: false}", model{promoted: []string{"k8s.pod.name"}}},
		"promoted all":      {"backend: {resource_attributes: all}", model{promoted: []string{"all"}, targetInfo: true}},
		"with scope labels": {"backend: {scope_labels: true}", model{scopes: true, targetInfo: true}},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				drawn := drawBatch(rt)
				expected := c.model
				expected.add(drawn)
				for _, md := range []pmetric.Metrics{drawn, shuffled(rt, drawn)} {
					got, metrics := reportOf(t, c.yaml, md)
					require.Equal(rt, expected.counts(), got)
					requireGroups(rt, expected, metrics)
				}
			})
		})
	}
}

// reportOf counts one batch with a processor of its own.
func reportOf(t *testing.T, yaml string, md pmetric.Metrics) (map[string]modelCount, []report.MetricCardinality) {
	t.Helper()
	r := newRig(t)
	p := r.create("cardinality", r.config(yaml))
	require.NoError(t, p.Start(t.Context(), r.host))
	defer func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, p.ConsumeMetrics(t.Context(), md))
	c := r.report(report.CardinalityQuery{})
	return countsOf(c), c.Metrics
}

// requireGroups compares joint savings, which the processor chooses to report,
// with the model's.
func requireGroups(t *rapid.T, expected model, metrics []report.MetricCardinality) {
	for _, m := range metrics {
		for _, g := range m.Groups {
			var without []string
			for _, qualified := range g.Attributes {
				level, key, found := strings.Cut(qualified, ".")
				switch {
				case found && (level == string(report.LevelResource) || level == string(report.LevelScope)):
					without = append(without, level+" "+key)
				default:
					without = append(without, string(report.LevelDataPoint)+" "+qualified)
				}
			}
			require.Equal(t, expected.metrics[m.Name].count(expected.otlp, without...), g.SeriesWithout, "%s without %v", m.Name, g.Attributes)
		}
	}
}

// values are few, so that streams repeat; 1 comes as all types that print so.
var drawnValues = rapid.SampledFrom([]func(pcommon.Value){
	func(v pcommon.Value) { v.SetStr("a") },
	func(v pcommon.Value) { v.SetStr("b") },
	func(v pcommon.Value) { v.SetStr("") },
	func(v pcommon.Value) { v.SetStr("1") },
	func(v pcommon.Value) { v.SetInt(1) },
	func(v pcommon.Value) { v.SetDouble(1) },
	func(v pcommon.Value) { v.SetStr("true") },
	func(v pcommon.Value) { v.SetBool(true) },
	func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr("x") },
	func(v pcommon.Value) { v.SetEmptyMap().PutInt("x", 1) },
})

func drawAttributes(t *rapid.T, dst pcommon.Map, keys ...string) {
	for _, key := range rapid.Permutation(keys).Draw(t, "keys") {
		if rapid.Bool().Draw(t, key) {
			drawnValues.Draw(t, key)(dst.PutEmpty(key))
		}
	}
}

// drawBatch draws a small batch. A name has one unit; the bounds of a
// histogram follow from the resource, so that a stream keeps its bounds.
func drawBatch(t *rapid.T) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range rapid.IntRange(1, 4).Draw(t, "resources") {
		rm := md.ResourceMetrics().AppendEmpty()
		drawAttributes(t, rm.Resource().Attributes(), "service.name", "service.namespace", "service.instance.id", "k8s.pod.name")
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			sm := rm.ScopeMetrics().AppendEmpty()
			drawAttributes(t, sm.Scope().Attributes(), "team")
			sm.Scope().SetName(rapid.SampledFrom([]string{"", "lib"}).Draw(t, "scope"))
			sm.Scope().SetVersion(rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "version"))
			for range rapid.IntRange(0, 3).Draw(t, "metrics") {
				drawMetric(t, sm.Metrics().AppendEmpty(), rm.Resource().Attributes())
			}
		}
	}
	return md
}

var temporalities = rapid.SampledFrom([]pmetric.AggregationTemporality{
	pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta,
})

func drawMetric(t *rapid.T, m pmetric.Metric, resource pcommon.Map) {
	name := rapid.SampledFrom([]string{"gauge", "sum", "mixed", "histogram", "exponential", "summary", ""}).Draw(t, "metric")
	m.SetName(name)
	points := rapid.IntRange(0, 5).Draw(t, "points")
	temporality := temporalities.Draw(t, "temporality")
	if name == "mixed" {
		name = rapid.SampledFrom([]string{"gauge", "sum", "exponential"}).Draw(t, "type")
	}
	switch name {
	case "sum":
		m.SetEmptySum().SetIsMonotonic(rapid.Bool().Draw(t, "monotonic"))
		m.Sum().SetAggregationTemporality(temporality)
		for range points {
			drawPoint(t, m.Sum().DataPoints().AppendEmpty())
		}
	case "histogram":
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
		for range points {
			drawHistogram(t, m.Histogram().DataPoints().AppendEmpty(), resource)
		}
	case "exponential":
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
		for range points {
			drawPoint(t, m.ExponentialHistogram().DataPoints().AppendEmpty())
		}
	case "summary":
		for s := m.SetEmptySummary(); s.DataPoints().Len() < points; {
			p := s.DataPoints().AppendEmpty()
			drawPoint(t, p)
			p.QuantileValues().AppendEmpty().SetQuantile(0.5)
		}
	default:
		for g := m.SetEmptyGauge(); g.DataPoints().Len() < points; {
			drawPoint(t, g.DataPoints().AppendEmpty())
		}
	}
}

func drawPoint(t *rapid.T, p point) {
	drawAttributes(t, p.Attributes(), "code", "http.route", "size")
	p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(rapid.IntRange(0, 9).Draw(t, "stale") == 0))
}

func drawHistogram(t *rapid.T, p pmetric.HistogramDataPoint, resource pcommon.Map) {
	drawPoint(t, p)
	pod, ok := resource.Get("k8s.pod.name")
	switch {
	case !ok:
		p.SetSum(1)
	case pod.AsString() == "1": // the integer too, so that equal labels have equal bounds or not
		p.ExplicitBounds().FromRaw([]float64{1, 2})
	case pod.Type() == pcommon.ValueTypeStr:
		p.SetSum(1)
		p.ExplicitBounds().FromRaw([]float64{1, 5, 10})
	}
}

// shuffled returns the same data in another order.
func shuffled(t *rapid.T, md pmetric.Metrics) pmetric.Metrics {
	order := func(n int) []int {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		return rapid.Permutation(list).Draw(t, "order")
	}
	attributes := func(m pcommon.Map) {
		var keys []string
		for key := range m.All() {
			keys = append(keys, key)
		}
		next := pcommon.NewMap()
		for _, i := range order(len(keys)) {
			v, _ := m.Get(keys[i])
			v.CopyTo(next.PutEmpty(keys[i]))
		}
		next.CopyTo(m)
	}
	out := pmetric.NewMetrics()
	for _, i := range order(md.ResourceMetrics().Len()) {
		rm := out.ResourceMetrics().AppendEmpty()
		md.ResourceMetrics().At(i).CopyTo(rm)
		attributes(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			from := pmetric.NewMetricSlice()
			sm.Metrics().MoveAndAppendTo(from)
			for _, j := range order(from.Len()) {
				from.At(j).CopyTo(sm.Metrics().AppendEmpty())
			}
			for _, m := range sm.Metrics().All() {
				shufflePoints(m, order, attributes)
			}
		}
	}
	return out
}

func shufflePoints(m pmetric.Metric, order func(int) []int, attributes func(pcommon.Map)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		shuffleNumbers(m.Gauge().DataPoints(), order, attributes)
	case pmetric.MetricTypeSum:
		shuffleNumbers(m.Sum().DataPoints(), order, attributes)
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			attributes(p.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			attributes(p.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			attributes(p.Attributes())
		}
	}
}

func shuffleNumbers(points pmetric.NumberDataPointSlice, order func(int) []int, attributes func(pcommon.Map)) {
	from := pmetric.NewNumberDataPointSlice()
	points.MoveAndAppendTo(from)
	for _, i := range order(from.Len()) {
		p := points.AppendEmpty()
		from.At(i).CopyTo(p)
		attributes(p.Attributes())
	}
}

// TestBestIsTheLargestSaving draws reports and looks for a better suggestion.
func TestBestIsTheLargestSaving(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		_, metrics := reportOf(t, "", drawBatch(rt))
		for _, m := range metrics {
			var savings []string
			for _, a := range m.Attributes {
				savings = append(savings, fmt.Sprintf("%08d", a.Saving))
			}
			for _, g := range m.Groups {
				savings = append(savings, fmt.Sprintf("%08d", g.Saving))
			}
			most := slices.Max(append(savings, "00000000"))
			if m.Best == nil {
				require.Equal(rt, "00000000", most)
				continue
			}
			require.Equal(rt, most, fmt.Sprintf("%08d", m.Best.Series))
			require.Equal(rt, m.Series, m.Best.Series+m.Best.SeriesWithout)
		}
	})
}
