package sketch

import (
	"fmt"
	"math"

	"github.com/axiomhq/hyperloglog"
)

// HLL is one HyperLogLog sketch in its dense form: fixed memory, no allocation
// after it is made.
type HLL = hyperloglog.Sketch

// NewHLL returns an empty dense sketch of 2^precision one-byte registers.
func NewHLL(precision uint8) *HLL {
	sk, err := hyperloglog.NewSketch(precision, false)
	if err != nil {
		panic(fmt.Sprintf("sketch precision %d: %v", precision, err)) // a constant of this module
	}
	return sk
}

// HLLBytes is the memory of a sketch.
func HLLBytes(precision uint8) int { return 1<<precision + 128 }

// StandardError is the relative standard error of one sketch beyond its linear
// range: 1.04/√m (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog", 2007).
func StandardError(precision uint8) float64 {
	return 1.04 / math.Sqrt(float64(uint64(1)<<precision))
}

// Union merges sources into dst, which is cleared first, and returns dst.
// Nil sources are empty. All sketches must have the precision of dst.
func Union(dst *HLL, sources ...*HLL) *HLL {
	dst.Reset()
	for _, src := range sources {
		Merge(dst, src)
	}
	return dst
}

// Merge adds src, which may be nil, to dst.
func Merge(dst, src *HLL) {
	if src == nil {
		return
	}
	if err := dst.Merge(src); err != nil {
		panic(fmt.Sprintf("merge sketches: %v", err)) // precisions are constants of this module
	}
}
