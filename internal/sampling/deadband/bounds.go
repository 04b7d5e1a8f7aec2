package deadband

import (
	"math"
	"sync"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// maxShapes bounds the lists of bounds that are shared. Real ones are few; past
// the bound each series has its own.
const maxShapes = 4096

// shapes shares lists of bounds between series.
type shapes struct {
	mu    sync.RWMutex
	known map[uint64]*spatial.Bounds
}

// Bounds returns the shared value of a list of bounds, so that series of one
// shape do not each keep their own.
func (b *Band) Bounds(edges []float64) (*spatial.Bounds, spatial.Verdict) {
	if len(edges) == 0 {
		return nil, spatial.Accepted
	}
	x := &b.shapes
	key := hashOf(edges)
	x.mu.RLock()
	shared := x.known[key]
	x.mu.RUnlock()
	if shared != nil && shared.Equal(edges) {
		return shared, spatial.Accepted
	}
	fresh, v := spatial.NewBounds(edges)
	if v.Refused() || shared != nil {
		return fresh, v
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if other := x.known[key]; other != nil && other.Equal(edges) {
		return other, v
	}
	if len(x.known) < maxShapes {
		if x.known == nil {
			x.known = map[uint64]*spatial.Bounds{}
		}
		x.known[key] = fresh
	}
	return fresh, v
}

func hashOf(edges []float64) uint64 {
	h := uint64(len(edges))
	for _, e := range edges {
		h = (h ^ math.Float64bits(e)) * mix
		h ^= h >> 29
	}
	return h
}
