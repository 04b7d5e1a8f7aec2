package stream

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// Attributes that Batch puts on points.
const (
	// OverflowAttribute marks the output that stands for the inputs beyond a
	// limit, as in the metrics SDK specification, "Overflow attribute".
	OverflowAttribute = "otel.metric.overflow"
	// BoundsAttribute tells histograms of one identity apart whose bounds share
	// nothing: see consolidation.Emission.Variant.
	BoundsAttribute = "phoenix.bounds"
)

// Batch collects values into one pmetric.Metrics, grouped by resource, scope
// and metric. It belongs to one goroutine.
type Batch struct {
	writer, id string

	data      pmetric.Metrics
	points    int
	resources map[*Resource]pmetric.ResourceMetrics
	scopes    map[*Scope]pmetric.ScopeMetrics
	metrics   map[*Metric]pmetric.Metric
}

// NewBatch returns an empty batch that puts a point attribute of this name and
// value on every point; without a name it does not.
func NewBatch(writer, id string) *Batch {
	b := &Batch{writer: writer, id: id}
	b.reset()
	return b
}

func (b *Batch) reset() {
	b.data, b.points = pmetric.NewMetrics(), 0
	b.resources = map[*Resource]pmetric.ResourceMetrics{}
	b.scopes = map[*Scope]pmetric.ScopeMetrics{}
	b.metrics = map[*Metric]pmetric.Metric{}
}

// Len is the number of points.
func (b *Batch) Len() int { return b.points }

// Take returns the batch and empties it.
func (b *Batch) Take() pmetric.Metrics {
	data := b.data
	b.reset()
	return data
}

// Add puts what the engine emits, whose owner is a *Stream, into the batch. It
// copies all of it. The slice is for the exemplars of the point; ok is false for
// points that have none.
func (b *Batch) Add(m *consolidation.Emission) (exemplars pmetric.ExemplarSlice, ok bool) {
	s := m.Owner.(*Stream) //nolint:forcetypeassert // all owners are streams
	metric := b.metric(s.Metric)
	b.points++
	switch m.Kind {
	case consolidation.Gauge:
		return b.number(metric.Gauge().DataPoints().AppendEmpty(), s, m), true
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
		return b.histogram(metric.Histogram().DataPoints().AppendEmpty(), s, m), true
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		return b.exponential(metric.ExponentialHistogram().DataPoints().AppendEmpty(), s, m), true
	case consolidation.Summary:
		b.summary(metric.Summary().DataPoints().AppendEmpty(), s, m)
		return pmetric.ExemplarSlice{}, false
	default:
		return b.number(metric.Sum().DataPoints().AppendEmpty(), s, m), true
	}
}

func (b *Batch) metric(m *Metric) pmetric.Metric {
	if at, known := b.metrics[m]; known {
		return at
	}
	at := b.scope(m.Scope).Metrics().AppendEmpty()
	at.SetName(m.Name)
	at.SetDescription(m.Description)
	at.SetUnit(m.Unit)
	m.Metadata.CopyTo(at.Metadata())
	setKind(at, m.Kind)
	b.metrics[m] = at
	return at
}

func setKind(m pmetric.Metric, kind consolidation.Kind) {
	temporality := pmetric.AggregationTemporalityCumulative
	if kind.Delta() {
		temporality = pmetric.AggregationTemporalityDelta
	}
	switch kind {
	case consolidation.Gauge:
		m.SetEmptyGauge()
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
	case consolidation.Summary:
		m.SetEmptySummary()
	default:
		sum := m.SetEmptySum()
		sum.SetAggregationTemporality(temporality)
		sum.SetIsMonotonic(kind == consolidation.DeltaSum || kind == consolidation.CumulativeSum)
	}
}

func (b *Batch) scope(s *Scope) pmetric.ScopeMetrics {
	if at, known := b.scopes[s]; known {
		return at
	}
	at := b.resource(s.Resource).ScopeMetrics().AppendEmpty()
	at.SetSchemaUrl(s.SchemaURL)
	at.Scope().SetName(s.Name)
	at.Scope().SetVersion(s.Version)
	s.Attributes.CopyTo(at.Scope().Attributes())
	b.scopes[s] = at
	return at
}

func (b *Batch) resource(r *Resource) pmetric.ResourceMetrics {
	if at, known := b.resources[r]; known {
		return at
	}
	at := b.data.ResourceMetrics().AppendEmpty()
	at.SetSchemaUrl(r.SchemaURL)
	r.Attributes.CopyTo(at.Resource().Attributes())
	b.resources[r] = at
	return at
}

// dataPoint is what the points of all types share.
type dataPoint interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}

func (b *Batch) head(p dataPoint, s *Stream, m *consolidation.Emission) {
	attributes := p.Attributes()
	attributes.EnsureCapacity(s.Attributes.Len() + 2)
	s.Attributes.CopyTo(attributes)
	if b.writer != "" {
		attributes.PutStr(b.writer, b.id)
	}
	if m.Variant != 0 {
		attributes.PutStr(BoundsAttribute, strconv.FormatUint(m.Variant, 16))
	}
	p.SetStartTimestamp(pcommon.Timestamp(m.Start))
	p.SetTimestamp(pcommon.Timestamp(m.Time))
	if m.Stale {
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
}

func (b *Batch) number(p pmetric.NumberDataPoint, s *Stream, m *consolidation.Emission) pmetric.ExemplarSlice {
	b.head(p, s, m)
	switch {
	case m.Stale:
	case m.Number.IsDouble():
		p.SetDoubleValue(m.Number.Float())
	default:
		p.SetIntValue(m.Number.Int())
	}
	return p.Exemplars()
}

func (b *Batch) histogram(p pmetric.HistogramDataPoint, s *Stream, m *consolidation.Emission) pmetric.ExemplarSlice {
	b.head(p, s, m)
	if h := m.Histogram; h != nil && !m.Stale {
		p.SetCount(h.Count)
		p.BucketCounts().FromRaw(h.Counts)
		p.ExplicitBounds().FromRaw(h.Bounds.Edges())
		setMoments(p, h.Moments)
	}
	return p.Exemplars()
}

func (b *Batch) exponential(
	p pmetric.ExponentialHistogramDataPoint, s *Stream, m *consolidation.Emission,
) pmetric.ExemplarSlice {
	b.head(p, s, m)
	if h := m.Exponential; h != nil && !m.Stale {
		p.SetCount(h.Count)
		p.SetScale(h.Scale)
		p.SetZeroThreshold(h.ZeroThreshold)
		p.SetZeroCount(h.ZeroCount)
		setBuckets(p.Positive(), h.Positive)
		setBuckets(p.Negative(), h.Negative)
		setMoments(p, h.Moments)
	}
	return p.Exemplars()
}

func setBuckets(p pmetric.ExponentialHistogramDataPointBuckets, b spatial.Buckets) {
	p.SetOffset(b.Offset)
	p.BucketCounts().FromRaw(b.Counts)
}

func (b *Batch) summary(p pmetric.SummaryDataPoint, s *Stream, m *consolidation.Emission) {
	b.head(p, s, m)
	if h := m.Histogram; h != nil && !m.Stale {
		p.SetCount(h.Count)
		p.SetSum(h.Sum)
		if h.Known&spatial.HasSum == 0 { // not optional in OTLP, and 0 would be a wrong answer
			p.SetSum(math.NaN())
		}
	}
}

func setMoments(p interface {
	SetSum(float64)
	SetMin(float64)
	SetMax(float64)
}, m spatial.Moments,
) {
	if m.Known&spatial.HasSum != 0 {
		p.SetSum(m.Sum)
	}
	if m.Known&spatial.HasMin != 0 {
		p.SetMin(m.Min)
	}
	if m.Known&spatial.HasMax != 0 {
		p.SetMax(m.Max)
	}
}
