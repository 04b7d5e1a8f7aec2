package backend

import "math"

// appendBounds appends a hash of each bound. A bound that is +Inf itself is
// left out: every histogram has that bucket anyway.
func appendBounds(parts []uint64, bounds []float64) []uint64 {
	for _, b := range bounds {
		if !math.IsInf(b, 1) {
			parts = append(parts, math.Float64bits(b)*0x9e3779b97f4a7c15+partBound)
		}
	}
	return parts
}
