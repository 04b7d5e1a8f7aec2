package fidelity

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promvalue "github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// resampled shows the baseline as the candidate must see it if it is right: of
// each series the last sample of each interval, at the interval's edge. By how
// much answers on it differ from those on the baseline is what consolidation does
// to a query by its timing, and by nothing else.
type resampled struct {
	*look

	inputs inputs
	// late says whether samples come as late as they may for an edge, which is so
	// many intervals before the instant that is asked about; half is half of what
	// the query reads.
	late lateAt
	half time.Duration
}

// inputs says how series appear.
type inputs int

const (
	// asTheyAre: a gauge is gone when there was no sample for 5 minutes. rate()
	// guesses what a counter did before its first sample and after its last one, and
	// does not guess below zero.
	asTheyAre inputs = iota
	// asParts of a sum: a gauge goes at an edge, and has a sample at each until then.
	// A counter has one at each edge for ever, is not reset, and far above zero.
	asParts
	// sinceActivation: the same, but a counter was zero when the experiment began,
	// as outputs are.
	sinceActivation
)

// lateAt says at which edges samples come as late as they may; at the others they
// come as early.
type lateAt func(back, half int64) bool

// latenesses are the ways in which points may be late. Where they are not alike
// at both ends of a range, it holds a sample more or less of those that arrive
// about an edge; and what rises in one half of it and falls in the other has its
// extremes where they are not alike there.
var latenesses = []lateAt{
	func(int64, int64) bool { return false },
	func(int64, int64) bool { return true },
	func(back, _ int64) bool { return back == 0 },
	func(back, _ int64) bool { return back != 0 },
	func(back, _ int64) bool { return back%2 == 0 },
	func(back, _ int64) bool { return back%2 != 0 },
	func(back, half int64) bool { return back < half },
	func(back, half int64) bool { return back >= half },
}

// Querier implements storage.Queryable.
func (r resampled) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := r.arms[base].Querier(mint-r.before(), maxt)
	if err != nil {
		return nil, err
	}
	return resampledQuerier{q, r, mint, maxt}, nil
}

// before is how much earlier than an edge a sample may be measured that it shows,
// in milliseconds.
func (r resampled) before() int64 { return (lookback + r.longest + r.timing.lateness).Milliseconds() }

type resampledQuerier struct {
	storage.Querier
	resampled

	mint, maxt int64
}

// Select implements storage.Querier.
func (q resampledQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if rules := q.plan.recorded[nameOf(ms)]; len(rules) > 0 {
		return q.record(ctx, rules, hints, ms)
	}
	mint := q.mint
	if hints != nil {
		mint = hints.Start
		wider := *hints
		wider.Start -= q.before()
		hints = &wider
	}
	return &resampledSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, ms...), resampled: q.resampled, mint: mint, maxt: q.maxt}
}

type resampledSet struct {
	storage.SeriesSet
	resampled

	mint, maxt int64
}

// At implements storage.SeriesSet.
func (s *resampledSet) At() storage.Series {
	series := s.SeriesSet.At()
	e, known := s.emission(series.Labels())
	if e.interval == 0 {
		return series
	}
	list := s.emit(series, e)
	switch {
	case len(list) == 0 || s.inputs == asTheyAre:
	case known.counter:
		list = s.grow(list, e, known)
	default:
		list = s.hold(list, e)
	}
	from, _ := slices.BinarySearchFunc(list, s.mint, func(one emitted, t int64) int { return cmp.Compare(one.t, t) })
	return storage.NewListSeries(series.Labels(), samplesOf(list[from:]))
}

// emit lists the last sample of each interval.
func (s *resampledSet) emit(series storage.Series, e emission) []emitted {
	list := make([]emitted, 0, min((s.maxt-s.mint+s.before())/e.interval.Milliseconds()+2, 1024))
	it := series.Iterator(nil)
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t, v := read(it, kind)
		edge, came := s.edge(t, e)
		if n := len(list); n > 0 && list[n-1].t >= edge {
			list[n-1].value, list[n-1].came = v, came
		} else {
			list = append(list, emitted{edge, came, v})
		}
	}
	return list
}

// hold shows a gauge as its part of a sum: until nothing has come for as long as
// an input counts.
func (s *resampledSet) hold(list []emitted, e emission) []emitted {
	filled := make([]emitted, 0, len(list))
	for i, one := range list {
		filled = append(filled, one)
		if one.fh == nil && one.h == nil && promvalue.IsStaleNaN(one.v) {
			continue
		}
		end := s.maxt
		if i+1 < len(list) {
			end = list[i+1].t - 1
		}
		counts := one.came/1000*1000 + staleness.Milliseconds()
		for _, t := range e.between(max(one.t+1, s.mint), end) {
			if t > counts {
				filled = append(filled, emitted{t: t, value: value{v: math.Float64frombits(promvalue.StaleNaN)}})
				break
			}
			filled = append(filled, emitted{t: t, value: one.value})
		}
	}
	return filled
}

// staleness is how long an input of tag_consolidation counts, in whole seconds,
// unless it is configured.
const staleness = 5 * time.Minute

// farAboveZero is where sums stand whose beginning does not show.
const farAboveZero = 1e3

// grow shows a counter as its part of a sum: it has a sample at each edge, holds
// its value before it begins and after it ends, and never falls.
func (s *resampledSet) grow(list []emitted, e emission, known *series) []emitted {
	interval := e.interval.Milliseconds()
	first := list[0].v
	total := first - known.base // what it grew by since the experiment began
	switch {
	case known.born > 0:
		total = first
	case total < 0: // it was reset
		total = first
	}
	before := total
	if first, _ := s.edge(known.first, e); known.born > 0 && list[0].t-interval <= first { // its first value counts
		before = 0
	}
	filled := make([]emitted, 0, len(e.between(s.mint, s.maxt)))
	add := func(t int64, v float64) { filled = append(filled, emitted{t: t, value: value{v: v}}) }
	for _, t := range e.between(s.mint, list[0].t-1) {
		add(t, before)
	}
	last := first
	for i, one := range list {
		v := one.v
		if promvalue.IsStaleNaN(v) {
			v = last
		}
		if i > 0 {
			if total += v - last; v < last {
				total += last
			}
		}
		last = v
		until := s.maxt
		if i+1 < len(list) {
			until = list[i+1].t - 1
		}
		for _, t := range e.between(max(one.t, s.mint), until) {
			add(t, total)
		}
	}
	if s.inputs == asParts {
		shift := farAboveZero * max(total, 1)
		for i := range filled {
			filled[i].v += shift
		}
	}
	return filled
}

func read(it chunkenc.Iterator, kind chunkenc.ValueType) (int64, value) {
	switch kind { //nolint:exhaustive // all others are numbers
	case chunkenc.ValHistogram:
		t, h := it.AtHistogram(nil)
		return t, value{h: h}
	case chunkenc.ValFloatHistogram:
		t, fh := it.AtFloatHistogram(nil)
		return t, value{fh: fh}
	}
	t, v := it.At()
	return t, value{v: v}
}

// edge is when a sample of a time is emitted, the first edge by which it has
// arrived, and when it arrived.
func (s *resampledSet) edge(t int64, e emission) (edge, came int64) {
	interval := e.interval.Milliseconds()
	newest := s.at.UnixMilli() / interval
	for edge = (t + e.least.Milliseconds() + interval - 1) / interval; ; edge++ {
		came = t + e.lag(s.late(max(newest-edge, 0), s.half.Milliseconds()/interval))
		if came <= edge*interval {
			return edge * interval, came
		}
	}
}

// emitted is a sample at an edge.
type emitted struct {
	t, came int64
	value
}

var _ chunks.Sample = emitted{}

func samplesOf(list []emitted) []chunks.Sample {
	out := make([]chunks.Sample, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// T implements chunks.Sample.
func (e emitted) T() int64 { return e.t }

// ST implements chunks.Sample.
func (emitted) ST() int64 { return 0 }

// F implements chunks.Sample.
func (e emitted) F() float64 { return e.v }

// H implements chunks.Sample.
func (e emitted) H() *histogram.Histogram { return e.h }

// FH implements chunks.Sample.
func (e emitted) FH() *histogram.FloatHistogram { return e.fh }

// Type implements chunks.Sample.
func (e emitted) Type() chunkenc.ValueType {
	switch {
	case e.h != nil:
		return chunkenc.ValHistogram
	case e.fh != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// Copy implements chunks.Sample.
func (e emitted) Copy() chunks.Sample {
	if e.h != nil {
		e.h = e.h.Copy()
	}
	if e.fh != nil {
		e.fh = e.fh.Copy()
	}
	return e
}
