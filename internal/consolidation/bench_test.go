package consolidation_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

const perOutput = 10

// fleet is n inputs of a cumulative sum.
func fleet(e *c.Engine, n int) []c.Point {
	e.Watch(1, zero)
	points := make([]c.Point, n)
	for i := range points {
		points[i] = c.Point{
			Input: key(fmt.Sprint("in", i)), Output: key(fmt.Sprint("out", i/perOutput)), Rule: 1, Kind: c.CumulativeSum, Now: zero + second,
			Sum: spatial.SumPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Value: spatial.Int(5)},
		}
		e.Feed(&points[i], owner(""))
	}
	return points
}

func forward(p *c.Point, d uint64) {
	p.Now += d
	p.Sum.Time += d
	p.Sum.Value = spatial.Int(p.Sum.Value.Int() + 3)
}

func BenchmarkFeed(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("sum/inputs=", n), func(b *testing.B) {
			e := c.New(c.Settings{})
			points := fleet(e, n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				p := &points[i%n]
				forward(p, second)
				e.Feed(p, nil)
			}
		})
	}
	b.Run("histogram/inputs=10000", func(b *testing.B) {
		const n = 10_000
		e := c.New(c.Settings{})
		points := histogramFleet(e, n)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			p := &points[i%n]
			p.Histogram.Time += second
			p.Histogram.Counts[3]++
			p.Histogram.Count++
			e.Feed(p, nil)
		}
	})
}

func histogramFleet(e *c.Engine, n int) []c.Point {
	e.Watch(1, zero)
	edges := make([]float64, 14)
	for i := range edges {
		edges[i] = float64(i)
	}
	points := make([]c.Point, n)
	counts := make([]uint64, 15)
	for i := range points {
		bounds, _ := e.Bounds(edges)
		points[i] = c.Point{
			Input: key(fmt.Sprint("in", i)), Output: key(fmt.Sprint("out", i/perOutput)), Rule: 1, Kind: c.CumulativeHistogram, Now: zero + second,
			Histogram: &spatial.HistogramPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Bounds: bounds, Counts: counts},
		}
		e.Feed(&points[i], owner(""))
		points[i].Histogram.Counts = slices.Clone(counts)
	}
	return points
}

// BenchmarkFlush is the work of one interval.
func BenchmarkFlush(b *testing.B) {
	e := c.New(c.Settings{})
	points := fleet(e, 1_000_000)
	edge := zero + interval
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range points {
			forward(&points[i], interval)
			e.Feed(&points[i], nil)
		}
		b.StartTimer()
		e.Flush(edge, func(*c.Emission) {})
		edge += interval
	}
}

// BenchmarkSnapshot is a checkpoint of a million inputs; ns/part is how long one lock is held, at most.
func BenchmarkSnapshot(b *testing.B) {
	e := c.New(c.Settings{})
	fleet(e, 1_000_000)
	var longest time.Duration
	parts := 0
	for b.Loop() {
		began := time.Now()
		for range e.Snapshot() {
			longest = max(longest, time.Since(began))
			began = time.Now()
			parts++
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(parts), "ns/part")
	b.ReportMetric(float64(longest), "ns/longest")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryPerInput measures what an engine holds, outputs and both indexes included, ten inputs to an output.
func TestMemoryPerInput(t *testing.T) {
	measure := func(n int, feed func(e *c.Engine, i int)) float64 {
		before := heap()
		e := c.New(c.Settings{MaxStreams: 2_000_000})
		e.Watch(1, zero)
		for i := range n {
			feed(e, i)
		}
		bytes := float64(heap()-before) / float64(n)
		require.Equal(t, n, e.Stats().Inputs)
		return bytes
	}
	// Keys without strings, so that nothing of the test is counted.
	feed := func(e *c.Engine, i int, p *c.Point) {
		in, out := uint64(i+1), uint64(i/perOutput+1)
		p.Input, p.Output = c.Key{A: in * 0xbf58476d1ce4e5b9, B: in * 0x94d049bb133111eb}, c.Key{A: out * 0xbf58476d1ce4e5b9, B: out * 0x94d049bb133111eb}
		p.Rule, p.Now = 1, zero+second
		e.Feed(p, owner(""))
	}
	sizes := []int{800_000, 1_000_000, 1_200_000}
	if raceDetector {
		sizes = []int{100_000}
	}
	for _, n := range sizes {
		bytes := measure(n, func(e *c.Engine, i int) {
			p := c.Point{Kind: c.CumulativeSum, Sum: spatial.SumPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Value: spatial.Int(5)}}
			feed(e, i, &p)
		})
		t.Logf("cumulative sum, %d inputs: %.1f bytes each", n, bytes)
		require.Less(t, bytes, 100.0)
	}
	counts, edges := make([]uint64, 15), make([]float64, 14)
	for i := range edges {
		edges[i] = float64(i)
	}
	bytes := measure(sizes[0]/8, func(e *c.Engine, i int) {
		bounds, _ := e.Bounds(edges)
		p := c.Point{Kind: c.CumulativeHistogram, Histogram: &spatial.HistogramPoint{Span: spatial.Span{Start: zero, Time: zero + second}, Bounds: bounds, Counts: counts}}
		feed(e, i, &p)
	})
	t.Logf("histogram of 15 buckets: %.1f bytes each", bytes)
	require.Less(t, bytes, 350.0)
}

// TestSteadyStateAllocatesNothing holds for every kind.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceDetector {
		return // it allocates
	}
	for kind := range c.Summary + 1 {
		e := c.New(c.Settings{})
		e.Watch(1, zero)
		r := &raw{input: "a", output: "b", rule: 1, kind: kind, start: zero, time: zero + second, now: zero + second, scale: 2}
		r.value = cells{"value": num(3)}
		if f := kind.String(); f != "gauge" && kind > c.Gauge {
			r.value, r.bounds = cells{bucket(1): num(2), index(2, 5): num(3), "sum": num(1)}, []float64{1, 2}
			if kind == c.Summary {
				r.value, r.bounds = cells{bucket(math.Inf(1)): num(2), "sum": num(1)}, nil
			}
		}
		p := r.point()
		e.Feed(p, owner(""))
		edge := zero
		require.Zero(t, testing.AllocsPerRun(100, func() {
			p.Now += second
			p.Sum.Time += second
			if p.Histogram != nil {
				p.Histogram.Time += second
			}
			if p.Exponential != nil {
				p.Exponential.Time += second
			}
			e.Feed(p, nil)
		}), kind.String())
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			edge += interval
			e.Flush(edge, func(*c.Emission) {})
		}), 400.0, kind.String()) // six closures a shard, however many outputs
	}
}

// TestNoFeedWaitsForAFlush: 100,000 outputs are flushed while two goroutines feed. Time on a busy machine is also taken by
// others, which only adds; so the best of some flushes counts.
func TestNoFeedWaitsForAFlush(t *testing.T) {
	outputs := 100_000
	if raceDetector {
		outputs = 5_000
	}
	e := c.New(c.Settings{})
	points := fleet(e, outputs*perOutput)
	var stop atomic.Bool
	var longest atomic.Int64
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			mine := points[g*len(points)/2 : (g+1)*len(points)/2]
			for i := 0; !stop.Load(); i = (i + 7919) % len(mine) {
				if i%perOutput == 0 {
					continue // these are fed below
				}
				forward(&mine[i], 1)
				began := time.Now()
				e.Feed(&mine[i], nil)
				if took := int64(time.Since(began)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	best, edge := time.Hour, zero
	for range 10 {
		for i := range points { // all outputs have something to show
			if i%perOutput == 0 {
				forward(&points[i], 1)
				e.Feed(&points[i], nil)
			}
		}
		edge += interval
		longest.Store(0)
		began, emissions := time.Now(), 0
		e.Flush(edge, func(*c.Emission) { emissions++ })
		require.GreaterOrEqual(t, emissions, outputs)
		took, wait := time.Since(began), time.Duration(longest.Load())
		best = min(best, wait)
		t.Logf("flush of %d outputs in %v; longest feed meanwhile %v", emissions, took, wait)
	}
	stop.Store(true)
	wg.Wait()
	require.Less(t, best, 20*time.Millisecond)
}
