package spatial

import "math"

// The scales that are accepted. 20 is the largest at which the index of every
// double fits in 32 bits, and the largest that SDKs use; at -10 all doubles
// fall into three buckets, so every histogram fits MinBuckets there.
const (
	MinScale = -10
	MaxScale = 20
)

// shape is the buckets of an exponential histogram.
//
// Bucket i of a scale lies above base^i and goes up to base^(i+1), with base =
// 2^(2^-scale) (data model, "ExponentialHistogram"). Lowering the scale by d
// joins 2^d buckets into bucket i >> d without error ("perfect subsetting").
//
// The zero threshold is kept as the index of the lowest bucket that is not
// zero, that is, rounded up to a bucket boundary. The specification ("Zero
// Count and Zero Threshold") takes the largest threshold of all involved and
// widens it to the upper boundary of a populated bucket that it would split.
// Doing so at once, populated or not, costs at most the width of one bucket
// and makes the result independent of the order: whether a bucket is already
// populated when the larger threshold comes is a matter of arrival.
type shape struct {
	scale     int32
	zero      int32 // buckets below are in the zero bucket; noZero if the threshold is 0
	zeroCount uint64
	positive  side
	negative  side
}

// side is a range of buckets; the first and the last hold something.
type side struct {
	low    int32 // index of counts[0]
	counts []uint64
}

const noZero = math.MinInt32

// indexes is a range of buckets, empty if high < low.
type indexes struct {
	low, high int64
}

func (r indexes) width() int64 { return max(0, r.high-r.low+1) }

func (r indexes) union(o indexes) indexes {
	switch {
	case r.width() == 0:
		return o
	case o.width() == 0:
		return r
	}
	return indexes{min(r.low, o.low), max(r.high, o.high)}
}

// coarser returns the zero index d scales lower: the boundary rounded up.
func coarser(zero int32, d int32) int32 {
	if zero == noZero {
		return noZero
	}
	return -(-zero >> d)
}

// emptied removes all content and keeps the buffers. Nothing has no influence
// on what is added to it: the finest scale, no threshold.
func (s *shape) emptied() {
	*s = shape{
		scale: MaxScale, zero: noZero,
		positive: side{counts: s.positive.counts[:0]}, negative: side{counts: s.negative.counts[:0]},
	}
}

// unscale gives a shape without buckets the finest scale: it has no resolution
// that it could force on others.
func (s *shape) unscale() {
	if len(s.positive.counts)+len(s.negative.counts) > 0 {
		return
	}
	if s.zero != noZero {
		s.zero <<= MaxScale - s.scale
	}
	s.scale = MaxScale
}

// frame is where the buckets of two shapes meet.
type frame struct {
	scale, zero        int32
	positive, negative indexes
}

// fit returns the finest frame that holds a and b with at most limit buckets a
// side: the smaller scale and the larger threshold, and less if need be. It is
// the finest for the union of both, so it does not matter who came first.
func fit(a, b *shape, limit int) frame {
	f := frame{scale: min(a.scale, b.scale)}
	f.zero = max(coarser(a.zero, a.scale-f.scale), coarser(b.zero, b.scale-f.scale))
	for {
		da, db := a.scale-f.scale, b.scale-f.scale
		f.positive = a.positive.above(f.zero, da).union(b.positive.above(f.zero, db))
		f.negative = a.negative.above(f.zero, da).union(b.negative.above(f.zero, db))
		if max(f.positive.width(), f.negative.width()) <= int64(limit) || f.scale == MinScale {
			return f
		}
		f.scale--
		f.zero = coarser(f.zero, 1)
	}
}

// above returns the range, d scales lower, of the buckets at or above zero that
// hold something.
func (s *side) above(zero, d int32) indexes {
	n := int64(len(s.counts))
	if n == 0 {
		return indexes{0, -1}
	}
	low := int64(s.low)
	first := int64(0)
	if zero != noZero && low>>d < int64(zero) {
		first = int64(zero)<<d - low
		for first < n && s.counts[first] == 0 {
			first++
		}
		if first >= n {
			return indexes{0, -1}
		}
	}
	return indexes{(low + first) >> d, (low + n - 1) >> d}
}

// reframe brings s to a frame that holds it.
func (s *shape) reframe(f frame, limit int) {
	d := s.scale - f.scale
	s.zeroCount += s.positive.squash(f.zero, d) + s.negative.squash(f.zero, d)
	s.positive.cover(f.positive, limit)
	s.negative.cover(f.negative, limit)
	s.scale, s.zero = f.scale, f.zero
}

// squash lowers the scale by d in place and returns what fell below zero.
func (s *side) squash(zero, d int32) (folded uint64) {
	if len(s.counts) == 0 || d == 0 && s.low >= zero {
		return 0
	}
	low := int64(s.low)
	base := max(low>>d, int64(zero))
	n := int64(0)
	for i, c := range s.counts {
		s.counts[i] = 0
		at := (low+int64(i))>>d - base
		if at < 0 {
			folded += c
			continue
		}
		s.counts[at] += c // at ≤ i
		n = at + 1
	}
	s.low, s.counts = int32(base), s.counts[:n] //nolint:gosec // between two indexes
	return folded
}

// cover extends the range to r. What is cut off at the low end holds nothing.
func (s *side) cover(r indexes, limit int) {
	n := int(r.width())
	if n == 0 {
		s.low, s.counts = 0, s.counts[:0]
		return
	}
	if len(s.counts) == 0 {
		s.low = int32(r.low) //nolint:gosec // an index
	}
	shift := int(int64(s.low) - r.low)
	if shift == 0 && len(s.counts) == n {
		return
	}
	old := s.counts
	if shift < 0 {
		old, shift = old[min(-shift, len(old)):], 0
	}
	if cap(s.counts) >= n {
		s.counts = s.counts[:n]
	} else {
		s.counts = make([]uint64, n, max(n, min(limit, n+n/4+4)))
	}
	copy(s.counts[shift:], old)
	clear(s.counts[:shift])
	clear(s.counts[min(n, shift+len(old)):])
	s.low = int32(r.low) //nolint:gosec // an index
}

// add adds o, which s covers.
func (s *shape) add(o *shape) {
	d := o.scale - s.scale
	s.zeroCount += o.zeroCount +
		s.positive.add(&o.positive, s.zero, d) + s.negative.add(&o.negative, s.zero, d)
}

func (s *side) add(o *side, zero, d int32) (folded uint64) {
	if len(o.counts) == 0 {
		return 0
	}
	if d == 0 && o.low >= zero {
		counts := s.counts[o.low-s.low:][:len(o.counts)]
		for i, c := range o.counts {
			counts[i] += c
		}
		return 0
	}
	low := int64(o.low)
	for i, c := range o.counts {
		if c == 0 {
			continue
		}
		if at := (low + int64(i)) >> d; at < int64(zero) {
			folded += c
		} else {
			s.counts[at-int64(s.low)] += c
		}
	}
	return folded
}

// subtract takes away o, which s covers; it reports false if anything in s is
// smaller than in o, and then s is of no use any more.
func (s *shape) subtract(o *shape) bool {
	d := o.scale - s.scale
	folded, ok := s.positive.subtract(&o.positive, s.zero, d)
	if !ok {
		return false
	}
	more, ok := s.negative.subtract(&o.negative, s.zero, d)
	zero := folded + more + o.zeroCount
	if !ok || s.zeroCount < zero {
		return false
	}
	s.zeroCount -= zero
	s.positive.trim()
	s.negative.trim()
	return true
}

func (s *side) subtract(o *side, zero, d int32) (folded uint64, ok bool) {
	if len(o.counts) == 0 {
		return 0, true
	}
	if d == 0 && o.low >= zero {
		counts := s.counts[o.low-s.low:][:len(o.counts)]
		for i, c := range o.counts {
			if counts[i] < c {
				return 0, false
			}
			counts[i] -= c
		}
		return 0, true
	}
	low := int64(o.low)
	for i, c := range o.counts {
		if c == 0 {
			continue
		}
		at := (low + int64(i)) >> d
		if at < int64(zero) {
			folded += c
			continue
		}
		at -= int64(s.low)
		if s.counts[at] < c {
			return 0, false
		}
		s.counts[at] -= c
	}
	return folded, true
}

// trim restores the invariant that the ends hold something. The buckets move,
// so that the buffer keeps its capacity.
func (s *side) trim() {
	n := len(s.counts)
	for n > 0 && s.counts[n-1] == 0 {
		n--
	}
	first := 0
	for first < n && s.counts[first] == 0 {
		first++
	}
	if first > 0 {
		copy(s.counts, s.counts[first:n])
	}
	s.counts = s.counts[:n-first]
	s.low += int32(first)
}
