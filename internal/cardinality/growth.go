package cardinality

import (
	"math"
	"time"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// growth follows how many series come that were not seen in the window before.
// It counts first sights, not differences of N: a leak of 2 series a second is
// lost in the error of a sketch of 20,000, and in a metric whose old series
// leave as fast as new ones come N does not move at all.
type growth struct {
	born     sketch.Epoch
	fresh    []int   // by epoch modulo the window: new series
	rate     float64 // smoothed, series a minute
	previous float64 // the smoothed rate before the last completed sub-window
	last     int     // new series of the last completed sub-window
	before   int     // and of the one before
	growing  bool
	judged   bool // at least one sub-window was
}

// learning is how many sub-windows a metric is given before its new series
// count as growth: the one in which it appears, which is cut off, and the next.
const learning = 2

// smoothing is the weight of the newest sub-window in the smoothed rate.
const smoothing = 0.5

// A metric grows if its new series exceed both of these in two sub-windows
// that follow each other: a deployment that fits into one does not count. At
// 20,000 series the share is two series in three seconds: a leak of two a
// second then passes it in two sub-windows that lie within the first two
// lengths of a sub-window, whenever it begins.
const (
	growthShareAMinute = 0.002
	growthAMinute      = 6
	growthAtLeast      = 3
)

func newGrowth(window int, now sketch.Epoch) growth {
	return growth{born: now, fresh: make([]int, window)}
}

// seen counts a new series.
func (g *growth) seen(now sketch.Epoch) { g.fresh[int(now)%len(g.fresh)]++ }

// threshold is the number of new series a sub-window that counts as growth.
func threshold(streams int, subWindow time.Duration) int {
	perMinute := math.Max(growthAMinute, growthShareAMinute*float64(streams))
	return max(growthAtLeast, int(math.Ceil(perMinute*subWindow.Minutes())))
}

// advance closes the sub-window before now. streams is the number of live
// streams.
func (g *growth) advance(now sketch.Epoch, streams int, subWindow time.Duration) {
	closed := now - 1
	n := g.fresh[int(closed)%len(g.fresh)]
	g.fresh[int(now)%len(g.fresh)] = 0
	if closed < g.born+learning {
		g.before, g.last = 0, 0
		return
	}
	g.before, g.last = g.last, n
	rate := float64(n) / subWindow.Minutes()
	if !g.judged { // there is nothing to compare with
		g.judged, g.rate = true, rate
	}
	g.previous = g.rate
	g.rate += smoothing * (rate - g.rate)
	limit := threshold(streams, subWindow)
	g.growing = g.last >= limit && g.before >= limit || g.growing && 2*g.last >= limit
}

// now reports the state within a running sub-window: growth shows as soon as
// the running sub-window has as many new series as a whole one needs.
func (g *growth) isGrowing(now sketch.Epoch, streams int, subWindow time.Duration) bool {
	if now < g.born+learning {
		return false
	}
	limit := threshold(streams, subWindow)
	return g.growing || g.last >= limit && g.fresh[int(now)%len(g.fresh)] >= limit
}

// accelerating reports that the rate rises by half or more, beyond what chance
// does to counts of this size (three standard deviations of a difference of
// Poisson counts).
func (g *growth) accelerating(subWindow time.Duration) bool {
	expected := g.previous * subWindow.Minutes()
	return float64(g.last) > 1.5*expected && float64(g.last)-expected > 3*math.Sqrt(float64(g.last)+expected)
}

// inWindow counts the new series of the latest epochs.
func (g *growth) inWindow(now sketch.Epoch, epochs int) uint64 {
	sum := 0
	for i := range min(epochs, len(g.fresh)) {
		if sketch.Epoch(i) < now {
			sum += g.fresh[int(now-sketch.Epoch(i))%len(g.fresh)]
		}
	}
	return uint64(sum)
}
