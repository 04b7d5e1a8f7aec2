package spatial_test

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// index returns the bucket of a value by the formulas of the specification, and exactly for powers of two, which are the upper
// bounds of their buckets.
func index(v float64, scale int32) int {
	fraction, e := math.Frexp(v) // in [½, 1)
	switch power := fraction == 0.5; {
	case scale <= 0 && power:
		return (e - 2) >> -scale
	case scale <= 0:
		return (e - 1) >> -scale
	case power:
		return (e-1)<<scale - 1
	}
	return e<<scale + int(math.Ceil(math.Log2(fraction)*math.Ldexp(1, int(scale)))) - 1
}

// zeroAt returns the index of the lowest boundary at or above a threshold.
func zeroAt(threshold float64, scale int32) int {
	if threshold == 0 {
		return math.MinInt
	}
	fraction, e := math.Frexp(threshold)
	if scale <= 0 {
		return int(math.Ceil((float64(e) + math.Log2(fraction)) * math.Ldexp(1, int(scale))))
	}
	return e<<scale + int(math.Ceil(math.Log2(fraction)*math.Ldexp(1, int(scale))-1e-7))
}

// buckets is an exponential histogram without arrays, offsets or limits.
type buckets struct {
	scale              int32
	zero               int // buckets below are zero
	zeros              uint64
	positive, negative map[int]uint64
}

// count buckets values at a scale; a threshold in the middle of a bucket takes up all of it.
func count(values []float64, scale int32, threshold float64) buckets {
	b := buckets{scale, zeroAt(threshold, scale), 0, map[int]uint64{}, map[int]uint64{}}
	for _, v := range values {
		side := b.positive
		if v < 0 {
			side = b.negative
		}
		if v == 0 || index(math.Abs(v), scale) < b.zero {
			b.zeros++
		} else {
			side[index(math.Abs(v), scale)]++
		}
	}
	return b
}

// read turns a point into buckets.
func read(p *spatial.ExponentialPoint) buckets {
	b := buckets{p.Scale, zeroAt(p.ZeroThreshold, p.Scale), p.ZeroCount, map[int]uint64{}, map[int]uint64{}}
	for side, list := range map[*map[int]uint64]spatial.Buckets{&b.positive: p.Positive, &b.negative: p.Negative} {
		for i, c := range list.Counts {
			if c > 0 {
				(*side)[int(list.Offset)+i] += c
			}
		}
	}
	return b
}

// at lowers the scale and folds what is below zero.
func (b buckets) at(scale int32, zero int) buckets {
	low := buckets{scale, zero, b.zeros, map[int]uint64{}, map[int]uint64{}}
	for from, to := range map[*map[int]uint64]map[int]uint64{&b.positive: low.positive, &b.negative: low.negative} {
		for i, c := range *from {
			if i >>= b.scale - scale; i < zero {
				low.zeros += c
			} else {
				to[i] += c
			}
		}
	}
	return low
}

func (b buckets) equal(o buckets) bool {
	return b.scale == o.scale && b.zeros == o.zeros && maps.Equal(b.positive, o.positive) && maps.Equal(b.negative, o.negative)
}

func (b buckets) bucketless() bool { return len(b.positive)+len(b.negative) == 0 }

// width returns the longer of the two lists that b needs.
func (b buckets) width() int {
	widest := 0
	for _, side := range []map[int]uint64{b.positive, b.negative} {
		if len(side) > 0 {
			keys := slices.Sorted(maps.Keys(side))
			widest = max(widest, keys[len(keys)-1]-keys[0]+1)
		}
	}
	return widest
}

// total returns the sum of all buckets.
func (b buckets) total() uint64 {
	n := b.zeros
	for _, side := range []map[int]uint64{b.positive, b.negative} {
		for _, c := range side {
			n += c
		}
	}
	return n
}

// exponentialSample is what one input measured, and how it reports that.
type exponentialSample struct {
	scale     int32
	threshold float64
	values    []float64
}

// above returns the values that are not zero for the input.
func (s exponentialSample) above() []float64 {
	return slices.DeleteFunc(slices.Clone(s.values), func(v float64) bool { return math.Abs(v) <= s.threshold })
}

// point is what an SDK would send, with a few zeros beside the buckets that hold something.
func (s exponentialSample) point() spatial.ExponentialPoint {
	p := spatial.ExponentialPoint{Scale: s.scale, ZeroThreshold: s.threshold, Count: uint64(len(s.values))}
	p.Known = spatial.HasSum
	for i, v := range s.values {
		p.Sum += v
		if i == 0 || v < p.Min {
			p.Min = v
		}
		if i == 0 || v > p.Max {
			p.Max = v
		}
		p.Known |= spatial.HasMin | spatial.HasMax
	}
	b := count(s.above(), s.scale, 0)
	p.ZeroCount = p.Count - b.total()
	p.Positive, p.Negative = listed(b.positive, len(s.values)%3), listed(b.negative, len(s.values)%2)
	return p
}

// listed writes buckets as a list with zeros around.
func listed(side map[int]uint64, padding int) spatial.Buckets {
	if len(side) == 0 {
		return spatial.Buckets{Offset: math.MinInt32, Counts: make([]uint64, padding)}
	}
	keys := slices.Sorted(maps.Keys(side))
	low := keys[0] - padding
	counts := make([]uint64, keys[len(keys)-1]-low+1+padding)
	for i, c := range side {
		counts[i-low] = c
	}
	return spatial.Buckets{Offset: int32(low), Counts: counts}
}

// aValue draws the middle of a bucket of the finest scale, so that no rounding decides where it falls, a power of two, or 0.
func aValue(octaves int) *rapid.Generator[float64] {
	return rapid.Custom(func(t *rapid.T) float64 {
		octave := rapid.IntRange(-octaves, octaves).Draw(t, "octave")
		sign := rapid.SampledFrom([]float64{1, 1, 1, -1}).Draw(t, "sign")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return 0
		case 1:
			return sign * math.Ldexp(1, octave)
		}
		part := float64(rapid.IntRange(0, 1<<20-1).Draw(t, "part")) + 0.5
		return sign * math.Ldexp(math.Exp2(part/(1<<20)), octave)
	})
}

// aThreshold draws 0 mostly, else a boundary of every scale, of some, or of none.
var aThreshold = rapid.Custom(func(t *rapid.T) float64 {
	switch rapid.IntRange(0, 5).Draw(t, "threshold") {
	case 0:
		return math.Ldexp(1, rapid.IntRange(-20, 3).Draw(t, "power"))
	case 1:
		return math.Ldexp(math.Exp2(float64(rapid.IntRange(0, 31).Draw(t, "eighth"))/8), -12)
	case 2:
		return math.Abs(aValue(8).Draw(t, "any"))
	}
	return 0
})

func exponentialSamples(octaves int, lowest, highest int32, thresholds bool) *rapid.Generator[[]exponentialSample] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) exponentialSample {
		s := exponentialSample{scale: rapid.Int32Range(lowest, highest).Draw(t, "scale")}
		if thresholds {
			s.threshold = aThreshold.Draw(t, "threshold")
		}
		s.values = rapid.SliceOfN(aValue(octaves), 0, 12).Draw(t, "values")
		return s
	}), 1, 6)
}

// mergeExponential merges samples under a limit: the product's, or a mutant's.
type mergeExponential func(inputs []exponentialSample, limit int) spatial.ExponentialPoint

// mergedExponential adds the samples to two halves and merges those.
func mergedExponential(inputs []exponentialSample, limit int) spatial.ExponentialPoint {
	halves := []*spatial.Exponential{spatial.NewExponential(limit), spatial.NewExponential(limit)}
	for i, in := range inputs {
		p := in.point()
		if v := halves[i%2].Add(&p); v != spatial.Accepted {
			panic(v)
		}
	}
	if v := halves[0].Merge(halves[1]); v != spatial.Accepted {
		panic(v)
	}
	return halves[0].Point()
}

// checkMergedExponential requires that every bucket of the result is the bucket of the union of all values, and that no more
// resolution was given up than had to be.
func checkMergedExponential(merge mergeExponential, inputs []exponentialSample, limit int) string {
	got := merge(inputs, limit)
	finest, threshold := int32(spatial.MaxScale), 0.0
	var all []float64
	sum, magnitude := 0.0, 0.0
	for _, in := range inputs {
		p := in.point()
		if b := read(&p); !b.bucketless() {
			finest = min(finest, in.scale)
		}
		threshold = max(threshold, in.threshold)
		all = append(all, in.values...)
		sum += p.Sum
		for _, v := range in.values {
			magnitude += math.Abs(v)
		}
	}
	want := count(all, got.Scale, threshold)
	has := read(&got)
	switch {
	case !has.equal(want):
		return fmt.Sprintf("%+v is not %+v", has, want)
	case has.zero != want.zero:
		return fmt.Sprintf("the zero threshold %v is not the boundary above %v", got.ZeroThreshold, threshold)
	case got.Count != uint64(len(all)) || has.total() != got.Count:
		return fmt.Sprintf("the count is %d, not %d", got.Count, len(all))
	case max(len(got.Positive.Counts), len(got.Negative.Counts)) > limit:
		return fmt.Sprintf("%d and %d buckets", len(got.Positive.Counts), len(got.Negative.Counts))
	case got.Scale > finest:
		return fmt.Sprintf("scale %d is finer than %d", got.Scale, finest)
	case got.Scale < finest && count(all, got.Scale+1, threshold).width() <= limit && !coarseBeforeFolded(inputs, threshold):
		return fmt.Sprintf("scale %d is coarser than need be", got.Scale)
	case math.Abs(got.Sum-sum) > 1e-9*magnitude:
		return fmt.Sprintf("the sum is %v, not %v", got.Sum, sum)
	case len(all) > 0 && (got.Min != slices.Min(all) || got.Max != slices.Max(all)):
		return "the extremes are wrong"
	}
	for _, list := range [][]uint64{got.Positive.Counts, got.Negative.Counts} {
		if n := len(list); n > 0 && (list[0] == 0 || list[n-1] == 0) {
			return "empty buckets at an end"
		}
	}
	return ""
}

// coarseBeforeFolded: buckets that a later threshold folds away may have cost resolution before.
func coarseBeforeFolded(inputs []exponentialSample, threshold float64) bool {
	for _, in := range inputs {
		if in.threshold != threshold {
			return true
		}
	}
	return false
}
