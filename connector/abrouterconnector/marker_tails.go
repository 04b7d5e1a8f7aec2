package abrouterconnector

import (
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// tail builds what one arm gets of streams that left it: resources, scopes and
// metrics are copied when the first point of theirs comes.
type tail struct {
	d  *division
	to side

	resource pmetric.ResourceMetrics
	scope    pmetric.ScopeMetrics
	metric   pmetric.Metric
	// open says what of these is that of the present point.
	open struct{ resource, scope, metric bool }
}

// tails copies what the arms get of streams that left them, and takes the start
// of points whose start is unknown to the arm. It comes before anything of the
// resource is moved.
func (a *assigner) tails(rm pmetric.ResourceMetrics, codes []code) {
	tails := [sides]tail{{d: &a.division, to: toBaseline}, {d: &a.division, to: toCandidate}}
	for _, sm := range rm.ScopeMetrics().All() {
		for i := range tails {
			tails[i].open.scope = false
		}
		for _, m := range sm.Metrics().All() {
			n := pointsOfMetric(m)
			if marked(codes[:n]) {
				for i := range tails {
					tails[i].open.metric = false
				}
				tailsOf(&tails, source{rm, sm, m}, codes[:n])
			}
			codes = codes[n:]
		}
	}
}

func marked(codes []code) bool {
	for _, c := range codes {
		if c&codeMarks != 0 {
			return true
		}
	}
	return false
}

// source is where a point is.
type source struct {
	resource pmetric.ResourceMetrics
	scope    pmetric.ScopeMetrics
	metric   pmetric.Metric
}

func tailsOf(tails *[sides]tail, from source, codes []code) {
	switch m := from.metric; m.Type() {
	case pmetric.MetricTypeGauge:
		tailPoints(tails, from, codes, m.Gauge().DataPoints(), func(m pmetric.Metric) pmetric.NumberDataPointSlice { return m.Gauge().DataPoints() })
	case pmetric.MetricTypeSum:
		tailPoints(tails, from, codes, m.Sum().DataPoints(), func(m pmetric.Metric) pmetric.NumberDataPointSlice { return m.Sum().DataPoints() })
	case pmetric.MetricTypeHistogram:
		tailPoints(tails, from, codes, m.Histogram().DataPoints(),
			func(m pmetric.Metric) pmetric.HistogramDataPointSlice { return m.Histogram().DataPoints() })
	case pmetric.MetricTypeExponentialHistogram:
		tailPoints(tails, from, codes, m.ExponentialHistogram().DataPoints(),
			func(m pmetric.Metric) pmetric.ExponentialHistogramDataPointSlice {
				return m.ExponentialHistogram().DataPoints()
			})
	case pmetric.MetricTypeSummary:
		tailPoints(tails, from, codes, m.Summary().DataPoints(), func(m pmetric.Metric) pmetric.SummaryDataPointSlice { return m.Summary().DataPoints() })
	case pmetric.MetricTypeEmpty: // has no points
	}
}

// pointSlice is what the slices of points of all types have.
type pointSlice[P any] interface {
	At(i int) P
	AppendEmpty() P
}

// tailPoints does so for the points of a metric; slice finds those of its copy.
func tailPoints[P dataPoint[P], S pointSlice[P]](tails *[sides]tail, from source, codes []code, points S, slice func(pmetric.Metric) S) {
	for i, c := range codes {
		if c&codeMarks == 0 {
			continue
		}
		point := points.At(i)
		if c&(codeMarker|codeCopy) != 0 {
			last := slice(tails[c.side().other()].of(from)).AppendEmpty()
			if c&codeCopy != 0 {
				point.CopyTo(last)
			} else {
				setMarker(last, point)
				tails[0].d.markers++
			}
		}
		if c&codeUnknownStart != 0 {
			point.SetStartTimestamp(0)
		}
	}
}

// of returns the metric to add a point to.
func (t *tail) of(from source) pmetric.Metric {
	d := t.d
	if d.lastPoints[t.to] == 0 {
		d.last[t.to] = pmetric.NewMetrics()
	}
	d.lastPoints[t.to]++
	if !t.open.resource {
		t.resource = d.last[t.to].ResourceMetrics().AppendEmpty()
		from.resource.Resource().CopyTo(t.resource.Resource())
		t.resource.SetSchemaUrl(from.resource.SchemaUrl())
	}
	if !t.open.scope {
		t.scope = t.resource.ScopeMetrics().AppendEmpty()
		from.scope.Scope().CopyTo(t.scope.Scope())
		t.scope.SetSchemaUrl(from.scope.SchemaUrl())
	}
	if !t.open.metric {
		t.metric = t.scope.Metrics().AppendEmpty()
		copyDescriptor(from.metric, t.metric)
	}
	t.open.resource, t.open.scope, t.open.metric = true, true, true
	return t.metric
}
