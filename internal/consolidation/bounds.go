package consolidation

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// maxShapes bounds the lists of bounds that are shared. Real ones are few; past
// the bound each point has its own.
const maxShapes = 4096

// shapes shares lists of bounds between inputs. Reading takes no lock.
type shapes struct {
	mu    sync.Mutex
	known atomic.Pointer[map[uint64]*spatial.Bounds] // never written, only replaced
}

// Bounds returns the shared value of a list of bounds, so that inputs of one
// shape do not each keep their own.
func (e *Engine) Bounds(edges []float64) (*spatial.Bounds, spatial.Verdict) {
	return e.shapes.of(edges)
}

func (x *shapes) of(edges []float64) (*spatial.Bounds, spatial.Verdict) {
	if len(edges) == 0 {
		return nil, spatial.Accepted
	}
	key := hashOf(edges)
	known := x.known.Load()
	if known != nil {
		if b := (*known)[key]; b != nil && b.Equal(edges) {
			return b, spatial.Accepted
		}
	}
	b, v := spatial.NewBounds(edges)
	if v.Refused() || known != nil && len(*known) >= maxShapes {
		return b, v
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	next := map[uint64]*spatial.Bounds{}
	if known = x.known.Load(); known != nil {
		if other := (*known)[key]; other != nil {
			if other.Equal(edges) {
				b = other
			}
			return b, v
		}
		next = maps.Clone(*known)
	}
	next[key] = b
	x.known.Store(&next)
	return b, v
}
