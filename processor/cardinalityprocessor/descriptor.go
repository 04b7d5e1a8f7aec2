package cardinalityprocessor

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// types maps OTLP types to those of the tracker.
var types = [...]cardinality.Type{
	pmetric.MetricTypeGauge:                cardinality.Gauge,
	pmetric.MetricTypeSum:                  cardinality.Sum,
	pmetric.MetricTypeHistogram:            cardinality.Histogram,
	pmetric.MetricTypeExponentialHistogram: cardinality.ExponentialHistogram,
	pmetric.MetricTypeSummary:              cardinality.Summary,
}

// describe names a metric. The strings belong to the batch.
func describe(m pmetric.Metric, p *walk.Points) cardinality.Descriptor {
	return cardinality.Descriptor{Name: m.Name(), Unit: m.Unit(), Type: types[p.Type()], Monotonic: p.Monotonic()}
}

// kind packs what tells two metrics of one name and unit apart.
func kind(p *walk.Points) uint8 {
	k := uint8(p.Type())<<3 | uint8(p.Temporality())<<1 //nolint:gosec // small enumerations
	if p.Monotonic() {
		k |= 1
	}
	return k
}
