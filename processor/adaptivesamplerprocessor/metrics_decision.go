package adaptivesamplerprocessor

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/sampling/seriesratio"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// decision is what becomes of one point.
type decision struct {
	fate fate
	// before says that a point is sent ahead of it, which is in the notes of the
	// batch.
	before bool
	stale  bool
	size   int // in bytes, if somebody asks

	band, trialBand *metricRule
	// sampled says that a rule keeps a share of series and this one.
	sampled, trialSampled bool
}

// seriesChoice is by what a point was sampled. It holds if there is a rule for it.
type seriesChoice struct {
	rule, trial       *metricRule
	key               seriesratio.Key
	ratio, trialRatio seriesratio.Ratio
}

// asks reports whether a dead band has to see the point.
func (d *decision) asks() bool {
	return (d.band != nil || d.trialBand != nil) && (d.fate == fatePassed || d.fate == fateSampled || d.fate == fatePreview)
}

// begin chooses the rules for a point, and decides by those that sample series.
func (f *metricsFeeder) begin(attributes pcommon.Map, stale bool, size int) *decision {
	b, d := &f.metric, &f.decision
	*d = decision{fate: fatePassed, stale: stale, size: size}
	b.inBytes += size
	if b.sampling {
		f.sample(d, attributes)
	}
	d.band, d.trialBand = b.bands.of(attributes), b.trialBands.of(attributes)
	if d.band != nil && b.fixed != 0 && d.fate != fateNotSampled {
		d.fate = b.fixed
	}
	return d
}

// sample decides by the rules that keep a share of series.
func (f *metricsFeeder) sample(d *decision, attributes pcommon.Map) {
	b := &f.metric
	s := &f.sampling
	s.rule, s.trial = b.samples.of(attributes), b.trialSample.of(attributes)
	for _, one := range [...]struct {
		rule    **metricRule
		sampled *bool
		ratio   *seriesratio.Ratio
	}{{&s.rule, &d.sampled, &s.ratio}, {&s.trial, &d.trialSampled, &s.trialRatio}} {
		r := *one.rule
		if r == nil {
			continue
		}
		t := &f.batch.tallies[r.index]
		t.in++
		if r.sample.multiply && !b.deltaSum {
			f.batch.odd[oddNotDelta]++
			t.kept++
			*one.rule = nil
			continue
		}
		*one.ratio = f.ratio(r)
		s.key = f.publicKey(attributes, r.sample)
		if *one.sampled = one.ratio.Kept(s.key); *one.sampled {
			t.kept++
		}
	}
	switch {
	case s.rule != nil && !d.sampled:
		d.fate = fateNotSampled
	case s.trial != nil && !d.trialSampled:
		d.fate = fatePreview
	case s.rule != nil:
		d.fate = fateSampled
	}
}

// publicKey is the identity of a series by which it is sampled: that without the
// adjusted count of an earlier stage, so that stages nest.
func (f *metricsFeeder) publicKey(attributes pcommon.Map, s *seriesRule) seriesratio.Key {
	id := f.metric.public.Add(f.public.PairMap(series.Point, attributes))
	if !s.multiply {
		if weight, there := attributes.Get(s.attribute); there {
			id = id.Sub(f.public.Pair(f.public.Value(series.Point, s.attribute, weight)))
		}
	}
	return seriesratio.Key(id)
}

// ratio is that of a series rule at the level of the metric's budget. One in
// preview is looked at as configured.
func (f *metricsFeeder) ratio(r *metricRule) seriesratio.Ratio {
	level := f.metric.level
	if r.preview {
		level = 1
	}
	known := &f.ratios[r.index]
	if !known.known || known.level != level {
		*known = rated{level, r.sample.at(level), true}
		r.sample.current.Store(math.Float64bits(known.ratio.Share()))
	}
	return known.ratio
}

// observe decides by the dead bands.
func (f *metricsFeeder) observe(d *decision, attributes pcommon.Map) {
	b, p := &f.metric, &f.point
	p.Series, p.Kind, p.Stale, p.Now = f.identify(attributes), b.kind, d.stale, f.now
	left := false
	if d.trialBand != nil && b.fixed == 0 {
		o := f.set.trial.Observe(p, &d.trialBand.band, &f.before)
		t := &f.batch.tallies[d.trialBand.index]
		t.in++
		if o.Before {
			t.kept++
		}
		if left = !o.Reason.Passes(); !left {
			t.kept++
		}
	}
	if d.band == nil {
		if left {
			d.fate = fatePreview
		}
		return
	}
	if b.tuned != d.band {
		b.tuned, b.rule = d.band, d.band.at(b.level)
		if b.budget != nil {
			b.budget.meet(b.rule.Heartbeat)
		}
	}
	o := f.band.ObserveIn(&f.batch.notes, p, &b.rule)
	d.before = o.Before
	switch d.fate = fate(o.Reason); o.Reason {
	case deadband.Late, deadband.ClockBack:
		f.batch.odd[oddTimeBackwards]++
	case deadband.NoTime:
		f.batch.odd[oddNoTime]++
	case deadband.Malformed:
		f.batch.odd[oddMalformed]++
	default:
		if left && o.Reason.Passes() {
			d.fate = fatePreview
		}
	}
}

// leftOut reports whether the point does not go on.
func (d *decision) leftOut() bool {
	return d.fate == fateNotSampled || d.fate < fatePassed && !deadband.Reason(d.fate).Passes()
}

// sendBefore counts the point that is sent first.
func (f *metricsFeeder) sendBefore(d *decision, size int) {
	b := &f.metric
	b.out++
	b.outBytes += size
	f.batch.fates[fateBefore]++
	f.batch.tallies[d.band.index].kept++
}

// end counts a point, and returns whether it is left out.
func (f *metricsFeeder) end(d *decision) bool {
	b := &f.metric
	left := d.leftOut()
	if d.band != nil && d.fate != fateNotSampled {
		t := &f.batch.tallies[d.band.index]
		t.in++
		if left {
			t.left[d.fate]++
		} else {
			t.kept++
		}
	}
	if left {
		if d.fate == fateNotSampled {
			f.batch.tallies[f.sampling.rule.index].notSampled++
		}
		return true
	}
	f.batch.fates[d.fate]++
	b.out++
	b.outBytes += d.size
	return false
}

// weigh puts the adjusted count on a point that is kept.
func (f *metricsFeeder) weigh(d *decision, attributes pcommon.Map) {
	if !d.sampled || f.sampling.rule.sample.multiply {
		return
	}
	s := f.sampling.rule.sample
	count := f.sampling.ratio.AdjustedCount()
	value, there := attributes.Get(s.attribute)
	if !there {
		attributes.PutDouble(s.attribute, count)
		return
	}
	// It was sampled before. A sample of the same seed kept what the stricter one of
	// both keeps.
	switch before := weightOf(value); {
	case !(before >= 1 && before <= math.MaxFloat64):
		f.batch.odd[oddForeignWeight]++
	case f.sampling.ratio.Foreign(f.sampling.key, before):
		f.batch.odd[oddForeignWeight]++
		count *= before
	default:
		count = max(count, before)
	}
	value.SetDouble(count)
}

// weightOf is an attribute that is a number, or 0.
func weightOf(v pcommon.Value) float64 {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return float64(v.Int())
	case pcommon.ValueTypeDouble:
		return v.Double()
	default:
		return 0
	}
}

// weighNumber puts the adjusted count on a point that is kept, or multiplies it.
func (f *metricsFeeder) weighNumber(d *decision, p pmetric.NumberDataPoint) {
	integer := p.ValueType() == pmetric.NumberDataPointValueTypeInt
	value := p.DoubleValue()
	if integer {
		value = float64(p.IntValue())
	}
	f.contribute(d, value, uint64(p.StartTimestamp()))
	switch {
	case !d.sampled:
	case !f.sampling.rule.sample.multiply:
		f.weigh(d, p.Attributes())
	case d.stale || p.ValueType() == pmetric.NumberDataPointValueTypeEmpty:
	case integer:
		f.multiply(p, f.sampling.ratio.AdjustedCount())
	default:
		p.SetDoubleValue(value * f.sampling.ratio.AdjustedCount())
	}
}

// multiply keeps an integer one where the adjusted count is one, as it is for
// ratios of 1/n, so that the type of a series depends on the rule and not on its
// values. Rounding was rejected: to the nearest it is biased, at random it adds
// variance.
func (f *metricsFeeder) multiply(p pmetric.NumberDataPoint, count float64) {
	const exact = 1 << 53
	value, whole := p.IntValue(), math.Round(count)
	if math.Abs(count-whole) > whole*1e-12 || whole > exact {
		p.SetDoubleValue(float64(value) * count)
		return
	}
	n := int64(whole)
	if product := value * n; n == 0 || product/n == value {
		p.SetIntValue(product)
		return
	}
	f.batch.odd[oddOverflow]++
	p.SetDoubleValue(float64(value) * whole)
}

// contribute adds a point to the total of its metric, once it has gone on.
func (f *metricsFeeder) contribute(d *decision, value float64, start uint64) {
	if d.stale || !isFinite(value) {
		return
	}
	s := &f.sampling
	c := contribution{name: f.metric.name, kind: f.metric.total, key: s.key, value: value, start: start}
	if d.sampled {
		c.to, c.ratio = s.rule.sample.totals, s.ratio
		f.batch.contributions = append(f.batch.contributions, c)
	}
	if d.trialSampled {
		c.to, c.ratio = s.trial.sample.totals, s.trialRatio
		f.batch.contributions = append(f.batch.contributions, c)
	}
}

// weighs reports whether the point is one of a sample.
func (d *decision) weighs() bool {
	return (d.sampled || d.trialSampled) && d.fate != fateNotSampled
}
