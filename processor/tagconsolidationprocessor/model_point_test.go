package tagconsolidationprocessor

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// The model is what the processor should do, written for the reader. It takes
// in the same batches, keeps every raw point for ever, knows streams by their
// labels in clear, works in big numbers and in the cells of a database, and has
// rules of its own: it uses nothing of the packages series, relabel,
// consolidation and spatial but the names of kinds.

// clearKey names an attribute: r.service.name, s.x, p.route.
type clearKey struct {
	level byte
	key   string
}

// clearLabels are attributes in clear. Values are texts with their types.
type clearLabels map[clearKey]string

// clearPoint is a raw point, or an emitted one.
type clearPoint struct {
	labels      clearLabels
	scope       string // name and version
	name, unit  string
	kind        consolidation.Kind
	unspecified bool // the temporality
	start, time uint64
	now         uint64 // when it came
	stale       bool
	noValue     bool
	malformed   bool // beside its times
	offFrame    bool // malformed in a way that is seen before its times are
	value       amount
}

// clear reads a batch in its order.
func clearPoints(md pmetric.Metrics, now uint64) []*clearPoint {
	var list []*clearPoint
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				points, _ := walk.Of(m)
				for i := range points.Len() {
					p := &clearPoint{
						labels: clearLabels{}, scope: sm.Scope().Name() + "@" + sm.Scope().Version(), name: m.Name(), unit: m.Unit(), now: now,
					}
					p.labels.read('r', rm.Resource().Attributes())
					p.labels.read('s', sm.Scope().Attributes())
					p.labels.read('p', points.Attributes(i))
					p.stale = points.Flags(i).NoRecordedValue()
					p.readValue(m, i)
					list = append(list, p)
				}
			}
		}
	}
	return list
}

func (l clearLabels) read(level byte, attributes pcommon.Map) {
	for key, value := range attributes.All() {
		l[clearKey{level, key}] = value.Type().String() + ":" + value.AsString()
	}
}

// seriesOf is the identity of the series: the same for equal labels in any order.
func seriesOf(labels clearLabels, scope string, p *clearPoint) string {
	list := make([]string, 0, len(labels))
	for k, v := range labels {
		list = append(list, string(k.level)+"."+k.key+"="+v)
	}
	slices.Sort(list)
	return p.name + "|" + p.unit + "|" + p.kind.String() + "|" + scope + "|" + strings.Join(list, "|")
}

func (p *clearPoint) readValue(m pmetric.Metric, i int) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		p.kind = consolidation.Gauge
		p.readNumber(m.Gauge().DataPoints().At(i))
	case pmetric.MetricTypeSum:
		p.readKind(m.Sum().AggregationTemporality(), consolidation.DeltaUpDown, consolidation.CumulativeUpDown)
		if m.Sum().IsMonotonic() {
			p.readKind(m.Sum().AggregationTemporality(), consolidation.DeltaSum, consolidation.CumulativeSum)
		}
		p.readNumber(m.Sum().DataPoints().At(i))
	case pmetric.MetricTypeHistogram:
		p.readKind(m.Histogram().AggregationTemporality(), consolidation.DeltaHistogram, consolidation.CumulativeHistogram)
		p.readHistogram(m.Histogram().DataPoints().At(i))
	case pmetric.MetricTypeExponentialHistogram:
		p.readKind(m.ExponentialHistogram().AggregationTemporality(), consolidation.DeltaExponential, consolidation.CumulativeExponential)
		p.readExponential(m.ExponentialHistogram().DataPoints().At(i))
	case pmetric.MetricTypeSummary:
		p.kind = consolidation.Summary
		s := m.Summary().DataPoints().At(i)
		p.readTimes(s.StartTimestamp(), s.Timestamp())
		p.value.measured = measured{count: s.Count(), sum: known(s.Sum(), true)}
		p.value.classic = classic{math.Inf(1): s.Count()}
		p.malformed = s.Count() == 0 && s.Sum() != 0
	case pmetric.MetricTypeEmpty:
	}
}

func (p *clearPoint) readKind(t pmetric.AggregationTemporality, delta, cumulative consolidation.Kind) {
	p.unspecified = t == pmetric.AggregationTemporalityUnspecified
	if p.kind = cumulative; t == pmetric.AggregationTemporalityDelta {
		p.kind = delta
	}
}

func (p *clearPoint) readTimes(start, at pcommon.Timestamp) {
	p.start, p.time = uint64(start), uint64(at)
}

func exact(v float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(v) }

// known is a value if it is there and is one.
func known(v float64, there bool) *big.Float {
	if !there || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return exact(v)
}

func (p *clearPoint) readNumber(n pmetric.NumberDataPoint) {
	p.readTimes(n.StartTimestamp(), n.Timestamp())
	switch n.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		p.value.number = new(big.Float).SetPrec(300).SetInt64(n.IntValue())
	case pmetric.NumberDataPointValueTypeDouble:
		p.value.double = true
		p.value.number = known(n.DoubleValue(), true)
	case pmetric.NumberDataPointValueTypeEmpty:
		p.noValue = true
		return
	}
	monotonic := p.kind == consolidation.DeltaSum || p.kind == consolidation.CumulativeSum
	p.malformed = p.value.number == nil || monotonic && p.value.number.Sign() < 0
}

func (p *clearPoint) readHistogram(h pmetric.HistogramDataPoint) {
	p.readTimes(h.StartTimestamp(), h.Timestamp())
	bounds, counts := h.ExplicitBounds().AsRaw(), h.BucketCounts().AsRaw()
	p.value.readMeasured(h)
	p.value.classic = classic{}
	total := uint64(0)
	for i, n := range counts {
		if total += n; i < len(bounds) {
			p.value.classic[bounds[i]] = n
		} else {
			p.value.classic[math.Inf(1)] += n
		}
	}
	if len(bounds) == 0 && len(counts) == 0 {
		total = h.Count()
		p.value.classic[math.Inf(1)] = total
	}
	rising := slices.IsSorted(bounds) && len(slices.Compact(slices.Clone(bounds))) == len(bounds)
	p.offFrame = !rising || slices.ContainsFunc(bounds, math.IsNaN)
	lists := len(counts) == len(bounds)+1 || len(bounds)+len(counts) == 0
	p.malformed = !lists || total != h.Count() || p.value.measured.contradicts()
}

func (p *clearPoint) readExponential(h pmetric.ExponentialHistogramDataPoint) {
	p.readTimes(h.StartTimestamp(), h.Timestamp())
	p.value.readMeasured(h)
	x := &exponents{scale: int(h.Scale()), zeroCount: h.ZeroCount()}
	total := x.zeroCount
	for side, b := range []pmetric.ExponentialHistogramDataPointBuckets{h.Positive(), h.Negative()} {
		x.sides[side] = map[int]uint64{}
		for i, n := range b.BucketCounts().All() {
			if total += n; n > 0 {
				x.sides[side][int(b.Offset())+i] = n
			}
		}
	}
	threshold := h.ZeroThreshold()
	p.malformed = total != h.Count() || x.scale < -10 || x.scale > 20 || !(threshold >= 0) || p.value.measured.contradicts()
	if !p.malformed {
		x.setThreshold(threshold)
	}
	p.value.exponents = x
}

// output is what an emitted point says about itself beside its stream.
type output struct {
	*clearPoint
	writer, bounds string // attributes that the processor adds
	journaled      bool   // it was in the storage when it was sent
	delivered      bool   // the process lived when it was sent
}

// readOutputs reads what was emitted by a processor with this writer attribute.
func readOutputs(md pmetric.Metrics, now uint64, writer string) []*output {
	points := clearPoints(md, now)
	list := make([]*output, 0, len(points))
	for _, p := range points {
		o := &output{clearPoint: p}
		for key, to := range map[string]*string{writer: &o.writer, "phoenix.bounds": &o.bounds} {
			at := clearKey{'p', key}
			*to = p.labels[at]
			delete(p.labels, at)
		}
		list = append(list, o)
	}
	return list
}

// String writes a point for a message.
func (p *clearPoint) String() string {
	text := fmt.Sprintf("%s [%d..%d]", seriesOf(p.labels, p.scope, p), p.start, p.time)
	if p.stale {
		return text + " stale"
	}
	return text + " " + p.value.String()
}
