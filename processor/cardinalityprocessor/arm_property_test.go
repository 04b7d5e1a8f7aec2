package cardinalityprocessor

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// drawnRoutes are experiments on what drawBatch draws. None overlap.
func drawnRoutes() []policy.Route {
	point := splitRoute("a/points", "b", "attribute", "http.route")
	point.Scope["point.code"], point.Metrics = "1", []string{"sum", "histogram", "mixed"}
	empty := splitRoute("a/series", "true", "series", "")
	empty.Metrics = []string{"gauge", "summary", "exponential"}
	code := mirrorRoute("a/code", "1")
	code.Scope["point.code"] = "a"
	return []policy.Route{
		mirrorRoute("a/all", "a"), code, point, splitRoute("a/resource", "", "resource", ""), empty,
		{Experiment: "a/spans", Signal: "traces", Mode: "mirror", Scope: map[string]string{"service.name": "a"}},
	}
}

// takesPart says whether a point is one of an experiment's.
func takesPart(r policy.Route, p anyPoint) bool {
	if !p.alone && len(r.Metrics) > 0 && !slices.Contains(r.Metrics, p.metric.Name()) {
		return false
	}
	for key, want := range r.Scope {
		ref, err := policy.ParseAttributeRef(key)
		if err != nil {
			return false
		}
		attributes := p.resource
		if ref.Level == policy.LevelPoint {
			if attributes = p.attributes; p.alone {
				continue
			}
		}
		if v, there := attributes.Get(ref.Key); !there || v.AsString() != want {
			return false
		}
	}
	return true
}

// TestArmsEqualModel feeds random streams, of which some points carry the mark of
// an arm, and compares what is reported with sets of strings.
func TestArmsEqualModel(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		model
	}{
		"otlp":             {"backend: {kind: otlp}", model{otlp: true}},
		"prometheus":       {"", model{targetInfo: true}},
		"promoted, groups": {"backend: {resource_attributes: all, scope_labels: true}\ngroup_by: code", model{promoted: []string{"all"}, scopes: true, targetInfo: true}},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				e := startEnd(t, "candidate", c.yaml, drawnRoutes()...)
				defer func() { require.NoError(rt, e.p.Shutdown(context.WithoutCancel(t.Context()))) }()
				var batches, sent []pmetric.Metrics
				for range rapid.IntRange(1, 3).Draw(rt, "batches") {
					md := drawBatch(rt)
					batches, sent = append(batches, md), append(sent, marked(rt, md))
				}
				e.send(sent...)
				got := e.settled()
				require.Len(rt, got, len(drawnRoutes())-1)
				for _, r := range drawnRoutes()[:5] {
					want := armModel(rt, c.model, r, batches)
					want.Bytes = bytesOf(r, sent)
					x := got[r.Experiment]
					require.Equal(rt, want, armCounts{x.Series, x.Points, x.Bytes, unitsOf(x.Units)}, r.Experiment)
				}
			})
		})
	}
}

// armCounts is what model and processor must agree on.
type armCounts struct {
	Series, Points, Bytes uint64
	Units                 map[uint64]report.UnitReport
}

func unitsOf(list []report.UnitReport) map[uint64]report.UnitReport {
	units := map[uint64]report.UnitReport{}
	for _, u := range list {
		units[u.Unit] = u
	}
	return units
}

// bytesOf adds up the sizes of an experiment's points.
func bytesOf(r policy.Route, batches []pmetric.Metrics) (sum uint64) {
	for _, md := range batches {
		eachPoint(md, func(p anyPoint) {
			if takesPart(r, p) && p.metric.Name() != "" {
				sum += uint64(p.size)
			}
		})
	}
	return sum
}

// marked is a copy in which some points of mirrored experiments carry the mark.
func marked(t *rapid.T, md pmetric.Metrics) pmetric.Metrics {
	out := pmetric.NewMetrics()
	md.CopyTo(out)
	eachPoint(out, func(p anyPoint) {
		for _, r := range drawnRoutes()[:2] {
			if takesPart(r, p) && rapid.Bool().Draw(t, "marked") {
				p.attributes.PutStr(policy.ArmAttribute, string(policy.ArmCandidate))
			}
		}
	})
	return out
}

// armModel counts an experiment in the simplest way.
func armModel(t *rapid.T, m model, r policy.Route, batches []pmetric.Metrics) armCounts {
	want := armCounts{Units: map[uint64]report.UnitReport{}}
	streams := map[uint64]*model{}
	all := m
	all.targetInfo = m.targetInfo && r.Metrics == nil && len(r.Scope) == 1
	for _, md := range batches {
		own := onlyOf(md, func(p anyPoint) bool { return takesPart(r, p) })
		all.add(own)
		here := map[uint64]bool{}
		eachPoint(own, func(p anyPoint) {
			if p.metric.Name() == "" {
				return
			}
			want.Points++
			if unit, has := unitOf(t, r, p); has {
				u := want.Units[unit]
				want.Units[unit] = report.UnitReport{Unit: unit, Points: u.Points + 1, Bytes: u.Bytes + uint64(p.size)}
				here[unit] = true
			}
		})
		for unit := range here {
			if streams[unit] == nil {
				streams[unit] = &model{otlp: m.otlp, promoted: m.promoted, scopes: m.scopes}
			}
			streams[unit].add(onlyOf(own, func(p anyPoint) bool {
				of, has := unitOf(t, r, p)
				return p.alone || has && of == unit
			}))
		}
	}
	for name, x := range all.metrics {
		if name != "target_info" || all.targetInfo {
			want.Series += x.count(m.otlp)
		}
	}
	for unit, own := range streams {
		u := want.Units[unit]
		for _, x := range own.metrics { // of each stream what its points make
			seen := map[string]int{}
			for _, s := range x.series {
				seen[streamText(s)] = len(s.parts)
			}
			for _, parts := range seen {
				u.Series += uint64(parts)
			}
		}
		want.Units[unit] = u
	}
	return want
}

// streamText tells streams apart.
func streamText(s modelSeries) string {
	one := &modelMetric{streams: map[string]bool{}, types: map[string]bool{}}
	one.add("", s)
	for text := range one.streams {
		return text
	}
	return ""
}

// onlyOf is a copy with some of the points. A resource stays if one of them could
// be there, for its target_info.
func onlyOf(md pmetric.Metrics, keep func(anyPoint) bool) pmetric.Metrics {
	out := pmetric.NewMetrics()
	md.CopyTo(out)
	out.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool { // no metric, no point: as a resource alone
		return !keep(anyPoint{resource: rm.Resource().Attributes(), alone: true})
	})
	for _, rm := range out.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				keepPoints(m, func(attributes pcommon.Map) bool {
					return keep(anyPoint{resource: rm.Resource().Attributes(), scope: sm.Scope(), metric: m, attributes: attributes})
				})
			}
		}
	}
	return out
}

func keepPoints(m pmetric.Metric, keep func(pcommon.Map) bool) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return !keep(p.Attributes()) })
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return !keep(p.Attributes()) })
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(p pmetric.HistogramDataPoint) bool { return !keep(p.Attributes()) })
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool { return !keep(p.Attributes()) })
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(func(p pmetric.SummaryDataPoint) bool { return !keep(p.Attributes()) })
	case pmetric.MetricTypeEmpty:
	}
}
