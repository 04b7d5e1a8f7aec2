package deadband_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// sender sends points of a few series in batches, some of which are refused, and sends those again until they are taken.
type sender struct {
	rule   d.Rule
	kind   d.Kind
	refuse func(b *d.Band, x *d.Batch)

	band      *d.Band
	now       uint64
	truth     map[int][]reading // what came, by series, in order
	delivered map[int]map[uint64]float64
	flight    []*shipment
	back      [][]d.Point
}

type reading struct {
	time  uint64
	value float64
}

// shipment is a batch on its way, and what is in it after the band.
type shipment struct {
	points []d.Point
	notes  *d.Batch
	sent   []struct {
		series int
		reading
	}
}

func valueOf(k d.Kind, p *spatial.SumPoint, h *spatial.HistogramPoint) reading {
	if k == d.Histogram {
		return reading{h.Time, float64(h.Count)}
	}
	return reading{p.Time, p.Value.Float()}
}

// ship lets a batch through the band.
func (s *sender) ship(points []d.Point, index map[d.Key]int) {
	x := &shipment{points: points, notes: &d.Batch{}}
	for i := range points {
		p := &points[i]
		add := func(r reading) {
			x.sent = append(x.sent, struct {
				series int
				reading
			}{index[p.Series], r})
		}
		o := s.band.ObserveIn(x.notes, p, &s.rule)
		if o.Before {
			add(valueOf(p.Kind, &x.notes.Before.Sum, &x.notes.Before.Histogram))
		}
		if o.Reason.Passes() && !p.Stale {
			add(valueOf(p.Kind, &p.Sum, p.Histogram))
		}
	}
	s.flight = append(s.flight, x)
}

func (s *sender) land(i int, taken bool) {
	x := s.flight[i]
	s.flight = slices.Delete(s.flight, i, i+1)
	if !taken {
		s.refuse(s.band, x.notes)
		s.back = append(s.back, x.points)
		return
	}
	for _, r := range x.sent {
		s.delivered[r.series][r.time] = r.value
	}
}

// story draws what happens, and returns what is wrong in the end, or nothing.
func story(t *rapid.T, refuse func(b *d.Band, x *d.Batch)) string {
	s := &sender{
		rule: d.Rule{
			Absolute: rapid.SampledFrom([]float64{0, 1, 5}).Draw(t, "absolute"), Relative: rapid.SampledFrom([]float64{0, 0.05}).Draw(t, "relative"),
			Heartbeat: heartbeat, Predictor: rapid.SampledFrom([]d.Predictor{d.Hold, d.Linear}).Draw(t, "predictor"), Corners: rapid.Bool().Draw(t, "corners"),
		},
		kind: rapid.SampledFrom([]d.Kind{d.Gauge, d.Counter, d.Histogram}).Draw(t, "kind"), refuse: refuse,
		now: origin, truth: map[int][]reading{}, delivered: map[int]map[uint64]float64{},
	}
	s.band, _ = d.New(d.Settings{Shards: 1})
	n := rapid.IntRange(1, 2).Draw(t, "series")
	aloft := 1
	if s.rule.Predictor == d.Hold { // Linear promises it for one at a time
		aloft = rapid.IntRange(1, 3).Draw(t, "batches on their way")
	}
	index, values := map[d.Key]int{}, make([]float64, n)
	for i := range n {
		index[key(i)], s.delivered[i], values[i] = i, map[uint64]float64{}, 100
	}
	for range rapid.IntRange(2, 30).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0, 1:
			if len(s.flight) < aloft {
				s.ship(s.measure(t, values), index)
			}
		case 2:
			if len(s.flight) > 0 {
				s.land(rapid.IntRange(0, len(s.flight)-1).Draw(t, "which"), rapid.IntRange(0, 2).Draw(t, "taken") > 0)
			}
		case 3:
			if len(s.back) > 0 && len(s.flight) < aloft {
				i := rapid.IntRange(0, len(s.back)-1).Draw(t, "again")
				points := s.back[i]
				s.back = slices.Delete(s.back, i, i+1)
				s.ship(points, index)
			}
		}
	}
	s.finish(n, index)
	for i := range n {
		if why := s.judge(i); why != "" {
			return fmt.Sprintf("series %d: %s\ntruth %v\nreader %v", i, why, shownTimes(s.truth[i]), s.reader(i))
		}
	}
	return ""
}

// measure makes the next points of some series.
func (s *sender) measure(t *rapid.T, values []float64) (points []d.Point) {
	for range rapid.IntRange(1, 2).Draw(t, "rounds") {
		s.now += rapid.Uint64Range(5, 20).Draw(t, "seconds") * second
		for i := range values {
			if rapid.IntRange(0, 4).Draw(t, "silent") == 0 {
				continue
			}
			switch rapid.IntRange(0, 7).Draw(t, "move") {
			case 0:
				values[i] += 20
			case 1:
				values[i] = math.Floor(values[i] / 2)
			case 2, 3, 4:
				values[i] += float64(rapid.IntRange(0, 3).Draw(t, "grown"))
			}
			p := d.Point{Series: key(i), Kind: s.kind, Now: s.now, Sum: spatial.SumPoint{Span: spatial.Span{Start: origin, Time: s.now}, Value: spatial.Double(values[i])}}
			if s.kind == d.Histogram {
				p.Histogram = &spatial.HistogramPoint{Span: p.Sum.Span, Counts: []uint64{uint64(values[i])}, Count: uint64(values[i])}
			}
			points = append(points, p)
			s.truth[i] = append(s.truth[i], reading{s.now, values[i]})
		}
	}
	return points
}

// finish lets all that is on its way or came back arrive, and ends the series.
func (s *sender) finish(n int, index map[d.Key]int) {
	for len(s.flight) > 0 {
		s.land(0, true)
	}
	for _, points := range s.back {
		s.ship(points, index)
		s.land(0, true)
	}
	s.now += 15 * second
	var markers []d.Point
	for i := range n {
		markers = append(markers, d.Point{Series: key(i), Kind: s.kind, Stale: true, Now: s.now, Sum: spatial.SumPoint{Span: spatial.Span{Time: s.now}}})
	}
	s.ship(markers, index)
	s.land(0, true)
}

func (s *sender) reader(i int) (list []reading) {
	for _, at := range slices.Sorted(maps.Keys(s.delivered[i])) {
		list = append(list, reading{(at - origin) / second, s.delivered[i][at]})
	}
	return list
}

func shownTimes(list []reading) []reading {
	list = slices.Clone(list)
	for i := range list {
		list[i].time = (list[i].time - origin) / second
	}
	return list
}

// judge compares what a reader makes of what was delivered with each point that came.
func (s *sender) judge(i int) string {
	got := s.reader(i)
	for n, p := range shownTimes(s.truth[i]) {
		at, exact := slices.BinarySearchFunc(got, p.time, func(r reading, time uint64) int { return int(r.time) - int(time) })
		if !exact && at == 0 {
			return fmt.Sprintf("there is nothing at %d", p.time)
		}
		value := 0.0
		switch {
		case exact:
			value = got[at].value
		case s.rule.Predictor == d.Hold:
			value = got[at-1].value
		case at == len(got):
			return fmt.Sprintf("the line ends before %d", p.time)
		default:
			a, b := got[at-1], got[at]
			value = a.value + (b.value-a.value)*float64(p.time-a.time)/float64(b.time-a.time)
		}
		if tolerance := max(s.rule.Absolute, s.rule.Relative*p.value); math.Abs(value-p.value) > tolerance*(1+1e-9)+1e-9 {
			return fmt.Sprintf("at %d the reader has %g, true is %g, tolerance %g", p.time, value, p.value, tolerance)
		}
		if next := n + 1; s.kind != d.Gauge && next < len(s.truth[i]) && s.truth[i][next].value < p.value && !exact {
			return fmt.Sprintf("what was counted until %d, before a reset, was not sent", p.time)
		}
	}
	return ""
}

// Batches are refused and come again, also in another order and after others: a reader is never off by more than the tolerance.
func TestARefusedBatchThatComesAgainLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.Empty(t, story(t, (*d.Band).Refused))
	})
}

// Without it the test would find something.
func TestARefusalThatNobodyHearsOfIsFound(t *testing.T) {
	deaf := rapid.Custom(func(t *rapid.T) string { return story(t, func(*d.Band, *d.Batch) {}) })
	for seed := range 1000 {
		if why := deaf.Example(seed); why != "" {
			t.Logf("case %d: %s", seed, why)
			return
		}
	}
	require.Fail(t, "the mutant lives")
}
