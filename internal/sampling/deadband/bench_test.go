package deadband_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// steady is n series that are known, and a function that sends the next point of one.
func steady(tb testing.TB, n int, kind d.Kind, r *d.Rule) func(i int) {
	tb.Helper()
	b := newBand(tb, d.Settings{})
	points := make([]*d.Point, n)
	var before d.Before
	for i := range points {
		if kind == d.Histogram {
			points[i] = histogram(i, 0, 1000, 2000, 3000)
		} else {
			points[i] = point(i, kind, 0, spatial.Int(1000))
		}
		b.Observe(points[i], r, &before)
	}
	return func(i int) {
		p := points[i%n]
		p.Now += 15 * second
		p.Sum.Time += 15 * second
		if kind == d.Histogram {
			p.Histogram.Time = p.Sum.Time
			p.Histogram.Counts[1]++
			p.Histogram.Count++
		} else {
			p.Sum.Value = spatial.Int(p.Sum.Value.Int() + 3)
		}
		b.Observe(p, r, &before)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, kind := range []d.Kind{d.Counter, d.Histogram} {
		for _, predictor := range []d.Predictor{d.Hold, d.Linear} {
			for _, n := range []int{1_000, 100_000} {
				b.Run(fmt.Sprintf("%s/%s/series=%d", kind, predictor, n), func(b *testing.B) {
					next := steady(b, n, kind, &d.Rule{Relative: 0.01, Range: 4 * heartbeat, Heartbeat: heartbeat, Predictor: predictor})
					b.ReportAllocs()
					b.ResetTimer()
					for i := range b.N {
						next(i)
					}
				})
			}
		}
	}
}

func TestAPointDoesNotAllocate(t *testing.T) {
	for _, kind := range []d.Kind{d.Counter, d.Histogram} {
		for _, predictor := range []d.Predictor{d.Hold, d.Linear} {
			next := steady(t, 100, kind, &d.Rule{Relative: 0.01, Heartbeat: heartbeat, Predictor: predictor, Corners: true})
			i := 0
			for ; i < 1000; i++ {
				next(i)
			}
			require.Zero(t, testing.AllocsPerRun(2000, func() { next(i); i++ }), "%s %s", kind, predictor)
		}
	}
}
