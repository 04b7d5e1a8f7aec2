package spatial_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// second makes spans readable.
const second = 1_000_000_000

func span(start, end uint64) spatial.Span {
	return spatial.Span{Start: start * second, Time: end * second}
}

// watching since second 100, with nothing forgotten.
var watching = spatial.Watch{Activation: 100 * second}

func positive(scale, offset int32, counts ...uint64) *spatial.ExponentialPoint {
	p := &spatial.ExponentialPoint{Scale: scale, Positive: spatial.Buckets{Offset: offset, Counts: counts}}
	for _, c := range counts {
		p.Count += c
	}
	return p
}

// inBothOrders merges two points in either order and requires the buckets.
func inBothOrders(t *testing.T, a, b *spatial.ExponentialPoint, scale, offset int32, counts ...uint64) {
	t.Helper()
	for _, pair := range [][2]*spatial.ExponentialPoint{{a, b}, {b, a}} {
		h := spatial.NewExponential(0)
		require.Equal(t, spatial.Accepted, h.Add(pair[0]))
		require.Equal(t, spatial.Accepted, h.Add(pair[1]))
		got := h.Point()
		require.Equal(t, scale, got.Scale)
		require.Equal(t, spatial.Buckets{Offset: offset, Counts: counts}, got.Positive)
		require.Empty(t, got.Negative.Counts)
		require.Equal(t, a.Count+b.Count, got.Count)
	}
}

// The merge that metrics_transform and OTTL share (contrib v0.164.0, internal/coreinternal/aggregateutil) puts the two lists
// one behind the other: offset 3, [1 2 3 4 10 20].
func TestVector1OverlappingOffsets(t *testing.T) {
	inBothOrders(t, positive(0, 5, 10, 20), positive(0, 3, 1, 2, 3, 4), 0, 3, 1, 2, 13, 24)
}

// The same merge forgets the gap: offset 1, [1 10].
func TestVector2AGapBetweenOffsets(t *testing.T) {
	inBothOrders(t, positive(0, 5, 10), positive(0, 1, 1), 0, 1, 1, 0, 0, 0, 10)
}

// The same merge leaves two points of one identity when scales differ.
func TestVector3DifferentScales(t *testing.T) {
	inBothOrders(t, positive(1, 2, 1, 2, 3), positive(0, 1, 10), 0, 1, 13, 3)
	inBothOrders(t, positive(1, -3, 1, 2, 3), positive(0, -2, 10), 0, -2, 11, 5) // -3 is in bucket -2, -2 and -1 in -1
}

// One of two counters begins again: 100 to 0, while the other goes from 50 to 60. contrib adds the values themselves, so
// the sum falls from 150 to 60, and a reader takes that for a reset of all and counts 60.
func TestVector5AResetOfOneOfTwo(t *testing.T) {
	for name, start := range map[string]uint64{"start moves": 111, "value falls": 100} {
		t.Run(name, func(t *testing.T) {
			var a, b spatial.SumInput
			var out spatial.Total
			step := func(in *spatial.SumInput, p spatial.Span, value int64) {
				increment, v := in.Advance(spatial.SumPoint{Span: p, Value: spatial.Int(value)}, watching)
				require.True(t, v.Counted(), v)
				require.False(t, out.Add(increment))
			}
			step(&a, span(100, 110), 100)
			step(&b, span(100, 110), 50)
			require.Equal(t, spatial.Int(150), out.Value())
			step(&a, span(start, 120), 0)
			require.Equal(t, spatial.Int(150), out.Value())
			step(&b, span(100, 120), 60)
			require.Equal(t, spatial.Int(160), out.Value())
		})
	}
}

type point struct {
	start, time uint64
	value       int64
}

// Each row of the table of verdicts, by the state before it.
var advanceRows = map[string]struct {
	before    *point
	horizon   uint64
	p         point
	verdict   spatial.Verdict
	increment int64
}{
	"first, begun under our eyes":              {p: point{100, 110, 7}, verdict: spatial.First, increment: 7},
	"first, begun before":                      {p: point{99, 110, 7}, verdict: spatial.BaselineOldStart},
	"first, perhaps evicted":                   {p: point{105, 200, 7}, horizon: 105, verdict: spatial.BaselineMaybeEvicted},
	"first, too young to be evicted":           {p: point{106, 200, 7}, horizon: 105, verdict: spatial.First, increment: 7},
	"first, no start":                          {p: point{0, 110, 7}, verdict: spatial.BaselineUnknownStart},
	"first, start = time":                      {p: point{110, 110, 7}, verdict: spatial.BaselineUnknownStart},
	"next":                                     {&point{100, 110, 7}, 0, point{100, 120, 9}, spatial.Increased, 2},
	"next, no growth":                          {&point{100, 110, 7}, 0, point{100, 120, 7}, spatial.Increased, 0},
	"next, evictable no longer matters":        {&point{100, 110, 7}, 900, point{100, 120, 9}, spatial.Increased, 2},
	"after start = time":                       {&point{110, 110, 7}, 0, point{110, 120, 9}, spatial.Increased, 2},
	"start jitters forward":                    {&point{100, 110, 7}, 0, point{101, 120, 9}, spatial.StartShift, 2},
	"start jitters back":                       {&point{100, 110, 7}, 0, point{99, 120, 9}, spatial.StartShift, 2},
	"start at the last time":                   {&point{100, 110, 7}, 0, point{110, 120, 9}, spatial.StartShift, 2},
	"start is lost":                            {&point{100, 110, 7}, 0, point{0, 120, 9}, spatial.StartShift, 2},
	"start = time says nothing":                {&point{100, 110, 7}, 0, point{120, 120, 9}, spatial.StartShift, 2},
	"reset by value":                           {&point{100, 110, 7}, 0, point{100, 120, 3}, spatial.ResetByValue, 3},
	"reset by value, start jitters":            {&point{100, 110, 7}, 0, point{105, 120, 3}, spatial.ResetByValue, 3},
	"reset by value, start unknown":            {&point{0, 110, 7}, 0, point{0, 120, 3}, spatial.ResetByValue, 3},
	"reset by value, start = time":             {&point{100, 110, 7}, 0, point{120, 120, 3}, spatial.ResetByValue, 3},
	"reset to zero":                            {&point{100, 110, 7}, 0, point{100, 120, 0}, spatial.ResetByValue, 0},
	"reset by start, value lower":              {&point{100, 110, 7}, 0, point{111, 120, 3}, spatial.ResetByStart, 3},
	"reset by start, value has grown past":     {&point{100, 110, 7}, 0, point{111, 120, 9}, spatial.ResetByStart, 9},
	"reset by start, also if watched later":    {&point{90, 95, 7}, 96, point{96, 120, 9}, spatial.ResetByStart, 9},
	"late":                                     {&point{100, 110, 7}, 0, point{100, 109, 6}, spatial.Late, 0},
	"late from before a reset":                 {&point{111, 120, 3}, 0, point{100, 119, 9}, spatial.Late, 0},
	"duplicate":                                {&point{100, 110, 7}, 0, point{100, 110, 7}, spatial.Duplicate, 0},
	"duplicate of another value":               {&point{100, 110, 7}, 0, point{100, 110, 9}, spatial.Duplicate, 0},
	"start after time, first":                  {p: point{111, 110, 7}, verdict: spatial.StartAfterTime},
	"start after time, older than the last":    {&point{100, 110, 7}, 0, point{106, 105, 9}, spatial.StartAfterTime, 0},
	"no time":                                  {p: point{0, 0, 7}, verdict: spatial.NoTime},
	"a time past 2262":                         {p: point{100, 1 << 34, 7}, verdict: spatial.TimeOutOfRange},
	"a negative value of a monotonic sum":      {p: point{100, 110, -7}, verdict: spatial.Negative},
	"a fall below zero is refused, not reset":  {&point{100, 110, 7}, 0, point{100, 120, -7}, spatial.Negative, 0},
	"a late point is late, whatever its value": {&point{100, 110, 7}, 0, point{100, 105, -7}, spatial.Late, 0},
}

func TestAdvanceRowByRow(t *testing.T) {
	for name, c := range advanceRows {
		t.Run(name, func(t *testing.T) {
			in := new(spatial.SumInput)
			if c.before != nil {
				require.Equal(t, spatial.Accepted, in.Restore(spatial.SumPoint{Span: span(c.before.start, c.before.time), Value: spatial.Int(c.before.value)}))
			}
			before := in.Last()
			p := spatial.SumPoint{Span: span(c.p.start, c.p.time), Value: spatial.Int(c.p.value)}
			increment, v := in.Advance(p, spatial.Watch{Activation: 100 * second, Horizon: c.horizon * second})
			require.Equal(t, c.verdict, v, v.String())
			require.Equal(t, spatial.Int(c.increment), increment)
			if v.Ignored() || v.Refused() {
				require.Equal(t, before, in.Last())
			} else {
				require.Equal(t, p, in.Last())
			}
		})
	}
}

func TestAdvanceRefusesWhatIsNotFinite(t *testing.T) {
	for value, verdict := range map[float64]spatial.Verdict{
		math.NaN(): spatial.NotANumber, math.Inf(1): spatial.Infinite, math.Inf(-1): spatial.Infinite, -0.5: spatial.Negative,
	} {
		var in spatial.SumInput
		p := spatial.SumPoint{Span: span(100, 110), Value: spatial.Double(value)}
		_, v := in.Advance(p, watching)
		require.Equal(t, verdict, v, value)
		require.Equal(t, verdict, in.Restore(p))
		require.Equal(t, spatial.SumInput{}, in)
	}
	for _, value := range []float64{math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		var in spatial.SumInput
		_, v := in.Advance(spatial.SumPoint{Span: span(100, 110), Value: spatial.Double(value)}, watching)
		require.Equal(t, spatial.First, v, value)
	}
	require.Equal(t, spatial.StartAfterTime, new(spatial.SumInput).Restore(spatial.SumPoint{Span: span(111, 110)}))
}

func TestTheLastTimeThereIs(t *testing.T) {
	for time, verdict := range map[uint64]spatial.Verdict{math.MaxInt64: spatial.First, math.MaxInt64 + 1: spatial.TimeOutOfRange} {
		var in spatial.SumInput
		_, v := in.Advance(spatial.SumPoint{Span: spatial.Span{Start: 1, Time: time}}, spatial.Watch{})
		require.Equal(t, verdict, v)
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range spatial.Verdicts() {
		require.Regexp(t, `^[a-z_]+$`, v.String())
		require.False(t, seen[v.String()], v)
		seen[v.String()] = true
		groups := 0
		for _, in := range []bool{v.Counted(), v.Baseline(), v.Ignored(), v.Refused()} {
			if in {
				groups++
			}
		}
		require.Equal(t, 1, groups, v)
	}
	require.Len(t, seen, 29)
	require.Equal(t, "unknown", spatial.Verdict(200).String())
	require.Equal(t, "unknown", spatial.Verdict(7).String())
	require.True(t, spatial.ResetByStart.Reset())
	require.False(t, spatial.First.Reset())
}

func TestDeltasOfOneIntervalCoverTheirUnion(t *testing.T) {
	require.Equal(t, span(3, 9), span(5, 9).Union(span(3, 8)))
	require.Equal(t, span(3, 9), span(3, 8).Union(span(5, 9)))
	require.Equal(t, span(5, 9), span(5, 8).Union(span(0, 9)))
	require.Equal(t, span(5, 9), span(0, 9).Union(span(5, 8)))
	require.Equal(t, span(5, 9), spatial.Span{}.Union(span(5, 9)))
}
