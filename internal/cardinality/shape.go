package cardinality

import "math/bits"

// maxShapes bounds the different part lists of one metric that are told apart.
const maxShapes = 8

// shapeSet is a set of shapes, a bit each.
type shapeSet uint8

// shapes holds the part lists that the points of a metric have: one for
// numbers, one for each set of histogram bounds. Nearly every metric has one.
//
// The backend makes one series of each part, so a set of points with the same
// labels but different bounds costs the union of their parts.
type shapes struct {
	keys   []uint64 // by shape: a hash of its parts
	counts []int    // by shape: the number of its parts
	parts  map[uint64]shapeSet
	// classes counts the parts that occur in exactly this set of shapes.
	classes map[shapeSet]int
	// folded is set once a shape had to be counted as another.
	folded bool
}

// find returns the index of the shape with these parts, or -1.
func (s *shapes) find(key uint64) int {
	for i, k := range s.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// shapeKey hashes a part list. The order of the parts counts: bounds are sorted.
func shapeKey(parts []uint64) uint64 {
	key := uint64(len(parts))
	for _, p := range parts {
		key = (bits.RotateLeft64(key, 25) ^ p) * 0x9fb21c651e98df25
	}
	return key
}

// add takes in a new shape.
func (s *shapes) add(key uint64, parts []uint64) int {
	if s.parts == nil {
		s.parts = map[uint64]shapeSet{}
	}
	i := len(s.keys)
	s.keys = append(s.keys, key)
	s.counts = append(s.counts, len(parts))
	for _, p := range parts {
		s.parts[p] |= 1 << i
	}
	s.classes = map[shapeSet]int{}
	for _, set := range s.parts {
		s.classes[set]++
	}
	return i
}

// nearest returns the shape whose number of parts is closest.
func (s *shapes) nearest(parts int) int {
	best := 0
	for i, n := range s.counts {
		if abs(n-parts) < abs(s.counts[best]-parts) {
			best = i
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// weight is the number of backend series of points with these shapes that
// share all labels.
func (s *shapes) weight(set shapeSet) uint64 {
	if set&(set-1) == 0 { // one shape, the usual case
		return uint64(s.counts[bits.TrailingZeros8(uint8(set))]) //nolint:gosec // a count
	}
	sum := 0
	for class, n := range s.classes {
		if class&set != 0 {
			sum += n
		}
	}
	return uint64(sum)
}

func (s *shapes) clone() shapes {
	// keys, counts, parts and classes are only ever appended to or replaced
	// under the metric's lock; an analysis needs counts and classes alone.
	return shapes{counts: s.counts, classes: s.classes, folded: s.folded}
}
