package keyrate

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

const (
	// maxSketches is how many keys have a sketch of latencies; others are never
	// slow.
	maxSketches = 10_000
	// accuracy is the relative error of a quantile, and maxBins bounds a sketch to
	// 4 KiB: with 512 bins it reaches from the largest latency down to a
	// 10^8th of it. What is below is taken together, which high quantiles do not
	// notice.
	accuracy = 0.02
	maxBins  = 512
	// enough is how many latencies a quantile needs.
	enough = 100
	// halfLife is how long it takes until a latency counts half.
	halfLife = time.Minute
)

// latency is a sketch of the latencies of a key (DDSketch: Masson, Rim, Lee,
// VLDB 2019), of which old ones lose weight.
type latency struct {
	quantile float64
	// beyond is what is slow, in nanoseconds: at the end of the last interval.
	beyond atomic.Int64

	mu     sync.Mutex
	sketch *ddsketch.DDSketch
}

func newLatency(quantile float64) *latency {
	// The parameters are constants that the functions accept.
	m, err := mapping.NewCubicallyInterpolatedMapping(accuracy)
	if err != nil {
		return nil
	}
	l := &latency{quantile: quantile}
	l.sketch = ddsketch.NewDDSketch(m, store.NewCollapsingLowestDenseStore(maxBins), store.NewCollapsingLowestDenseStore(1))
	l.beyond.Store(math.MaxInt64)
	return l
}

func (l *latency) slow(d time.Duration) bool { return int64(d) > l.beyond.Load() }

func (l *latency) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.sketch.Add(float64(max(d, 0))) // fails beyond 10^300 only
}

// adjust finds the quantile again, and lets what there is lose weight.
func (l *latency) adjust(elapsed time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sketch.GetCount() < enough {
		l.beyond.Store(math.MaxInt64)
	} else if v, err := l.sketch.GetValueAtQuantile(l.quantile); err == nil {
		// The upper end of its bin: latencies that are all alike are not slow.
		l.beyond.Store(int64(math.Ceil(v / (1 - accuracy))))
	}
	if weight := math.Exp2(-elapsed.Seconds() / halfLife.Seconds()); weight > 0 && weight < 1 && l.sketch.GetCount() > 0 {
		_ = l.sketch.Reweight(weight) // fails for weights that are not positive only
	}
}
