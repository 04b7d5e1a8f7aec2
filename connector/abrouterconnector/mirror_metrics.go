package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// mirrorOf is the route of an experiment if its candidate gets a copy now.
func (v *view) mirrorOf(e *routing.Experiment, now time.Time) *route {
	if e == nil {
		return nil
	}
	if rt := v.routes[e.Tag]; rt.isMirror() && rt.candidateOpen(now) {
		return rt
	}
	return nil
}

// mirroredMetrics finds what candidates get beside the baseline. If that is all
// of the batch nothing is copied.
func mirroredMetrics(v *view, md pmetric.Metrics, now time.Time) (copied pmetric.Metrics, rows []mirrorRow, whole bool) {
	whole = true
	for _, rm := range md.ResourceMetrics().All() {
		match := v.table.Resource(rm.Resource().Attributes())
		e, known := match.Whole()
		rt := v.mirrorOf(e, now)
		if !known || rt == nil {
			whole = false
			break
		}
		rows = addRow(rows, rt, pointsOf(rm))
	}
	if whole {
		return copied, rows, true
	}
	rows, copied = rows[:0], pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
		match := v.table.Resource(rm.Resource().Attributes())
		if match.None() {
			continue
		}
		e, known := match.Whole()
		if !known {
			rows = copyMetrics(v, &match, rm, copied, now, rows)
		} else if rt := v.mirrorOf(e, now); rt != nil {
			rm.CopyTo(copied.ResourceMetrics().AppendEmpty())
			rows = addRow(rows, rt, pointsOf(rm))
		}
	}
	return copied, rows, false
}

// copyMetrics copies those points of a resource that candidates get.
func copyMetrics(v *view, match *routing.Match, rm pmetric.ResourceMetrics, copied pmetric.Metrics, now time.Time, rows []mirrorRow) []mirrorRow {
	to := pmetric.NewResourceMetrics()
	for _, sm := range rm.ScopeMetrics().All() {
		scope := pmetric.NewScopeMetrics()
		for _, m := range sm.Metrics().All() {
			found := match.Metric(m.Name())
			if found.None() {
				continue
			}
			if e, known := found.Whole(); known {
				if rt := v.mirrorOf(e, now); rt != nil {
					m.CopyTo(scope.Metrics().AppendEmpty())
					rows = addRow(rows, rt, pointsOfMetric(m))
				}
				continue
			}
			rows = copyPoints(v, &found, m, scope, now, rows)
		}
		if scope.Metrics().Len() > 0 {
			sm.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(sm.SchemaUrl())
			scope.MoveTo(to.ScopeMetrics().AppendEmpty())
		}
	}
	if to.ScopeMetrics().Len() > 0 {
		rm.Resource().CopyTo(to.Resource())
		to.SetSchemaUrl(rm.SchemaUrl())
		to.MoveTo(copied.ResourceMetrics().AppendEmpty())
	}
	return rows
}

// copyPoints copies those points of a metric that candidates get.
func copyPoints(v *view, found *routing.Points, m pmetric.Metric, scope pmetric.ScopeMetrics, now time.Time, rows []mirrorRow) []mirrorRow {
	points, ok := walk.Of(m)
	if !ok {
		return rows
	}
	keep, n := make([]bool, points.Len()), 0
	for i := range keep {
		if rt := v.mirrorOf(found.Point(points.Attributes(i)), now); rt != nil {
			rows = addRow(rows, rt, 1)
			keep[i] = true
			n++
		}
	}
	if n == 0 {
		return rows
	}
	to := scope.Metrics().AppendEmpty()
	m.CopyTo(to)
	i := -1
	drop := func() bool { i++; return !keep[i] }
	switch to.Type() {
	case pmetric.MetricTypeGauge:
		to.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return drop() })
	case pmetric.MetricTypeSum:
		to.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return drop() })
	case pmetric.MetricTypeHistogram:
		to.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return drop() })
	case pmetric.MetricTypeExponentialHistogram:
		to.ExponentialHistogram().DataPoints().RemoveIf(func(pmetric.ExponentialHistogramDataPoint) bool { return drop() })
	case pmetric.MetricTypeSummary:
		to.Summary().DataPoints().RemoveIf(func(pmetric.SummaryDataPoint) bool { return drop() })
	case pmetric.MetricTypeEmpty:
	}
	return rows
}

// markMetrics marks a copy as the candidate's, so that nobody takes its points
// for the baseline's.
func markMetrics(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				points, ok := walk.Of(m)
				if !ok {
					continue
				}
				for i := range points.Len() {
					putArm(points.Attributes(i))
				}
			}
		}
	}
}

func putArm(attributes pcommon.Map) {
	attributes.PutStr(policy.ArmAttribute, string(policy.ArmCandidate))
}
