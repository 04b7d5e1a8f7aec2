package spatial_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// Each mutant is a plausible mistake, made beside the product. The checkers of the property tests must reject every one, or
// they prove nothing; and they must accept the product, and the slow models without a mistake, on the very same cases.

// sumMutants change what Advance is told, or what it answers.
var sumMutants = map[string]advance{
	"forgets a reset by value": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v == spatial.ResetByValue {
			return spatial.Int(0), v
		}
		return n, v
	},
	"subtracts over a reset": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		last := in.Last()
		n, v := in.Advance(p, w)
		if v.Reset() {
			n, _ = spatial.Sub(p.Value, last.Value)
		}
		return n, v
	},
	"forgets a reset by start": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		if last := in.Last(); last.Time != 0 && p.Start > last.Time {
			p.Start = last.Time
		}
		return in.Advance(p, w)
	},
	"counts the first point twice": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v == spatial.First {
			n, _ = spatial.Add(n, n)
		}
		return n, v
	},
	"counts the base line": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v.Baseline() {
			return p.Value, v
		}
		return n, v
	},
	"never counts a first point": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v == spatial.First {
			return spatial.Int(0), v
		}
		return n, v
	},
	"believes start = time": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		if p.Start == p.Time && p.Time > 0 {
			p.Start--
		}
		return in.Advance(p, w)
	},
	"ignores the activation": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		return in.Advance(p, spatial.Watch{Horizon: w.Horizon})
	},
	"ignores that inputs are evicted": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		return in.Advance(p, spatial.Watch{Activation: w.Activation})
	},
	"takes every start shift for a reset": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v == spatial.StartShift {
			return p.Value, spatial.ResetByStart
		}
		return n, v
	},
	"counts a duplicate": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		if last := in.Last(); last.Time != 0 && p.Time == last.Time {
			p.Time++
		}
		return in.Advance(p, w)
	},
	"takes a late point for a reset": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v == spatial.Late && in.Restore(p) == spatial.Accepted {
			return p.Value, spatial.ResetByValue
		}
		return n, v
	},
	"remembers a point that it ignores": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if v.Ignored() {
			in.Restore(p)
		}
		return n, v
	},
	"computes integers as doubles": func(in *spatial.SumInput, p spatial.SumPoint, w spatial.Watch) (spatial.Number, spatial.Verdict) {
		n, v := in.Advance(p, w)
		if f := n.Float(); !n.IsDouble() && f < 1<<63 {
			return spatial.Int(int64(f)), v
		}
		return n, v
	},
}

// mergedByMap is the merge with a map for an array, and room for mistakes; with no mistake it is right.
func mergedByMap(mistake string) mergeExponential {
	return func(inputs []exponentialSample, limit int) spatial.ExponentialPoint {
		scale, threshold := int32(spatial.MaxScale), 0.0
		h := spatial.NewExponential(limit) // for the moments
		var points []buckets
		for _, in := range inputs {
			p := in.point()
			h.Add(&p)
			threshold = max(threshold, p.ZeroThreshold)
			b := ofPoint(&p)
			if mistake == "ignores the offset" && len(points) > 0 {
				b = shifted(b, points[0])
			}
			scale = min(scale, b.scale)
			points = append(points, b)
		}
		if mistake == "forgets the zero threshold" {
			threshold = 0
		}
		sum := merge(points, scale, threshold, mistake)
		for sum.width() > limit && mistake != "ignores the limit" {
			scale--
			sum = merge(points, scale, threshold, mistake)
		}
		p := h.Point()
		p.Scale, p.ZeroCount, p.ZeroThreshold = scale, sum.zeros, 0
		if sum.zero != math.MinInt {
			p.ZeroThreshold = math.Exp2(math.Ldexp(float64(sum.zero), -int(scale)))
		}
		p.Positive, p.Negative = listed(sum.positive, 0), listed(sum.negative, 0)
		switch mistake {
		case "does not count zeros":
			p.Count -= p.ZeroCount
		case "forgets the negative side":
			p.Negative = spatial.Buckets{}
		}
		return p
	}
}

// shifted puts b where a begins, as if lists had no offset.
func shifted(b, a buckets) buckets {
	if len(a.positive) == 0 || len(b.positive) == 0 {
		return b
	}
	keys := func(m map[int]uint64) (low int) {
		low = math.MaxInt
		for i := range m {
			low = min(low, i)
		}
		return low
	}
	moved := map[int]uint64{}
	for i, c := range b.positive {
		moved[i-keys(b.positive)+keys(a.positive)] = c
	}
	b.positive = moved
	return b
}

func merge(points []buckets, scale int32, threshold float64, mistake string) buckets {
	sum := buckets{scale: scale, zero: zeroAt(threshold, scale), positive: map[int]uint64{}, negative: map[int]uint64{}}
	if mistake == "leaves the bucket that the threshold splits" && threshold > 0 && sum.zero > zeroAt(threshold, spatial.MaxScale)>>(spatial.MaxScale-scale) {
		sum.zero--
	}
	for _, b := range points {
		low := b.at(scale, sum.zero)
		if mistake == "divides instead of shifting" {
			low = divided(b, scale, sum.zero)
		}
		sum.zeros += low.zeros
		for _, sides := range [][2]map[int]uint64{{sum.positive, low.positive}, {sum.negative, low.negative}} {
			for i, c := range sides[1] {
				if mistake == "keeps one of two buckets" {
					sides[0][i] = max(sides[0][i], c)
				} else {
					sides[0][i] += c
				}
			}
		}
	}
	return sum
}

// divided rounds negative indexes towards zero.
func divided(b buckets, scale int32, zero int) buckets {
	low := buckets{scale, zero, b.zeros, map[int]uint64{}, map[int]uint64{}}
	for _, sides := range [][2]map[int]uint64{{b.positive, low.positive}, {b.negative, low.negative}} {
		for i, c := range sides[0] {
			if i /= 1 << (b.scale - scale); i < zero {
				low.zeros += c
			} else {
				sides[1][i] += c
			}
		}
	}
	return low
}

var exponentialMistakes = []string{
	"ignores the offset", "divides instead of shifting", "forgets the zero threshold", "leaves the bucket that the threshold splits",
	"does not count zeros", "forgets the negative side", "keeps one of two buckets", "ignores the limit",
}

var histogramMutants = map[string]mergeHistograms{
	"adds buckets by position": func(inputs []sample) spatial.HistogramPoint {
		total := merged(inputs)
		for i := range total.Counts {
			total.Counts[i] = 0
			for _, in := range inputs {
				if p := bucketed(in.bounds, in.values); i < len(p.Counts) {
					total.Counts[i] += p.Counts[i]
				}
			}
		}
		return total
	},
	"takes upper bounds for exclusive": func(inputs []sample) spatial.HistogramPoint {
		total := merged(inputs)
		clear(total.Counts)
		for _, in := range inputs {
			for _, v := range in.values {
				at := slices.IndexFunc(total.Bounds.Edges(), func(e float64) bool { return v < e })
				if at < 0 {
					at = len(total.Counts) - 1
				}
				total.Counts[at]++
			}
		}
		return total
	},
	"drops inputs of other bounds": func(inputs []sample) spatial.HistogramPoint {
		var h spatial.Histogram
		for _, in := range inputs {
			if p := bucketed(in.bounds, in.values); inputs[0].bounds.Equal(in.bounds.Edges()) {
				h.Add(&p)
			}
		}
		return h.Point()
	},
	"takes the extremes of nothing": func(inputs []sample) spatial.HistogramPoint {
		total := merged(inputs)
		for _, in := range inputs {
			p := bucketed(in.bounds, in.values)
			total.Min = min(total.Min, p.Min)
		}
		return total
	},
}

var levelMutants = map[string]aggregate{
	"sums a stale gauge": func(f fleet, p spatial.Policy) (spatial.Number, bool) {
		return flush(fleet{f.gauges, 0}, p)
	},
	"takes the last to arrive": func(f fleet, p spatial.Policy) (spatial.Number, bool) {
		return levelOf(f, p, func(g gauge) spatial.SumPoint { return g.points[len(g.points)-1] })
	},
	"takes the first": func(f fleet, p spatial.Policy) (spatial.Number, bool) {
		return levelOf(f, p, func(g gauge) spatial.SumPoint { return g.points[0] })
	},
	// contrib v0.164.0: the integer mean truncates.
	"truncates the mean of integers": func(f fleet, p spatial.Policy) (spatial.Number, bool) {
		n, ok := flush(f, p)
		if p == spatial.PolicyMean {
			n = spatial.Double(math.Trunc(n.Float()))
		}
		return n, ok
	},
	// contrib v0.164.0: the count of a lone point is its value.
	"counts a lone input by its value": func(f fleet, p spatial.Policy) (spatial.Number, bool) {
		n, ok := flush(f, p)
		if p == spatial.PolicyCount && n.Int() == 1 {
			return flush(f, spatial.PolicySum)
		}
		return n, ok
	},
}

func levelOf(f fleet, p spatial.Policy, of func(gauge) spatial.SumPoint) (spatial.Number, bool) {
	var level spatial.Level
	for _, g := range f.gauges {
		if last := of(g); last.Time >= f.horizon {
			level.Observe(last.Value, last.Time)
		}
	}
	return level.Value(p)
}

func wrappingAdd(a, b spatial.Number) (spatial.Number, bool) {
	if !a.IsDouble() && !b.IsDouble() {
		return spatial.Int(a.Int() + b.Int()), false
	}
	return spatial.Add(a, b)
}

func TestTheSuiteKillsEveryMutant(t *testing.T) {
	sums, fleets, inputs := histories(true), fleets(true), exponentialSamples(12, -3, 6, true)
	classic, exponential := histogramHistories, exponentialHistories(false)
	checks := map[string]func(seed int) string{
		"wraps around": func(seed int) string { return checkAdd(wrappingAdd, aNumber.Example(seed), aNumber.Example(seed+1)) },
		"tells a histogram's reset by its count": func(seed int) string {
			return checkHistogramHistory(countTells, classic.Example(seed))
		},
		"keeps the sum of the point": func(seed int) string {
			return checkHistogramHistory(keepsSum, classic.Example(seed))
		},
		"subtracts at the scale of the last point": func(seed int) string {
			return checkExponentialHistory(subtractsByPosition, exponential.Example(seed))
		},
	}
	for name, mutant := range sumMutants {
		checks[name] = func(seed int) string { return checkHistory(mutant, sums.Example(seed)) }
	}
	for _, name := range exponentialMistakes {
		checks[name] = func(seed int) string { return checkMergedExponential(mergedByMap(name), inputs.Example(seed), 24) }
	}
	for name, mutant := range histogramMutants {
		checks[name] = func(seed int) string { return checkMergedHistogram(mutant, samples.Example(seed)) }
	}
	for name, mutant := range levelMutants {
		checks[name] = func(seed int) string { return checkLevel(mutant, fleets.Example(seed)) }
	}
	require.Len(t, checks, 35)
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			seed := 0
			for ; seed < 2000; seed++ {
				if problem := check(seed); problem != "" {
					t.Logf("rejected by case %d: %s", seed, problem)
					return
				}
			}
			require.Fail(t, "the mutant lives")
		})
	}
	t.Run("and nothing else", func(t *testing.T) {
		for seed := range 300 {
			require.Empty(t, checkAdd(spatial.Add, aNumber.Example(seed), aNumber.Example(seed+1)))
			require.Empty(t, checkHistory((*spatial.SumInput).Advance, sums.Example(seed)))
			require.Empty(t, checkMergedExponential(mergedExponential, inputs.Example(seed), 24))
			require.Empty(t, checkMergedExponential(mergedByMap(""), inputs.Example(seed), 24))
			require.Empty(t, checkMergedHistogram(merged, samples.Example(seed)))
			require.Empty(t, checkLevel(flush, fleets.Example(seed)))
			require.Empty(t, checkHistogramHistory(advanceHistogram, classic.Example(seed)))
			require.Empty(t, checkExponentialHistory(advanceExponential, exponential.Example(seed)))
		}
	})
}

// countTells takes a histogram whose count did not fall for one that goes on, whatever its buckets say.
func countTells(in *spatial.HistogramInput, increment *spatial.Histogram, p *spatial.HistogramPoint, w spatial.Watch) spatial.Verdict {
	last := in.Last()
	v := in.Advance(increment, p, w)
	if v == spatial.ResetByValue && p.Count >= last.Count {
		return spatial.Increased
	}
	return v
}

func keepsSum(in *spatial.HistogramInput, increment *spatial.Histogram, p *spatial.HistogramPoint, w spatial.Watch) spatial.Verdict {
	last := in.Last()
	v := in.Advance(increment, p, w)
	if got := increment.Point(); v == spatial.Increased && got.Known != 0 && got.Count > 0 {
		got.Sum += last.Sum
		increment.Reset()
		increment.Add(&got)
	}
	return v
}

// subtractsByPosition takes bucket i for bucket i, though the scale fell.
func subtractsByPosition(in *spatial.ExponentialInput, increment *spatial.Exponential, p *spatial.ExponentialPoint, w spatial.Watch) spatial.Verdict {
	last := in.Last()
	if last.Time != 0 && p.Scale < last.Scale {
		last.Scale = p.Scale
		in.Restore(&last, roomy)
	}
	return in.Advance(increment, p, w)
}
