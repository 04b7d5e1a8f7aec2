package cardinalityprocessor

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/phoenix-platform/phoenix/internal/cardinality"
)

// findings is what the last analysis left for telemetry. It is immutable.
type findings struct {
	series, growing, exceeded int64
	topSeries, topSaving      []finding
	topExceeded               []finding
}

// finding is one number with its attributes.
type finding struct {
	value      int64
	order      int64  // larger first,
	name       string // then by name, so that equals do not take turns
	attributes []attribute.KeyValue
}

// find picks the top offenders, as many as the option top says.
func (m *measurement) find(r *cardinality.Report) *findings {
	f := &findings{}
	for i := range r.Metrics {
		mr := &r.Metrics[i]
		series := int64(mr.Analysis.Series) //nolint:gosec // a count
		f.series += series
		if mr.Growing {
			f.growing++
		}
		name := mr.Name + "\x00" + mr.Group
		who := []attribute.KeyValue{attribute.String("metric_name", mr.Name), attribute.String("group", mr.Group)}
		f.topSeries = m.keep(f.topSeries, finding{series, series, name, who})
		if best := m.bestSaving(mr.Analysis); best != nil {
			what := attribute.String("attribute", strings.Join(best.Attributes, "+"))
			saved := int64(best.Series) //nolint:gosec // a count
			f.topSaving = m.keep(f.topSaving, finding{saved, saved, name, append(slices.Clone(who), what)})
		}
		if l := m.limits.of(mr); l != nil {
			state := int64(0)
			if l.Exceeded {
				state = 1
				f.exceeded++
			}
			excess := series - int64(l.MaxSeries) //nolint:gosec // validated
			what := attribute.String("match", l.Match)
			f.topExceeded = m.keep(f.topExceeded, finding{state, excess, name, append(slices.Clone(who), what)})
		}
	}
	return f
}

// keep inserts a finding into a list of the largest.
func (m *measurement) keep(list []finding, f finding) []finding {
	at, _ := slices.BinarySearchFunc(list, f, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.order, a.order), cmp.Compare(a.name, b.name))
	})
	if at >= m.config.Top {
		return list
	}
	list = slices.Insert(list, at, f)
	return list[:min(len(list), m.config.Top)]
}
