package adaptivesamplerprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// pointBuffers hold the lists of a point while it is decided about.
type pointBuffers struct {
	edges            []float64
	counts, negative []uint64
	histogram        spatial.HistogramPoint
	exponential      spatial.ExponentialPoint
}

// sizer measures points as OTLP has them.
var sizer pmetric.ProtoMarshaler

// take lets the points of a metric through the rules.
func (f *metricsFeeder) take(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		f.takeNumbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		f.takeNumbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		points := m.Histogram().DataPoints()
		points.RemoveIf(f.histogram)
		f.inserts.intoHistograms(points)
	case pmetric.MetricTypeExponentialHistogram:
		points := m.ExponentialHistogram().DataPoints()
		points.RemoveIf(f.exponential)
		f.inserts.intoExponentials(points)
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(f.summary)
	case pmetric.MetricTypeEmpty:
	}
}

func (f *metricsFeeder) takeNumbers(points pmetric.NumberDataPointSlice) {
	points.RemoveIf(f.number)
	f.inserts.intoNumbers(points)
}

// Each of the functions for RemoveIf has the same steps: begin chooses the rules,
// the point is read if a dead band asks for it, observe decides, and end counts.

func (f *metricsFeeder) takeNumber(p pmetric.NumberDataPoint) bool {
	attributes := p.Attributes()
	size := 0
	if f.set.sizes {
		size = sizer.NumberDataPointSize(p)
	}
	d := f.begin(attributes, p.Flags().NoRecordedValue(), size)
	if d.asks() {
		if f.readNumber(p) {
			f.observe(d, attributes)
		} else {
			d.fate = fateNoValue
		}
	}
	if d.weighs() {
		f.weighNumber(d, p)
	}
	if d.before {
		f.inserts.number(f.metric.out, p, &f.batch.notes.Before)
		size := 0
		if f.set.sizes {
			size = sizer.NumberDataPointSize(f.inserts.numbers.At(f.inserts.numbers.Len() - 1))
		}
		f.sendBefore(d, size)
	}
	return f.end(d)
}

// readNumber fills in the point; false if it has no value.
func (f *metricsFeeder) readNumber(p pmetric.NumberDataPoint) bool {
	f.point.Sum.Span = spatial.Span{Start: uint64(p.StartTimestamp()), Time: uint64(p.Timestamp())}
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		f.point.Sum.Value = spatial.Int(p.IntValue())
	case pmetric.NumberDataPointValueTypeDouble:
		f.point.Sum.Value = spatial.Double(p.DoubleValue())
	default:
		f.point.Sum.Value = spatial.Number{}
		return f.point.Stale
	}
	return true
}

func (f *metricsFeeder) takeHistogram(p pmetric.HistogramDataPoint) bool {
	attributes := p.Attributes()
	size := 0
	if f.set.sizes {
		size = sizer.HistogramDataPointSize(p)
	}
	d := f.begin(attributes, p.Flags().NoRecordedValue(), size)
	if d.asks() {
		f.readHistogram(p)
		f.observe(d, attributes)
	}
	if d.weighs() {
		f.weigh(d, attributes)
		f.contribute(d, float64(p.Count()), uint64(p.StartTimestamp()))
	}
	if d.before {
		f.inserts.histogram(f.metric.out, p, &f.batch.notes.Before)
		size := 0
		if f.set.sizes {
			size = sizer.HistogramDataPointSize(f.inserts.histograms.At(f.inserts.histograms.Len() - 1))
		}
		f.sendBefore(d, size)
	}
	return f.end(d)
}

// readHistogram fills in the point. One that cannot be read has no buckets and
// counts that do not fit, which the dead band calls malformed.
func (f *metricsFeeder) readHistogram(p pmetric.HistogramDataPoint) {
	b := &f.buffers
	f.point.Sum = spatial.SumPoint{Span: spatial.Span{Start: uint64(p.StartTimestamp()), Time: uint64(p.Timestamp())}}
	b.histogram = spatial.HistogramPoint{Span: f.point.Sum.Span, Count: p.Count()}
	f.point.Histogram = &b.histogram
	var fits, listed bool
	b.edges, fits = appendFloats(b.edges[:0], p.ExplicitBounds())
	b.counts, listed = appendCounts(b.counts[:0], p.BucketCounts())
	bounds, v := f.band.Bounds(b.edges)
	if !fits || !listed || v.Refused() {
		b.histogram.Counts, b.histogram.Count = unreadable, 0
		return
	}
	b.histogram.Bounds, b.histogram.Counts = bounds, b.counts
	b.histogram.Moments = moments(p.HasSum(), p.Sum(), p.HasMin(), p.Min(), p.HasMax(), p.Max())
}

// unreadable are counts that no histogram has.
var unreadable = []uint64{1, 1, 1}

func moments(hasSum bool, sum float64, hasMin bool, least float64, hasMax bool, most float64) (m spatial.Moments) {
	if hasSum {
		m.Sum, m.Known = sum, m.Known|spatial.HasSum
	}
	if hasMin {
		m.Min, m.Known = least, m.Known|spatial.HasMin
	}
	if hasMax {
		m.Max, m.Known = most, m.Known|spatial.HasMax
	}
	return m
}

func (f *metricsFeeder) takeExponential(p pmetric.ExponentialHistogramDataPoint) bool {
	attributes := p.Attributes()
	size := 0
	if f.set.sizes {
		size = sizer.ExponentialHistogramDataPointSize(p)
	}
	d := f.begin(attributes, p.Flags().NoRecordedValue(), size)
	if d.asks() {
		f.readExponential(p)
		f.observe(d, attributes)
	}
	if d.weighs() {
		f.weigh(d, attributes)
		f.contribute(d, float64(p.Count()), uint64(p.StartTimestamp()))
	}
	if d.before {
		f.inserts.exponential(f.metric.out, p, &f.batch.notes.Before)
		size := 0
		if f.set.sizes {
			size = sizer.ExponentialHistogramDataPointSize(f.inserts.exponentials.At(f.inserts.exponentials.Len() - 1))
		}
		f.sendBefore(d, size)
	}
	return f.end(d)
}

func (f *metricsFeeder) readExponential(p pmetric.ExponentialHistogramDataPoint) {
	b := &f.buffers
	f.point.Sum = spatial.SumPoint{Span: spatial.Span{Start: uint64(p.StartTimestamp()), Time: uint64(p.Timestamp())}}
	var positive, negative bool
	b.counts, positive = appendCounts(b.counts[:0], p.Positive().BucketCounts())
	b.negative, negative = appendCounts(b.negative[:0], p.Negative().BucketCounts())
	b.exponential = spatial.ExponentialPoint{
		Span: f.point.Sum.Span, Scale: p.Scale(), ZeroThreshold: p.ZeroThreshold(), ZeroCount: p.ZeroCount(), Count: p.Count(),
		Positive: spatial.Buckets{Offset: p.Positive().Offset(), Counts: b.counts},
		Negative: spatial.Buckets{Offset: p.Negative().Offset(), Counts: b.negative},
		Moments:  moments(p.HasSum(), p.Sum(), p.HasMin(), p.Min(), p.HasMax(), p.Max()),
	}
	if !positive || !negative {
		b.exponential.Count = b.exponential.ZeroCount + 1
		b.exponential.Positive.Counts, b.exponential.Negative.Counts = nil, nil
	}
	f.point.Exponential = &b.exponential
}

func (f *metricsFeeder) takeSummary(p pmetric.SummaryDataPoint) bool {
	attributes := p.Attributes()
	size := 0
	if f.set.sizes {
		size = sizer.SummaryDataPointSize(p)
	}
	d := f.begin(attributes, p.Flags().NoRecordedValue(), size)
	if d.weighs() {
		f.weigh(d, attributes)
		f.contribute(d, float64(p.Count()), uint64(p.StartTimestamp()))
	}
	return f.end(d)
}

func appendCounts(dst []uint64, s pcommon.UInt64Slice) ([]uint64, bool) {
	if s.Len() > spatial.MaxListed {
		return dst, false
	}
	for i := range s.Len() {
		dst = append(dst, s.At(i))
	}
	return dst, true
}

func appendFloats(dst []float64, s pcommon.Float64Slice) ([]float64, bool) {
	if s.Len() > spatial.MaxListed {
		return dst, false
	}
	for i := range s.Len() {
		dst = append(dst, s.At(i))
	}
	return dst, true
}
