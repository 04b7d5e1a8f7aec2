// Package walk is the one place that switches over the types of OTLP metrics.
package walk

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Points is a view of the data points of one metric, of whatever type. It
// copies nothing and keeps nothing alive that the metric does not.
type Points struct {
	metric      pmetric.MetricType
	number      pmetric.NumberDataPointSlice
	histogram   pmetric.HistogramDataPointSlice
	exponential pmetric.ExponentialHistogramDataPointSlice
	summary     pmetric.SummaryDataPointSlice
	temporality pmetric.AggregationTemporality
	monotonic   bool
}

// Of returns the points of a metric. ok is false for a metric without data or
// of a type that this version does not know.
func Of(m pmetric.Metric) (p Points, ok bool) {
	p.metric = m.Type()
	switch p.metric {
	case pmetric.MetricTypeGauge:
		p.number = m.Gauge().DataPoints()
	case pmetric.MetricTypeSum:
		p.number = m.Sum().DataPoints()
		p.temporality, p.monotonic = m.Sum().AggregationTemporality(), m.Sum().IsMonotonic()
	case pmetric.MetricTypeHistogram:
		p.histogram = m.Histogram().DataPoints()
		p.temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		p.exponential = m.ExponentialHistogram().DataPoints()
		p.temporality = m.ExponentialHistogram().AggregationTemporality()
	case pmetric.MetricTypeSummary:
		p.summary = m.Summary().DataPoints()
	case pmetric.MetricTypeEmpty:
		return p, false
	default:
		return p, false
	}
	return p, true
}

// Type is the type of the metric.
func (p *Points) Type() pmetric.MetricType { return p.metric }

// Temporality is that of a sum or histogram, else unspecified.
func (p *Points) Temporality() pmetric.AggregationTemporality { return p.temporality }

// Monotonic is set for a monotonic sum.
func (p *Points) Monotonic() bool { return p.monotonic }

// Len is the number of points.
func (p *Points) Len() int {
	switch p.metric {
	case pmetric.MetricTypeGauge, pmetric.MetricTypeSum:
		return p.number.Len()
	case pmetric.MetricTypeHistogram:
		return p.histogram.Len()
	case pmetric.MetricTypeExponentialHistogram:
		return p.exponential.Len()
	case pmetric.MetricTypeSummary:
		return p.summary.Len()
	case pmetric.MetricTypeEmpty:
	}
	return 0
}

// Attributes are those of point i.
func (p *Points) Attributes(i int) pcommon.Map {
	switch p.metric {
	case pmetric.MetricTypeHistogram:
		return p.histogram.At(i).Attributes()
	case pmetric.MetricTypeExponentialHistogram:
		return p.exponential.At(i).Attributes()
	case pmetric.MetricTypeSummary:
		return p.summary.At(i).Attributes()
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSum:
	}
	return p.number.At(i).Attributes()
}

// Flags are those of point i.
func (p *Points) Flags(i int) pmetric.DataPointFlags {
	switch p.metric {
	case pmetric.MetricTypeHistogram:
		return p.histogram.At(i).Flags()
	case pmetric.MetricTypeExponentialHistogram:
		return p.exponential.At(i).Flags()
	case pmetric.MetricTypeSummary:
		return p.summary.At(i).Flags()
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSum:
	}
	return p.number.At(i).Flags()
}

// Histogram is point i of a classic histogram.
func (p *Points) Histogram(i int) pmetric.HistogramDataPoint { return p.histogram.At(i) }

// Summary is point i of a summary.
func (p *Points) Summary(i int) pmetric.SummaryDataPoint { return p.summary.At(i) }
