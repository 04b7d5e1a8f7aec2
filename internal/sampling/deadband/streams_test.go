package deadband_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

const (
	second    = uint64(1e9)
	heartbeat = 60 * second
	origin    = 1_700_000_000 * second
)

// stream is what one series sends, and the rule that it is under.
type stream struct {
	rule   d.Rule
	points []d.Point
}

// aRule draws a rule of a predictor.
func aRule(t *rapid.T) d.Rule {
	return d.Rule{
		Absolute: rapid.SampledFrom([]float64{0, 0, 0.5, 3, 40}).Draw(t, "absolute"), Relative: rapid.SampledFrom([]float64{0, 0.01, 0.01, 0.1, 0.5}).Draw(t, "relative"),
		Range: rapid.SampledFrom([]uint64{0, 4 * heartbeat}).Draw(t, "range"), Heartbeat: heartbeat,
		Predictor: rapid.SampledFrom([]d.Predictor{d.Hold, d.Linear}).Draw(t, "predictor"), Corners: rapid.Bool().Draw(t, "corners"),
	}
}

// clock draws the times of points: regular, with jitter, silence, and now and then not forward.
func clock(t *rapid.T, now uint64) uint64 {
	switch rapid.IntRange(0, 39).Draw(t, "time") {
	case 0:
		return now // a duplicate
	case 1:
		return now - rapid.Uint64Range(1, 59).Draw(t, "late")*second
	case 2:
		return now - rapid.Uint64Range(61, 3600).Draw(t, "back")*second
	case 3:
		return now + rapid.Uint64Range(30, 900).Draw(t, "silence")*second
	case 4, 5, 6:
		return now + rapid.Uint64Range(1, 20_000).Draw(t, "jitter")*second/1000
	}
	return now + 15*second
}

// numbers draws streams of sums and gauges: random walks, steps, ramps, stillness, resets, gaps and all that breaks a series.
var numbers = rapid.Custom(func(t *rapid.T) stream {
	s := stream{rule: aRule(t)}
	kind := rapid.SampledFrom([]d.Kind{d.Gauge, d.Counter, d.Counter, d.UpDown}).Draw(t, "kind")
	double := rapid.Bool().Draw(t, "double")
	value, pace := rapid.Float64Range(0, 2000).Draw(t, "value"), 0.0
	start, now := origin, origin
	for range rapid.IntRange(2, 60).Draw(t, "n") {
		if next := clock(t, now); next > now || len(s.points) > 0 {
			now = max(next, origin)
		}
		odd := math.NaN()
		switch rapid.IntRange(0, 29).Draw(t, "move") {
		case 0:
			value *= rapid.Float64Range(0, 4).Draw(t, "step")
		case 1:
			value, start = 0, max(start, now-1) // a reset that tells
		case 2:
			value /= 2 // a reset that does not, or a step
		case 3:
			start++
		case 4:
			double = !double
		case 5:
			odd = rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), math.MaxFloat64}).Draw(t, "odd")
		case 6, 7, 8:
			pace = rapid.Float64Range(0, 30).Draw(t, "pace")
		case 9, 10, 11:
			pace = 0
		case 12, 13, 14, 15:
			grown := rapid.Float64Range(-20, 20).Draw(t, "walk")
			if kind == d.Counter {
				grown = math.Abs(grown)
			}
			value += grown
		}
		value += pace
		p := d.Point{Series: d.Key{A: 1, B: 2}, Kind: kind, Now: now, Sum: spatial.SumPoint{Span: spatial.Span{Start: start, Time: now}}}
		switch {
		case rapid.IntRange(0, 49).Draw(t, "stale") == 0:
			p.Stale = true
		case odd == odd, rapid.IntRange(0, 49).Draw(t, "nan") == 0:
			p.Sum.Value = spatial.Double(odd)
		case double:
			p.Sum.Value = spatial.Double(value)
		default:
			p.Sum.Value = spatial.Int(int64(value))
		}
		s.points = append(s.points, p)
	}
	return s
})

var edges = []float64{0.1, 1, 10}

// histograms draws streams of classic and exponential histograms.
var histograms = rapid.Custom(func(t *rapid.T) stream {
	s := stream{rule: aRule(t)}
	exponential := rapid.Bool().Draw(t, "exponential")
	bounds, _ := spatial.NewBounds(edges)
	counts := make([]uint64, len(edges)+1)
	sum, lowest, offset, scale := 0.0, 5.0, int32(-1), int32(3)
	start, now := origin, origin
	known := spatial.HasSum
	for range rapid.IntRange(2, 40).Draw(t, "n") {
		if next := clock(t, now); next > now || len(s.points) > 0 {
			now = max(next, origin)
		}
		switch rapid.IntRange(0, 19).Draw(t, "move") {
		case 0:
			clear(counts)
			sum, start = 0, max(start, now-1)
		case 1:
			clear(counts)
			sum = 0
		case 2:
			start++
		case 3:
			bounds, _ = spatial.NewBounds([]float64{0.1, 1, rapid.Float64Range(2, 20).Draw(t, "edge")})
			offset++
		case 4:
			known ^= spatial.HasMin
			scale--
		case 5:
			counts[0], counts[1] = counts[1], counts[0] // the count stays
		case 6, 7, 8, 9, 10, 11:
			for i := range counts {
				grown := rapid.Uint64Range(0, 60).Draw(t, "grown")
				counts[i] += grown
				sum += float64(grown) * (float64(i) - 0.7)
			}
			lowest -= 0.2
		}
		total := uint64(0)
		for _, c := range counts {
			total += c
		}
		span := spatial.Span{Start: start, Time: now}
		p := d.Point{Series: d.Key{A: 1, B: 2}, Kind: d.Histogram, Now: now, Sum: spatial.SumPoint{Span: span}}
		m := spatial.Moments{Sum: sum, Min: lowest, Max: 5, Known: known}
		if total == 0 {
			m = spatial.Moments{Known: spatial.HasSum}
		}
		p.Stale = rapid.IntRange(0, 49).Draw(t, "stale") == 0
		if exponential {
			p.Kind = d.Exponential
			p.Exponential = &spatial.ExponentialPoint{
				Span: span, Moments: m, Scale: scale, Count: total, ZeroCount: counts[2],
				Negative: spatial.Buckets{Offset: offset, Counts: slices.Clone(counts[:2])}, Positive: spatial.Buckets{Offset: 4, Counts: slices.Clone(counts[3:])},
			}
		} else {
			p.Histogram = &spatial.HistogramPoint{Span: span, Moments: m, Bounds: bounds, Counts: slices.Clone(counts), Count: total}
		}
		s.points = append(s.points, p)
	}
	return s
})

// shown is what readers see of a point: one value of a number, all series of a histogram; and which of them count up.
func shown(kind d.Kind, n spatial.SumPoint, h *spatial.HistogramPoint, e *spatial.ExponentialPoint) (values []float64, counter []bool) {
	add := func(v float64, counts bool) { values, counter = append(values, v), append(counter, counts) }
	var m spatial.Moments
	var count, below uint64
	var counts []uint64
	switch kind {
	case d.Histogram:
		m, count, counts = h.Moments, h.Count, h.Counts
	case d.Exponential:
		m, count = e.Moments, e.Count
		for _, c := range slices.Backward(e.Negative.Counts) {
			counts = append(counts, c)
		}
		counts = append(append(counts, e.ZeroCount), e.Positive.Counts...)
	default:
		return []float64{n.Value.Float()}, []bool{kind == d.Counter}
	}
	add(float64(count), true)
	if m.Known&spatial.HasSum != 0 {
		add(m.Sum, true)
	}
	if m.Known&spatial.HasMin != 0 {
		add(m.Min, false)
	}
	if m.Known&spatial.HasMax != 0 {
		add(m.Max, false)
	}
	for _, c := range counts {
		below += c
		add(float64(below), true)
	}
	return values, counter
}

// layoutOf is what must not change within a histogram, or the type of a number.
func layoutOf(p *d.Point) string {
	switch p.Kind {
	case d.Histogram:
		return fmt.Sprint(p.Histogram.Bounds.Edges(), p.Histogram.Known)
	case d.Exponential:
		e := p.Exponential
		return fmt.Sprint(e.Known, e.Scale, e.Negative.Offset, len(e.Negative.Counts), e.Positive.Offset, len(e.Positive.Counts))
	}
	return strconv.FormatBool(p.Sum.Value.IsDouble())
}
