package tagconsolidationprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// maxAhead is how far the time of a point may lie after now. One from further
// ahead would make all that follow late. Prometheus has the same limit.
const maxAhead = uint64(10 * time.Minute)

// buffers hold the lists of a point while it is fed.
type buffers struct {
	edges            []float64
	counts, negative []uint64
	histogram        spatial.HistogramPoint
	exponential      spatial.ExponentialPoint
}

// take feeds the points of a metric and removes those that were taken.
func (f *feeder) take(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(f.number)
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(f.number)
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(f.histogram)
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(f.exponential)
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(f.summary)
	case pmetric.MetricTypeEmpty:
	}
}

// begin prepares the current point and says whether to go on: it is taken by a
// lane and has a time that can be believed.
func (f *feeder) begin(attributes pcommon.Map, start, at pcommon.Timestamp, stale bool) (taken, sound bool) {
	l := f.laneOf(attributes)
	if l == nil {
		return false, false
	}
	f.lane, f.attributes = l, attributes
	if uint64(at) > f.now+maxAhead {
		l.dropped[futureTime]++
		return true, false
	}
	p := &f.point
	p.Rule, p.Kind, p.Policy, p.Stale, p.Now = l.rule.id, f.kind, l.rule.gauge, stale, f.now
	p.Since = l.rule.moved.Load()
	p.Sum = spatial.SumPoint{Span: spatial.Span{Start: uint64(start), Time: uint64(at)}}
	return true, true
}

// deliver feeds the current point and says whether it counts.
func (f *feeder) deliver() bool {
	l := f.lane
	in, out := l.identify(f, f.attributes)
	f.point.Input, f.point.Output = consolidation.Key(in), consolidation.Key(out)
	outcome := f.engine.Feed(&f.point, f)
	if f.fate = taken; outcome.Happened != 0 && !f.judge(outcome) {
		return false
	}
	l.count(f.point.Stale, outcome)
	if l.candidate.ranked {
		l.rank(&f.point, outcome)
	}
	return !f.point.Stale && !outcome.Verdict.Refused() && !outcome.Verdict.Ignored()
}

func (f *feeder) number(p pmetric.NumberDataPoint) bool {
	stale := p.Flags().NoRecordedValue()
	taken, sound := f.begin(p.Attributes(), p.StartTimestamp(), p.Timestamp(), stale)
	if !sound {
		return taken
	}
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		f.point.Sum.Value = spatial.Int(p.IntValue())
	case pmetric.NumberDataPointValueTypeDouble:
		f.point.Sum.Value = spatial.Double(p.DoubleValue())
	case pmetric.NumberDataPointValueTypeEmpty:
		if !stale {
			f.lane.dropped[noValue]++
			return true
		}
	}
	if f.deliver() {
		f.exemplars.offer(f.point.Output, p.Exemplars(), f.lane.rule.plan, f.attributes)
	}
	return f.numberIsTaken(p)
}

func (f *feeder) histogram(p pmetric.HistogramDataPoint) bool {
	stale := p.Flags().NoRecordedValue()
	taken, sound := f.begin(p.Attributes(), p.StartTimestamp(), p.Timestamp(), stale)
	if !sound {
		return taken
	}
	b := &f.buffers
	if !stale {
		var ok bool
		if b.edges, ok = appendFloats(b.edges[:0], p.ExplicitBounds()); !ok {
			f.lane.refused(spatial.TooManyBuckets)
			return true
		}
		bounds, v := f.engine.Bounds(b.edges)
		if v.Refused() {
			f.lane.refused(v)
			return true
		}
		if b.counts, ok = appendCounts(b.counts[:0], p.BucketCounts()); !ok {
			f.lane.refused(spatial.TooManyBuckets)
			return true
		}
		f.lane.shape(partsOf(len(b.counts), p.HasSum()))
		b.histogram = spatial.HistogramPoint{Span: f.point.Sum.Span, Bounds: bounds, Counts: b.counts, Count: p.Count()}
		if p.HasSum() {
			b.histogram.Sum, b.histogram.Known = p.Sum(), b.histogram.Known|spatial.HasSum
		}
		if p.HasMin() {
			b.histogram.Min, b.histogram.Known = p.Min(), b.histogram.Known|spatial.HasMin
		}
		if p.HasMax() {
			b.histogram.Max, b.histogram.Known = p.Max(), b.histogram.Known|spatial.HasMax
		}
		f.point.Histogram = &b.histogram
	}
	if f.deliver() {
		f.exemplars.offer(f.point.Output, p.Exemplars(), f.lane.rule.plan, f.attributes)
	}
	return f.histogramIsTaken(p)
}

func (f *feeder) exponential(p pmetric.ExponentialHistogramDataPoint) bool {
	stale := p.Flags().NoRecordedValue()
	taken, sound := f.begin(p.Attributes(), p.StartTimestamp(), p.Timestamp(), stale)
	if !sound {
		return taken
	}
	b := &f.buffers
	if !stale {
		var positive, negative bool
		b.counts, positive = appendCounts(b.counts[:0], p.Positive().BucketCounts())
		b.negative, negative = appendCounts(b.negative[:0], p.Negative().BucketCounts())
		if !positive || !negative {
			f.lane.refused(spatial.TooManyBuckets)
			return true
		}
		b.exponential = spatial.ExponentialPoint{
			Span: f.point.Sum.Span, Scale: p.Scale(), ZeroThreshold: p.ZeroThreshold(), ZeroCount: p.ZeroCount(), Count: p.Count(),
			Positive: spatial.Buckets{Offset: p.Positive().Offset(), Counts: b.counts},
			Negative: spatial.Buckets{Offset: p.Negative().Offset(), Counts: b.negative},
		}
		if p.HasSum() {
			b.exponential.Sum, b.exponential.Known = p.Sum(), b.exponential.Known|spatial.HasSum
		}
		if p.HasMin() {
			b.exponential.Min, b.exponential.Known = p.Min(), b.exponential.Known|spatial.HasMin
		}
		if p.HasMax() {
			b.exponential.Max, b.exponential.Known = p.Max(), b.exponential.Known|spatial.HasMax
		}
		f.point.Exponential = &b.exponential
	}
	if f.deliver() {
		f.exemplars.offer(f.point.Output, p.Exemplars(), f.lane.rule.plan, f.attributes)
	}
	return f.exponentialIsTaken(p)
}

func (f *feeder) summary(p pmetric.SummaryDataPoint) bool {
	stale := p.Flags().NoRecordedValue()
	taken, sound := f.begin(p.Attributes(), p.StartTimestamp(), p.Timestamp(), stale)
	if !sound {
		return taken
	}
	if !stale {
		f.lane.shape(partsOf(p.QuantileValues().Len(), true))
	}
	f.buffers.histogram = spatial.SummaryPoint(f.point.Sum.Span, p.Count(), p.Sum())
	f.point.Histogram = &f.buffers.histogram
	f.deliver()
	return f.summaryIsTaken(p)
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
