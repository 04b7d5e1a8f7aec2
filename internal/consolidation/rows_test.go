package consolidation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// The tests of this file are the rows of the table in the design, in its order.

func TestDeltasOfOneIntervalAddUp(t *testing.T) {
	l := newLab(t, c.DeltaSum)
	l.is(spatial.Accepted, "a", "out", 3, 6, 10)
	l.is(spatial.Accepted, "b", "out", 2, 7, 5)
	l.is(spatial.Accepted, "a", "out", 6, 9, 1)
	l.emits(15, "out=16@2") // from the earliest start, to the edge
	l.is(spatial.Accepted, "a", "out", 9, 16, 2)
	l.emits(30, "out=2@15") // windows of one stream do not overlap
	l.quiet(45, 60)
}

func TestALateDeltaIsAddedOnceToTheNextInterval(t *testing.T) {
	l := newLab(t, c.DeltaSum)
	l.is(spatial.Accepted, "a", "out", 6, 12, 10)
	l.emits(15, "out=10@6")
	out := l.is(spatial.Accepted, "a", "out", 3, 6, 4)
	require.NotZero(t, out.Happened&c.LateDelta)
	l.emits(30, "out=4@15")
	l.is(spatial.Duplicate, "a", "out", 6, 12, 10)
	l.quiet(45, 60)
}

func TestDeltasThatMayFall(t *testing.T) {
	l := newLab(t, c.DeltaUpDown)
	l.feed("a", "out", 3, 6, -10)
	l.feed("b", "out", 3, 6, 4)
	l.emits(15, "out=-6@3")
	l = newLab(t, c.DeltaSum)
	l.is(spatial.Negative, "a", "out", 3, 6, -10)
	l.quiet(15, 15)
}

func TestACumulativeOutputNeverFallsWithoutANewStart(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.feed("a", "out", 1, 20, 3)
	l.emits(30, "out=13@0")
	l.feed("a", "out", 33, 35, 1)
	l.emits(45, "out=14@0")
}

func TestFirstPoints(t *testing.T) {
	for name, row := range map[string]struct {
		start float64
		want  spatial.Verdict
	}{
		"begun under our eyes":   {1, spatial.First},
		"begun with the rule":    {0, spatial.First},
		"begun before":           {-1000, spatial.BaselineOldStart},
		"start not given":        {unknown, spatial.BaselineUnknownStart},
		"start is the time":      {600, spatial.BaselineUnknownStart},
		"start after the time":   {601, spatial.StartAfterTime},
		"begun long ago, unseen": {1, spatial.First},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.CumulativeSum)
			l.is(row.want, "a", "out", row.start, 600, 7)
			value := map[bool]string{true: "out=7@0", false: "out=0@0"}[row.want == spatial.First]
			if row.want.Refused() {
				l.emits(615)
				return
			}
			l.emits(615, value)
			start := row.start
			if start == 600 { // each point says that it starts itself
				start = 620
			}
			l.feed("a", "out", start, 620, 9)
			l.emits(630, map[bool]string{true: "out=9@0", false: "out=2@0"}[row.want == spatial.First])
		})
	}
}

func TestStartIsTimeAllAlongCountsDifferences(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	for i := range 10 {
		s := float64(5 + 15*i)
		l.feed("a", "out", s, s, int64(100+10*i))
	}
	l.emits(150, "out=90@0")
}

func TestAnEvictedInputThatReturnsWithItsOldStartIsNotCountedTwice(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.is(spatial.First, "a", "out", 1, 5, 100)
	l.feed("b", "out", 1, 5, 1)
	l.emits(15, "out=101@0")
	for s := 30.0; s <= 600; s += 15 { // b keeps the output alive
		l.feed("b", "out", 1, s-1, 1)
		l.flush(s)
	}
	require.Equal(t, 1, l.e.Stats().Inputs)
	l.is(spatial.BaselineMaybeEvicted, "a", "out", 1, 601, 120)
	l.emits(615, "out=101@0")
	l.is(spatial.Increased, "a", "out", 1, 620, 125)
	l.emits(630, "out=106@0")
}

func TestAnEvictedInputThatBeganAgainCountsWhole(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 100)
	l.emits(15, "out=100@0")
	for s := 30.0; s < 600; s += 15 {
		l.feed("b", "out", 1, s, 1)
		l.flush(s)
	}
	l.is(spatial.First, "a", "out", 590, 601, 8)
	l.emits(615, "out=109@0")
}

func TestWithTheTombstonesFullTheForgottenAreNotCountedTwice(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e = c.New(c.Settings{Shards: 1, MaxTombstones: 4})
	l.e.Watch(1, at(0))
	for _, in := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		l.is(spatial.First, in, "out", 1, 5, 10)
	}
	l.emits(15, "out=70@0")
	for s := 30.0; s < 600; s += 15 {
		l.feed("z", "out", 1, s, 1)
		l.flush(s)
	}
	require.LessOrEqual(t, l.e.Stats().Tombstones, 4)
	for _, in := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		l.is(spatial.BaselineMaybeEvicted, in, "out", 1, 601, 20)
	}
	l.is(spatial.First, "h", "out", 590, 601, 5)
	l.emits(615, "out=76@0")
}

func TestJitteringStartsAreTheSameStream(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.is(spatial.First, "a", "out", 1, 5, 100)
	l.is(spatial.StartShift, "a", "out", 1.25, 10, 110)
	l.is(spatial.StartShift, "a", "out", 0.5, 12, 120)
	l.emits(15, "out=120@0")
	l.is(spatial.StartShift, "a", "out", 4.5, 20, 130)
	l.emits(30, "out=130@0")
}

func TestLateCumulativePointsAreIgnored(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 10, 100)
	l.is(spatial.Late, "a", "out", 1, 5, 50)
	l.is(spatial.Duplicate, "a", "out", 1, 10, 100)
	l.emits(15, "out=100@0")
}

func TestAnUpDownSumLosesAStaleInput(t *testing.T) {
	l := newLab(t, c.CumulativeUpDown)
	l.feed("a", "out", 1, 5, 100)
	l.feed("b", "out", 1, 5, -30)
	l.emits(15, "out=70@0")
	var got []string
	for s := 30.0; s <= 330; s += 15 {
		l.feed("b", "out", 1, s-1, -30)
		got = append(got, lines(l.flush(s))...)
	}
	require.Equal(t, "out=70@0", got[0])
	require.Equal(t, "out=-30@0", got[len(got)-1])
}

func TestGaugesByPolicy(t *testing.T) {
	for policy, want := range map[spatial.Policy]string{
		spatial.PolicySum: "18", spatial.PolicyMean: "6", spatial.PolicyMin: "1", spatial.PolicyMax: "12", spatial.PolicyLast: "5", spatial.PolicyCount: "3",
	} {
		t.Run(policy.String(), func(t *testing.T) {
			l := newLab(t, c.Gauge)
			for in, v := range map[string][2]float64{"a": {5, 1}, "b": {6, 12}, "c": {7, 5}} {
				p := l.point(in, "out", 0, v[0])
				p.Policy, p.Sum.Value = policy, spatial.Int(int64(v[1]))
				l.e.Feed(p, owner("out"))
			}
			l.emits(15, "out="+want+"@-")
		})
	}
}

func TestAGaugeIsTheLatestOfEachInputNotOfEachBatch(t *testing.T) {
	l := newLab(t, c.Gauge)
	l.feed("a", "out", 0, 5, 10)
	l.feed("b", "out", 0, 5, 20)
	l.feed("a", "out", 0, 6, 11)
	l.emits(15, "out=31@-")
	l.feed("b", "out", 0, 20, 21) // a is alive and keeps its value
	l.emits(30, "out=32@-")
}

func TestHistogramsOfOtherBoundsAreBroughtToTheCommonOnes(t *testing.T) {
	l := newLab(t, c.CumulativeHistogram)
	l.histogram("a", 5, []float64{1, 2, 4}, 1, 2, 3, 4)
	l.histogram("b", 5, []float64{1, 4, 8}, 10, 20, 30, 40)
	l.emits(15, "out=[11 25 74]@0")
	l.histogram("a", 20, []float64{1, 2, 4}, 1, 2, 3, 5)
	l.emits(30, "out=[11 25 75]@0")
}

func TestHistogramsWithoutCommonBoundsAreKeptApart(t *testing.T) {
	for name, kind := range map[string]c.Kind{"delta": c.DeltaHistogram, "cumulative": c.CumulativeHistogram} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, kind)
			l.histogram("a", 5, []float64{1, 2}, 1, 2, 3)
			out := l.histogram("b", 5, []float64{3, 5}, 10, 20, 30)
			require.NotZero(t, out.Happened&c.BoundsApart)
			l.histogram("d", 5, []float64{3, 5}, 1, 1, 1)
			got := l.flush(15)
			require.ElementsMatch(t, []string{"out=[1 2 3]@" + map[bool]string{true: "1", false: "0"}[kind == c.DeltaHistogram], "out=[11 21 31]@" + map[bool]string{true: "1", false: "0"}[kind == c.DeltaHistogram]}, lines(got))
			variants := map[uint64]bool{got[0].Variant: true, got[1].Variant: true}
			require.Len(t, variants, 2)
			require.Contains(t, variants, uint64(0))
			out = l.histogram("b", 20, []float64{3, 5}, 11, 20, 30)
			require.Zero(t, out.Happened, "it knows its place")
			require.Len(t, l.flush(30), 1)
		})
	}
}

func TestARuleMayNameTheBounds(t *testing.T) {
	l := newLab(t, c.DeltaHistogram)
	fine, _ := spatial.NewBounds([]float64{1, 2, 4, 8})
	coarse, err := fine.Keep([]float64{2})
	require.NoError(t, err)
	p := l.point("a", "out", 1, 5)
	p.Histogram = &spatial.HistogramPoint{Span: p.Sum.Span, Bounds: fine, Counts: []uint64{1, 2, 3, 4, 5}, Count: 15}
	l.e.Feed(p, keeps{"out", coarse})
	l.emits(15, "out=[3 12]@1")
	p.Sum.Time, p.Histogram.Span = at(20), spatial.Span{Start: at(5), Time: at(20)}
	l.e.Feed(p, keeps{"out", coarse})
	l.emits(30, "out=[3 12]@15")
}

type keeps struct {
	owner
	bounds *spatial.Bounds
}

func (k keeps) Describe() c.Description {
	return c.Description{Owner: string(k.owner), Bounds: k.bounds, KeepBounds: true}
}

func TestExponentialHistogramsMeetAtTheSmallerScale(t *testing.T) {
	l := newLab(t, c.DeltaExponential)
	for i, x := range []spatial.ExponentialPoint{
		{Scale: 1, Positive: spatial.Buckets{Offset: 10, Counts: []uint64{10, 20}}, Count: 30},
		{Scale: 0, Positive: spatial.Buckets{Offset: 3, Counts: []uint64{1, 2, 3, 4}}, Count: 10},
	} {
		p := l.point(string(rune('a'+i)), "out", 1, 5)
		x.Span = p.Sum.Span
		p.Exponential = &x
		require.Equal(t, spatial.Accepted, l.e.Feed(p, owner("out")).Verdict)
	}
	l.emits(15, "out=3 [1 2 33 4]@1")
}

func TestExtremesAreKeptForDeltaAndDroppedForCumulative(t *testing.T) {
	for kind, want := range map[c.Kind]spatial.Fields{
		c.DeltaHistogram: spatial.HasSum | spatial.HasMin | spatial.HasMax, c.CumulativeHistogram: spatial.HasSum,
	} {
		l := newLab(t, kind)
		for i, in := range []string{"a", "b"} {
			p := l.point(in, "out", 1, 5)
			p.Histogram = &spatial.HistogramPoint{
				Span: p.Sum.Span, Counts: []uint64{2}, Count: 2,
				Moments: spatial.Moments{Sum: 3, Min: 1 - float64(i), Max: 2 + float64(i), Known: spatial.HasSum | spatial.HasMin | spatial.HasMax},
			}
			l.e.Feed(p, owner("out"))
		}
		got := l.flush(15)
		require.Len(t, got, 1)
		require.Equal(t, want, got[0].Histogram.Known)
		require.InDelta(t, 6.0, got[0].Histogram.Sum, 0)
		if kind == c.DeltaHistogram {
			require.Equal(t, [2]float64{0, 3}, [2]float64{got[0].Histogram.Min, got[0].Histogram.Max})
		}
	}
}

func TestSummariesMergeCountAndSum(t *testing.T) {
	l := newLab(t, c.Summary)
	for in, n := range map[string]uint64{"a": 5, "b": 7} {
		p := l.point(in, "out", 1, 5)
		h := spatial.SummaryPoint(p.Sum.Span, n, float64(n)/2)
		p.Histogram = &h
		l.e.Feed(p, owner("out"))
	}
	got := l.flush(15)
	require.Len(t, got, 1)
	require.Equal(t, uint64(12), got[0].Histogram.Count)
	require.InDelta(t, 6.0, got[0].Histogram.Sum, 0)
}

func TestAStaleMarkerEndsOneInputAndTheOutputEndsWithTheLast(t *testing.T) {
	l := newLab(t, c.Gauge)
	l.feed("a", "out", 0, 5, 10)
	l.feed("b", "out", 0, 5, 20)
	l.emits(15, "out=30@-")
	require.Equal(t, c.Ended, l.stale("a", 20).Happened)
	l.emits(30, "out=20@-")
	l.is(spatial.Late, "a", "out", 0, 19, 10) // sent before the end, here after it
	l.quiet(45, 45)
	l.stale("b", 50)
	l.emits(60, "out=stale")
	l.quiet(75, 90)
	require.Zero(t, l.e.Stats().Outputs)
}

func TestTheLastValueComesBeforeTheStaleMarker(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.stale("a", 6)
	l.emits(15, "out=10@0")
	l.emits(30, "out=stale")
	l.quiet(45, 60)
}

func TestAnInputThatReturnsAfterAFailedScrapeGoesOn(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.feed("b", "out", 1, 5, 1)
	l.emits(15, "out=11@0")
	l.stale("a", 20)
	l.is(spatial.Increased, "a", "out", 1, 35, 14)
	l.emits(45, "out=15@0")
}

func TestAnOutputThatReturnsStartsAtItsLastEmittedTime(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.stale("a", 20)
	l.emits(30, "out=stale")
	l.is(spatial.Increased, "a", "out", 1, 50, 13) // it is still remembered
	l.emits(60, "out=3@30")
	for s := 75.0; s < 360; s += 15 {
		l.flush(s)
	}
	l.emits(360, "out=stale")
	l.is(spatial.BaselineMaybeEvicted, "a", "out", 1, 400, 20)
	l.is(spatial.First, "b", "out", 399, 400, 2)
	l.emits(405, "out=2@360")
}
