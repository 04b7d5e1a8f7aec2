package cardinalityprocessor

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

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
	order      int64 // larger first
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
		who := []attribute.KeyValue{attribute.String("metric_name", mr.Name), attribute.String("group", mr.Group)}
		f.topSeries = m.keep(f.topSeries, finding{series, series, who})
		if best := bestSaving(mr.Analysis); best != nil {
			what := attribute.String("attribute", strings.Join(best.Attributes, "+"))
			saved := int64(best.Series) //nolint:gosec // a count
			f.topSaving = m.keep(f.topSaving, finding{saved, saved, append(slices.Clone(who), what)})
		}
		if l := m.limits.of(mr); l != nil {
			state := int64(0)
			if l.Exceeded {
				state = 1
				f.exceeded++
			}
			excess := series - int64(l.MaxSeries) //nolint:gosec // validated
			what := attribute.String("match", l.Match)
			f.topExceeded = m.keep(f.topExceeded, finding{state, excess, append(slices.Clone(who), what)})
		}
	}
	return f
}

// keep inserts a finding into a list of the largest.
func (m *measurement) keep(list []finding, f finding) []finding {
	at, _ := slices.BinarySearchFunc(list, f, func(a, b finding) int {
		switch {
		case a.order > b.order:
			return -1
		case a.order < b.order:
			return 1
		}
		return 0
	})
	if at >= m.config.Top {
		return list
	}
	list = slices.Insert(list, at, f)
	return list[:min(len(list), m.config.Top)]
}

// observe registers the asynchronous instruments.
func (m *measurement) observe() error {
	point := attribute.String("point", m.point)
	one := metric.WithAttributes(point)
	total := func(value func(cardinality.Totals) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value(m.tracker.Totals()), one)
			return nil
		}
	}
	found := func(value func(*findings) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			if f := m.latest.Load(); f != nil {
				o.Observe(value(f), one)
			}
			return nil
		}
	}
	top := func(list func(*findings) []finding) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			if f := m.latest.Load(); f != nil {
				for _, x := range list(f) {
					o.Observe(x.value, metric.WithAttributes(append([]attribute.KeyValue{point}, x.attributes...)...))
				}
			}
			return nil
		}
	}
	t := m.telemetry
	for _, register := range []func() error{
		func() error {
			return t.RegisterProcessorCardinalityMetricsTrackedCallback(total(func(x cardinality.Totals) int64 { return x.Metrics }))
		},
		func() error {
			return t.RegisterProcessorCardinalityStreamsCallback(total(func(x cardinality.Totals) int64 { return x.Streams }))
		},
		func() error {
			return t.RegisterProcessorCardinalityMemoryCallback(total(func(x cardinality.Totals) int64 { return x.Bytes }))
		},
		func() error {
			return t.RegisterProcessorCardinalityPointsOverflowCallback(total(func(x cardinality.Totals) int64 { return x.Overflow }))
		},
		func() error {
			return t.RegisterProcessorCardinalitySeriesCallback(found(func(f *findings) int64 { return f.series }))
		},
		func() error {
			return t.RegisterProcessorCardinalityMetricsGrowingCallback(found(func(f *findings) int64 { return f.growing }))
		},
		func() error {
			return t.RegisterProcessorCardinalityLimitsExceededCallback(found(func(f *findings) int64 { return f.exceeded }))
		},
		func() error {
			return t.RegisterProcessorCardinalityTopSeriesCallback(top(func(f *findings) []finding { return f.topSeries }))
		},
		func() error {
			return t.RegisterProcessorCardinalityTopSavingCallback(top(func(f *findings) []finding { return f.topSaving }))
		},
		func() error {
			return t.RegisterProcessorCardinalityLimitExceededCallback(top(func(f *findings) []finding { return f.topExceeded }))
		},
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}
