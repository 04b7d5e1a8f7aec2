package tagconsolidationprocessor

import (
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// hostilePoint is what all points have.
type hostilePoint interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
}

// hostileBatches are points that no SDK would send.
func hostileBatches() map[string]pmetric.Metrics {
	all := map[string]pmetric.Metrics{}
	batch := func(name string, fill func(m pmetric.Metric)) {
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("h." + name)
		fill(m)
		all[name] = md
	}
	at := func(p hostilePoint, start, seconds int) {
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(start) * time.Second)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(seconds) * time.Second)))
	}
	hostileNumbers(batch, at)
	hostileHistograms(batch, at)
	hostileShapes(batch, at)
	return all
}

func hostileNumbers(batch func(string, func(pmetric.Metric)), at func(hostilePoint, int, int)) {
	for name, values := range map[string][]float64{
		"nan": {math.NaN(), 1}, "infinite": {math.Inf(1), math.Inf(-1), 1}, "huge": {math.MaxFloat64, math.MaxFloat64}, "negative": {-1, math.Copysign(0, -1)},
	} {
		batch(name, func(m pmetric.Metric) {
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for i, v := range values {
				p := s.DataPoints().AppendEmpty()
				p.Attributes().PutInt("pod", int64(i))
				at(p, 0, 1)
				p.SetDoubleValue(v)
			}
		})
		batch("gauge-"+name, func(m pmetric.Metric) {
			for i, v := range values {
				p := m.SetEmptyGauge().DataPoints().AppendEmpty()
				p.Attributes().PutInt("pod", int64(i))
				at(p, 0, 1)
				p.SetDoubleValue(v)
			}
		})
	}
	batch("integers", func(m pmetric.Metric) {
		s := m.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i, v := range []int64{math.MaxInt64, math.MaxInt64, math.MinInt64, 0} {
			p := s.DataPoints().AppendEmpty()
			p.Attributes().PutInt("pod", int64(i))
			at(p, 0, 1)
			p.SetIntValue(v)
		}
		s.DataPoints().AppendEmpty() // no value, no time
	})
}

func hostileHistograms(batch func(string, func(pmetric.Metric)), at func(hostilePoint, int, int)) {
	type lists struct {
		bounds []float64
		counts []uint64
		count  uint64
	}
	for name, list := range map[string][]lists{
		"buckets":  {{[]float64{1, 2}, []uint64{1, 2, 3}, 6}, {[]float64{1, 2}, []uint64{1, 2}, 3}, {nil, []uint64{3}, 3}, {nil, nil, 5}},
		"bounds":   {{[]float64{2, 1}, []uint64{1, 0, 0}, 1}, {[]float64{math.NaN()}, []uint64{1, 0}, 1}, {[]float64{1, 1}, []uint64{1, 0, 0}, 1}},
		"counts":   {{[]float64{1}, []uint64{math.MaxUint64, 2}, 1}, {[]float64{1}, []uint64{math.MaxUint64, 0}, math.MaxUint64}, {[]float64{1}, []uint64{7, 0}, 7}},
		"infinite": {{[]float64{math.Inf(-1), 0, math.Inf(1)}, []uint64{1, 2, 3, 4}, 10}},
		"many":     {{make([]float64, 20_000), make([]uint64, 20_001), 0}, {nil, make([]uint64, 20_000), 0}},
	} {
		for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative} {
			batch(name+strings.ToLower(temporality.String()), func(m pmetric.Metric) {
				h := m.SetEmptyHistogram()
				h.SetAggregationTemporality(temporality)
				for i, l := range list {
					p := h.DataPoints().AppendEmpty()
					p.Attributes().PutInt("pod", int64(i))
					at(p, 0, 1+i)
					p.ExplicitBounds().FromRaw(l.bounds)
					p.BucketCounts().FromRaw(l.counts)
					p.SetCount(l.count)
					p.SetSum(math.NaN())
				}
			})
		}
	}
	batch("exponential", func(m pmetric.Metric) {
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for i, scale := range []int32{-11, -10, 0, 20, 21} {
			for _, offset := range []int32{math.MinInt32, -1, math.MaxInt32} {
				for _, threshold := range []float64{0, 1e300, math.Inf(1), math.NaN(), -1} {
					p := h.DataPoints().AppendEmpty()
					p.Attributes().PutInt("pod", int64(i))
					at(p, 0, 1+h.DataPoints().Len())
					p.SetScale(scale)
					p.SetZeroThreshold(threshold)
					p.Positive().SetOffset(offset)
					p.Positive().BucketCounts().FromRaw([]uint64{1, 0, 2})
					p.Negative().SetOffset(-offset)
					p.Negative().BucketCounts().FromRaw(make([]uint64, 300))
					p.SetCount(3)
				}
			}
		}
	})
}

func hostileShapes(batch func(string, func(pmetric.Metric)), at func(hostilePoint, int, int)) {
	counter := func(m pmetric.Metric) pmetric.Sum {
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		return s
	}
	batch("attributes", func(m pmetric.Metric) {
		points := counter(m).DataPoints()
		for i := range 3 {
			p := points.AppendEmpty()
			at(p, 0, 1)
			nested := p.Attributes().PutEmptyMap("deep")
			for range 100 + i {
				nested = nested.PutEmptyMap("deep")
			}
			p.Attributes().PutStr("path", "\xff\xfe")
			p.Attributes().PutEmptyBytes("user").FromRaw([]byte{0, 255})
			p.Attributes().PutEmptySlice("host").AppendEmpty().SetDouble(math.NaN())
			p.Attributes().PutStr("", strings.Repeat("x", 70_000))
			p.Attributes().PutEmpty("code")
			p.SetIntValue(int64(i))
		}
	})
	batch("wide", func(m pmetric.Metric) {
		p := counter(m).DataPoints().AppendEmpty()
		at(p, 0, 1)
		for i := range 2000 {
			p.Attributes().PutInt(strings.Repeat("k", i%300)+string(rune('a'+i%26))+time.Duration(i).String(), int64(i))
		}
		for range 500 {
			e := p.Exemplars().AppendEmpty()
			e.SetDoubleValue(math.NaN())
		}
		p.SetIntValue(1)
	})
	batch("times", func(m pmetric.Metric) {
		points := counter(m).DataPoints()
		for _, span := range [][2]uint64{{0, 0}, {1, 0}, {0, 1}, {5, 5}, {0, math.MaxUint64}, {math.MaxUint64, math.MaxUint64}, {1 << 63, 1<<63 + 1}} {
			p := points.AppendEmpty()
			p.SetStartTimestamp(pcommon.Timestamp(span[0]))
			p.SetTimestamp(pcommon.Timestamp(span[1]))
			p.SetIntValue(3)
		}
	})
	batch("temporality", func(m pmetric.Metric) {
		p := m.SetEmptySum().DataPoints().AppendEmpty()
		at(p, 0, 1)
		p.SetIntValue(3)
	})
	batch("nothing", func(pmetric.Metric) {})
	batch("no-points", func(m pmetric.Metric) { m.SetName(""); m.SetEmptySummary() })
	batch("stale", func(m pmetric.Metric) {
		points := counter(m).DataPoints()
		for _, second := range []int{1, 2, 2, 1, 3} {
			p := points.AppendEmpty()
			at(p, 0, second)
			p.SetIntValue(int64(second))
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(slices.Contains([]int{2, 3}, second)))
		}
	})
}
