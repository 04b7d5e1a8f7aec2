package cardinalityprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/internal/cardinality"
)

// observe registers the asynchronous instruments.
func (m *measurement) observe() error {
	t := m.telemetry
	return errors.Join(
		t.RegisterProcessorCardinalityMetricsTrackedCallback(m.total(func(x cardinality.Totals) int64 { return x.Metrics })),
		t.RegisterProcessorCardinalityStreamsCallback(m.total(func(x cardinality.Totals) int64 { return x.Streams })),
		t.RegisterProcessorCardinalityMemoryCallback(m.total(func(x cardinality.Totals) int64 { return x.Bytes + m.arm.budget.used() })),
		t.RegisterProcessorCardinalityPointsOverflowCallback(m.total(func(x cardinality.Totals) int64 { return x.Overflow })),
		t.RegisterProcessorCardinalitySeriesCallback(m.found(func(f *findings) int64 { return f.series })),
		t.RegisterProcessorCardinalityMetricsGrowingCallback(m.found(func(f *findings) int64 { return f.growing })),
		t.RegisterProcessorCardinalityLimitsExceededCallback(m.found(func(f *findings) int64 { return f.exceeded })),
		t.RegisterProcessorCardinalityTopSeriesCallback(m.top(func(f *findings) []finding { return f.topSeries })),
		t.RegisterProcessorCardinalityTopSavingCallback(m.top(func(f *findings) []finding { return f.topSaving })),
		t.RegisterProcessorCardinalityLimitExceededCallback(m.top(func(f *findings) []finding { return f.topExceeded })),
	)
}

func (m *measurement) pointAttribute() attribute.KeyValue { return attribute.String("point", m.point) }

// total observes a sum that needs no analysis.
func (m *measurement) total(value func(cardinality.Totals) int64) metric.Int64Callback {
	point := metric.WithAttributes(m.pointAttribute())
	return func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(value(m.tracker.Totals()), point)
		return nil
	}
}

// found observes a number of the last analysis; there is none before the first.
func (m *measurement) found(value func(*findings) int64) metric.Int64Callback {
	point := metric.WithAttributes(m.pointAttribute())
	return func(_ context.Context, o metric.Int64Observer) error {
		if f := m.latest.Load(); f != nil {
			o.Observe(value(f), point)
		}
		return nil
	}
}

// top observes a list of the last analysis.
func (m *measurement) top(list func(*findings) []finding) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		if f := m.latest.Load(); f != nil {
			for _, x := range list(f) {
				o.Observe(x.value, metric.WithAttributes(append([]attribute.KeyValue{m.pointAttribute()}, x.attributes...)...))
			}
		}
		return nil
	}
}
