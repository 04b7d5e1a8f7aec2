package spatial

import (
	"errors"
	"slices"
)

// MaxListed is the longest list of buckets or bounds that is looked at. It is
// far above what SDKs send (160 to 320 buckets) and keeps the work on a hostile
// point, and the memory that it can claim, small.
const MaxListed = 16384

// ErrNoCommonBounds means that histograms cannot be brought to shared bounds
// without guessing: they stay apart.
var ErrNoCommonBounds = errors.New("no bounds in common")

// Bounds are the upper bounds of the buckets of a classic histogram, without
// that of the last bucket, which is +Inf. They never change, so all points
// and inputs of one shape share them; nil means none (one bucket).
type Bounds struct {
	edges []float64
}

// NewBounds copies edges. They must be strictly increasing (data model,
// "Histogram"); infinities are allowed, NaN is not.
func NewBounds(edges []float64) (*Bounds, Verdict) {
	if len(edges) >= MaxListed {
		return nil, TooManyBuckets
	}
	for i, e := range edges {
		if e != e || i > 0 && !(edges[i-1] < e) {
			return nil, BoundsNotIncreasing
		}
	}
	return &Bounds{edges: slices.Clone(edges)}, Accepted
}

// Edges returns the bounds. The caller must not change them.
func (b *Bounds) Edges() []float64 {
	if b == nil {
		return nil
	}
	return b.edges
}

// Buckets returns the number of buckets: one more than bounds.
func (b *Bounds) Buckets() int { return len(b.Edges()) + 1 }

// Equal reports whether these are the bounds that a point carries, so that the
// caller can pass the shared value instead of making a new one.
func (b *Bounds) Equal(edges []float64) bool { return slices.Equal(b.Edges(), edges) }

func (b *Bounds) same(o *Bounds) bool { return b == o || b.Equal(o.Edges()) }

// coarser reports whether every bound of b is one of o: histograms over o can
// then be expressed over b exactly.
func (b *Bounds) coarser(o *Bounds) bool {
	fine := o.Edges()
	for _, e := range b.Edges() {
		i, found := slices.BinarySearch(fine, e)
		if !found {
			return false
		}
		fine = fine[i+1:]
	}
	return true
}

// Common returns the bounds that both have, which is the finest shape to which
// both can be brought exactly. Histograms without any bounds have only
// themselves in common: to merge them with others would hide every quantile.
// The result is a or b itself where possible.
func Common(a, b *Bounds) (*Bounds, error) {
	if a.coarser(b) && (len(a.Edges()) > 0 || len(b.Edges()) == 0) {
		return a, nil
	}
	return b.keep(a.Edges())
}

// Keep returns those of the bounds that are named, in any order. Naming none
// keeps count and sum only. Naming only bounds that are not there is an error;
// a histogram that has no bounds keeps that shape.
func (b *Bounds) Keep(named []float64) (*Bounds, error) {
	switch {
	case len(b.Edges()) == 0:
		return b, nil
	case len(named) == 0:
		return nil, nil
	}
	return b.keep(named)
}

func (b *Bounds) keep(named []float64) (*Bounds, error) {
	var kept []float64
	for _, e := range b.Edges() {
		if slices.Contains(named, e) {
			kept = append(kept, e)
		}
	}
	switch len(kept) {
	case 0:
		return nil, ErrNoCommonBounds
	case len(b.Edges()):
		return b, nil
	}
	return &Bounds{edges: kept}, nil
}

// addCounts adds the buckets of src, over the bounds from, to those of dst,
// over the coarser bounds to. Leaving a bound out joins the two buckets beside
// it, so the result is what counting over the coarser bounds would have given.
func addCounts(dst []uint64, to *Bounds, src []uint64, from *Bounds) {
	if to.Buckets() == from.Buckets() {
		dst = dst[:len(src)]
		for i, c := range src {
			dst[i] += c
		}
		return
	}
	edges, target := from.Edges(), to.Edges()
	j := 0
	for i, c := range src {
		for j < len(target) && (i == len(edges) || target[j] < edges[i]) {
			j++
		}
		dst[j] += c
	}
}

// coarsen brings counts from one shape to a coarser one in place: a coarse
// bucket never lies behind the fine ones that it takes up.
func coarsen(counts []uint64, from, to *Bounds) []uint64 {
	if to.Buckets() == from.Buckets() {
		return counts
	}
	edges, target := from.Edges(), to.Edges()
	j := 0
	for i, c := range counts {
		for j < len(target) && (i == len(edges) || target[j] < edges[i]) {
			j++
		}
		counts[i] = 0
		counts[j] += c
	}
	return counts[:to.Buckets()]
}

// resize returns a slice of n zeros, the lent one if it is large enough.
func resize(counts []uint64, n int) []uint64 {
	if cap(counts) < n {
		return make([]uint64, n)
	}
	counts = counts[:n]
	clear(counts)
	return counts
}
