package deadband_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// key spreads i over both halves as a hash does.
func key(i int) d.Key {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	return d.Key{A: h ^ h>>31, B: (h ^ h>>29) * 0xbf58476d1ce4e5b9}
}

func point(i int, kind d.Kind, seconds uint64, v spatial.Number) *d.Point {
	now := origin + seconds*second
	return &d.Point{Series: key(i), Kind: kind, Now: now, Sum: spatial.SumPoint{Span: spatial.Span{Start: origin, Time: now}, Value: v}}
}

func newBand(tb testing.TB, s d.Settings) *d.Band {
	tb.Helper()
	b, err := d.New(s)
	require.NoError(tb, err)
	return b
}

var percent = &d.Rule{Relative: 0.01, Heartbeat: heartbeat}

// feed sends values every 15 s and returns what comes out, as "value@seconds".
func feed(t *testing.T, r *d.Rule, kind d.Kind, values ...float64) (out []string) {
	t.Helper()
	b := newBand(t, d.Settings{})
	var before d.Before
	for i, v := range values {
		p := point(0, kind, uint64(15*i), spatial.Double(v))
		o := b.Observe(p, r, &before)
		if o.Before {
			out = append(out, fmt.Sprintf("%g@%d", before.Sum.Value.Float(), (before.Sum.Time-origin)/second))
		}
		if o.Reason.Passes() {
			out = append(out, fmt.Sprintf("%g@%d", v, 15*i))
		}
	}
	return out
}

func TestWhatComesOut(t *testing.T) {
	hold, corners := *percent, *percent
	corners.Corners = true
	linear := d.Rule{Relative: 0.01, Heartbeat: 10 * heartbeat, Predictor: d.Linear}
	ranged := d.Rule{Relative: 0.1, Range: 4 * heartbeat, Heartbeat: heartbeat}
	for name, c := range map[string]struct {
		rule d.Rule
		kind d.Kind
		in   []float64
		want []string
	}{
		"still": {hold, d.Gauge, []float64{5, 5, 5, 5, 5, 5}, []string{"5@0", "5@60"}},
		"a drift is measured from the point sent": {hold, d.Gauge, []float64{100, 100.6, 101.2}, []string{"100@0", "101.2@30"}},
		"a step":                           {hold, d.Gauge, []float64{5, 5, 9, 9}, []string{"5@0", "9@30"}},
		"a step with its corner":           {corners, d.Gauge, []float64{5, 5, 9, 9}, []string{"5@0", "5@15", "9@30"}},
		"a ramp is one line":               {linear, d.Gauge, []float64{10, 20, 30, 40, 50, 40, 30}, []string{"10@0", "50@60"}},
		"the line ends before it is wrong": {linear, d.Gauge, []float64{10, 10, 10, 50, 50}, []string{"10@0", "10@30", "50@45"}},
		"a reset":                          {hold, d.Counter, []float64{1000, 1001, 3, 3}, []string{"1000@0", "1001@15", "3@30"}},
		"not a number":                     {hold, d.Gauge, []float64{1, 1, math.NaN(), 1, 1}, []string{"1@0", "1@15", "NaN@30", "1@45"}},
		"a large counter hides events":     {hold, d.Counter, []float64{1e6, 1e6, 1e6 + 500, 1e6 + 500}, []string{"1e+06@0"}},
		"but not from who reads its pace":  {ranged, d.Counter, []float64{1e6, 1e6, 1e6 + 500, 1e6 + 500}, []string{"1e+06@0", "1.0005e+06@45"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, feed(t, &c.rule, c.kind, c.in...)) })
	}
}

func TestIntegersAreExactPast2To53(t *testing.T) {
	b := newBand(t, d.Settings{})
	r := &d.Rule{Absolute: 1, Heartbeat: heartbeat}
	var before d.Before
	observe := func(s uint64, v int64) d.Reason {
		return b.Observe(point(0, d.UpDown, s, spatial.Int(v)), r, &before).Reason
	}
	require.Equal(t, d.First, observe(0, 1<<60))
	require.Equal(t, d.Within, observe(15, 1<<60+1))
	require.Equal(t, d.Moved, observe(30, 1<<60+2), "a double would not see a difference")
	require.Equal(t, d.Moved, observe(45, math.MaxInt64))
	require.Equal(t, d.Moved, observe(60, math.MinInt64), "the difference is past the range of int64")
}

func TestTimesThatAreNoneAndHistogramsThatContradictThemselvesPass(t *testing.T) {
	b := newBand(t, d.Settings{})
	var before d.Before
	for _, time := range []uint64{0, 1 << 63} {
		p := point(0, d.Gauge, 0, spatial.Int(1))
		p.Sum.Time = time
		require.Equal(t, d.Outcome{Reason: d.NoTime}, b.Observe(p, percent, &before))
	}
	p := histogram(0, 0, 1, 2)
	require.Equal(t, d.First, b.Observe(p, percent, &before).Reason)
	p = histogram(0, 15, 1, 2)
	require.Equal(t, d.Within, b.Observe(p, percent, &before).Reason)
	p = histogram(0, 30, 1, 2)
	p.Histogram.Count++
	require.Equal(t, d.Outcome{Reason: d.Malformed, Before: true}, b.Observe(p, percent, &before))
	require.Equal(t, d.First, b.Observe(histogram(0, 45, 1, 2), percent, &before).Reason)
	p = histogram(0, 60, 1, 2)
	p.Histogram.Sum = math.NaN()
	require.Equal(t, d.NotFinite, b.Observe(p, percent, &before).Reason)
	require.Zero(t, b.Stats().Series)
}

var shared, _ = spatial.NewBounds(edges)

func histogram(i int, seconds uint64, counts ...uint64) *d.Point {
	counts = append(slices.Clone(counts), make([]uint64, len(edges)+1-len(counts))...)
	count := uint64(0)
	for _, c := range counts {
		count += c
	}
	p := point(i, d.Histogram, seconds, spatial.Number{})
	p.Histogram = &spatial.HistogramPoint{
		Span: p.Sum.Span, Moments: spatial.Moments{Sum: float64(count), Known: spatial.HasSum}, Bounds: shared, Counts: counts, Count: count,
	}
	return p
}

func TestAHistogramIsTheSeriesThatItBecomes(t *testing.T) {
	b := newBand(t, d.Settings{})
	var before d.Before
	require.Equal(t, d.First, b.Observe(histogram(0, 0, 10, 0, 10_000), percent, &before).Reason)
	require.Equal(t, d.Within, b.Observe(histogram(0, 15, 10, 0, 10_050), percent, &before).Reason)
	require.Equal(t, d.Moved, b.Observe(histogram(0, 30, 11, 0, 10_050), percent, &before).Reason, "a small bucket has its own tolerance")
	require.Equal(t, d.Reset, b.Observe(histogram(0, 45, 10, 0, 10_060), percent, &before).Reason, "the count grew, a bucket fell")
	p := histogram(0, 60, 10, 0, 10_060)
	p.Histogram.Known = 0
	require.Equal(t, d.LayoutChange, b.Observe(p, percent, &before).Reason)
}

func TestTheSumOfAHistogramHasAPaceToo(t *testing.T) {
	for within, want := range map[uint64]d.Reason{0: d.Within, 4 * heartbeat: d.Moved} {
		b := newBand(t, d.Settings{})
		r := *percent
		r.Range = within
		var before d.Before
		require.Equal(t, d.First, b.Observe(histogram(0, 0, 1000), &r, &before).Reason)
		p := histogram(0, 15, 1000)
		p.Histogram.Sum++
		require.Equal(t, want, b.Observe(p, &r, &before).Reason)
	}
}

func TestAnotherRuleNeedsNoChangeOfState(t *testing.T) {
	b := newBand(t, d.Settings{})
	var before d.Before
	linear := *percent
	linear.Predictor = d.Linear
	require.Equal(t, d.First, b.Observe(point(0, d.Gauge, 0, spatial.Int(100)), percent, &before).Reason)
	require.Equal(t, d.Within, b.Observe(point(0, d.Gauge, 15, spatial.Int(101)), percent, &before).Reason)
	require.Equal(t, d.Outcome{Reason: d.PredictorChange, Before: true}, b.Observe(point(0, d.Gauge, 30, spatial.Int(101)), &linear, &before))
}

func TestSeriesAreBounded(t *testing.T) {
	b := newBand(t, d.Settings{MaxSeries: 10, Idle: time.Minute, Shards: 1})
	var before d.Before
	for i := range 10 {
		require.Equal(t, d.First, b.Observe(point(i, d.Gauge, 0, spatial.Int(1)), percent, &before).Reason)
		require.Equal(t, d.Within, b.Observe(point(i, d.Gauge, 15, spatial.Int(1)), percent, &before).Reason)
	}
	require.Equal(t, d.NoRoom, b.Observe(point(10, d.Gauge, 30, spatial.Int(1)), percent, &before).Reason, "who lives stays")
	require.Equal(t, d.First, b.Observe(point(10, d.Gauge, 90, spatial.Int(1)), percent, &before).Reason, "who is idle goes")
	require.Equal(t, d.Stats{Series: 10, Evicted: 1, Abandoned: 1}, b.Stats())
	require.Equal(t, d.First, b.Observe(histogram(11, 90), percent, &before).Reason)
	b.Expire(origin + 200*second)
	require.Equal(t, d.Stats{Evicted: 12, Abandoned: 10}, b.Stats())
}

func TestHeartbeatsOfSeriesThatBeginTogetherSpread(t *testing.T) {
	b := newBand(t, d.Settings{})
	r := *percent
	r.Spread = true
	var before d.Before
	passed := map[uint64]int{}
	const n = 1000
	for s := uint64(0); s <= 300; s += 15 {
		for i := range n {
			if b.Observe(point(i, d.Gauge, s, spatial.Int(1)), &r, &before).Reason.Passes() && s > 60 {
				passed[s]++
			}
		}
	}
	for s, count := range passed {
		require.InDelta(t, n/4, count, n/12, "at %d s", s)
	}
	require.Len(t, passed, 16)
}

func TestSettingsAndRulesSayAllThatIsWrong(t *testing.T) {
	_, err := d.New(d.Settings{MaxSeries: -1, Idle: time.Millisecond, Shards: 3})
	require.EqualError(t, err, "max_series: must not be negative, got -1\nidle: must be at least 1s, got 1ms\nshards: must be a power of two of at most 4096, got 3")
	r := d.Rule{Absolute: -1, Relative: math.NaN(), Predictor: 7}
	require.EqualError(t, r.Validate(), "tolerance: absolute: must be a number of at least 0, got -1\ntolerance: relative: must be at least 0 and below 1, got NaN\nheartbeat: must be positive\npredictor: must be hold or linear")
}

func TestEveryReasonHasAName(t *testing.T) {
	names := map[string]bool{}
	for _, r := range d.Reasons() {
		require.NotEqual(t, "unknown", r.String())
		names[r.String()] = true
	}
	require.Len(t, names, len(d.Reasons()))
}

func TestManyGoroutines(t *testing.T) {
	b := newBand(t, d.Settings{MaxSeries: 500, Idle: time.Minute})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var before d.Before
			for s := uint64(0); s < 600; s += 15 {
				for i := range 100 {
					b.Observe(point(100*g+i, d.Gauge, s, spatial.Int(int64(i))), percent, &before)
					b.Observe(histogram(100*g+i, s, uint64(i)), percent, &before)
				}
				b.Expire(origin + s*second)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, b.Stats().Series, 500)
	b.Expire(origin + 3600*second)
	require.Zero(t, b.Stats().Series)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMemory(t *testing.T) {
	sizes := []int{100_000, 1_000_000}
	if raceDetector {
		sizes = sizes[:1] // what it adds is not measured
	}
	for _, n := range sizes {
		for _, predictor := range []d.Predictor{d.Hold, d.Linear} {
			r := &d.Rule{Relative: 0.01, Heartbeat: heartbeat, Predictor: predictor}
			var before d.Before
			empty := heap()
			b := newBand(t, d.Settings{})
			for i := range n {
				b.Observe(point(i, d.Counter, 0, spatial.Int(1)), r, &before)
			}
			each := float64(heap()-empty) / float64(n)
			t.Logf("%s, %d series: %.1f bytes a series", predictor, n, each)
			if !raceDetector {
				require.LessOrEqual(t, each, 96.0)
			}
			runtime.KeepAlive(b)
		}
	}
}
