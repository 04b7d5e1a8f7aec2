package consolidation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

func TestARuleChangeEndsOldOutputsAndLosesNothing(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e.Watch(9, at(0))
	l.is(spatial.BaselineOldStart, "a", "x", -100, 5, 1000)
	l.is(spatial.First, "b", "y", 1, 5, 50)
	l.rule = 9
	l.is(spatial.First, "other", "untouched", 1, 5, 7)
	l.rule = 1
	l.emits(15, "x=0@0", "y=50@0", "untouched=7@0")
	l.is(spatial.Increased, "a", "x", -100, 20, 1010)
	l.is(spatial.Increased, "b", "y", 1, 20, 55)
	l.emits(30, "x=10@0", "y=55@0")
	l.is(spatial.Increased, "b", "y", 1, 31, 56)

	var got []emitted
	l.e.Retire(1, at(30), keep(&got))
	require.ElementsMatch(t, []string{"x=stale", "y=56@0", "y=stale"}, lines(got))
	times := map[string][]uint64{}
	for _, g := range got {
		times[g.name] = append(times[g.name], g.Time-at(30))
	}
	require.Equal(t, map[string][]uint64{"x": {1e6}, "y": {1e6, 2e6}}, times, "no two points at one time")

	l.rule = 2
	require.Equal(t, at(30), l.e.Watch(2, at(30)))
	require.Equal(t, c.Moved|c.NewOutput, l.is(spatial.Increased, "a", "z", -100, 35, 1020).Happened)
	require.Equal(t, c.Moved, l.is(spatial.Increased, "b", "z", 1, 35, 57).Happened)
	l.is(spatial.First, "fresh", "z", 31, 35, 3)
	l.rule = 9
	l.is(spatial.Increased, "other", "untouched", 1, 35, 8)
	l.emits(45, "z=14@30", "untouched=8@0")
}

func TestANewRuleMayMakeTheSameOutput(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	require.Equal(t, []string{"out=stale"}, l.retire(15))
	l.is(spatial.Increased, "a", "out", 1, 20, 12)
	l.emits(30, "out=2@15.001") // after the marker
}

func TestRetiredGaugesAndDeltasShowTheirLast(t *testing.T) {
	l := newLab(t, c.Gauge)
	l.feed("a", "out", 0, 5, 10)
	l.feed("b", "out", 0, 6, 10)
	require.Equal(t, []string{"out=20@-", "out=stale"}, l.retire(15))
	l.feed("a", "all", 0, 20, 11)
	l.emits(30, "all=11@-") // b has not said where it belongs now
	l = newLab(t, c.DeltaSum)
	l.feed("a", "out", 1, 5, 10)
	require.Equal(t, []string{"out=10@1", "out=stale"}, l.retire(15))
	l.quiet(15, 30)
}

func TestAPointUnderWayWhenItsRuleIsRetiredIsNotLost(t *testing.T) {
	l := newLab(t, c.DeltaSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@1")
	require.Equal(t, []string{"out=stale"}, l.retire(15))
	l.rule = 1
	l.is(spatial.Accepted, "a", "out", 5, 16, 3)
	got := l.flush(30)
	require.Equal(t, []string{"out=3@15.001", "out=stale"}, lines(got), "nothing of the rule stays")
	require.Equal(t, at(30.001), got[1].Time)
	l.quiet(45, 90)
}

// A label that folds (top_k, limit) moves inputs from one output to another.
func TestAnInputThatMovesTakesItsLastValueAlong(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "path=/a", 1, 5, 10)
	l.feed("b", "path=/b", 1, 5, 20)
	l.emits(15, "path=/a=10@0", "path=/b=20@0")
	require.Equal(t, c.Moved|c.NewOutput, l.is(spatial.Increased, "b", "path=other", 1, 20, 26).Happened)
	l.emits(30, "path=other=6@0", "path=/b=stale")
	l = newLab(t, c.Gauge)
	l.feed("a", "x", 0, 5, 10)
	l.feed("b", "x", 0, 5, 20)
	l.emits(15, "x=30@-")
	l.feed("b", "y", 0, 20, 21)
	l.emits(30, "x=10@-", "y=21@-") // and is counted once
}

// Promotion: the candidate's processor hands over to the common one.
func TestHandoverKeepsIncreases(t *testing.T) {
	candidate, common := newLab(t, c.CumulativeSum), newLab(t, c.CumulativeSum)
	candidate.is(spatial.BaselineOldStart, "a", "out", -100, 5, 1000)
	candidate.is(spatial.First, "b", "out", 1, 5, 50)
	candidate.emits(15, "out=50@0")
	candidate.is(spatial.Increased, "a", "out", -100, 20, 1010)
	candidate.emits(30, "out=60@0")
	require.Equal(t, []string{"out=stale"}, candidate.retire(30))

	common.rule = 7
	common.e.Watch(7, at(30))
	for part := range candidate.e.Snapshot() {
		for i := range part.Inputs {
			require.True(t, common.e.Adopt(&part.Inputs[i], at(30)))
			require.False(t, common.e.Adopt(&part.Inputs[i], at(30)), "once")
		}
	}
	common.is(spatial.Increased, "a", "out", -100, 40, 1015)
	common.is(spatial.Increased, "b", "out", 1, 40, 51)
	common.emits(45, "out=6@30") // 66 in all, as the raw points say
}

func TestARestartBetweenAFlushAndACheckpoint(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e.Watch(2, at(0))
	l.feed("goes", "out", 1, 5, 10)
	l.feed("stays", "out", 1, 5, 10)
	l.emits(15, "out=20@0")
	var parts []*c.Part
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	l.feed("goes", "out", 1, 20, 15)
	l.feed("stays", "out", 1, 20, 30)
	l.feed("new", "fresh", 16, 20, 3)
	journal := l.flush(30)
	require.ElementsMatch(t, []string{"out=45@0", "fresh=3@0"}, lines(journal))

	l.e = c.New(c.Settings{Shards: 2}) // killed
	for _, part := range parts {
		require.Zero(t, l.e.Restore(part, at(40)))
	}
	l.e.RestoreEdge(at(30))
	for i := range journal {
		m := journal[i].Emission
		l.e.RestoreEmitted(&m, at(40))
	}
	require.Equal(t, at(0), l.e.Watch(1, at(40)), "it has watched since before")
	l.is(spatial.Increased, "stays", "out", 1, 41, 31)
	l.is(spatial.First, "new", "fresh", 16, 41, 4)
	l.emits(45, "out=45@0", "fresh=4@0") // 41 are known, 46 were: never less than shown
	l.is(spatial.Increased, "stays", "out", 1, 50, 50)
	l.emits(60, "out=60@0") // 65 but for what the lost input counted since the checkpoint
	lost := 0
	for s := 75.0; s < 400; s += 15 {
		l.feed("stays", "out", 1, s-1, 50)
		var got []emitted
		lost += l.e.Flush(at(s), keep(&got)).Lost
	}
	require.Equal(t, 1, lost)
}

func TestDeltasThatWentOutAreNotSentAgainAfterARestart(t *testing.T) {
	l := newLab(t, c.DeltaSum)
	l.feed("a", "out", 1, 5, 10)
	var parts []*c.Part
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	l.emits(15, "out=10@1")
	l.e = c.New(c.Settings{})
	for _, part := range parts {
		l.e.Restore(part, at(20))
	}
	l.e.RestoreEdge(at(15))
	l.quiet(30, 30)
	l.feed("a", "out", 5, 40, 2)
	l.emits(45, "out=2@15")
}

func TestHistogramsStayAtTheirFloorUntilCaughtUp(t *testing.T) {
	bounds := []float64{1, 2}
	l := newLab(t, c.CumulativeHistogram)
	l.histogram("goes", 5, bounds, 1, 0, 0)
	l.histogram("stays", 5, bounds, 1, 1, 1)
	l.flush(15)
	var parts []*c.Part
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	l.histogram("goes", 20, bounds, 5, 0, 0)
	l.histogram("stays", 20, bounds, 1, 2, 2)
	journal := l.flush(30)
	require.Equal(t, []string{"out=[6 2 2]@0"}, lines(journal))
	l.e = c.New(c.Settings{})
	for _, part := range parts {
		l.e.Restore(part, at(40))
	}
	l.e.RestoreEmitted(&journal[0].Emission, at(40))
	l.histogram("stays", 41, bounds, 2, 3, 3)
	l.emits(45, "out=[6 3 3]@0")
	l.restart(50) // the floor too is state
	l.histogram("stays", 55, bounds, 3, 3, 3)
	l.emits(60, "out=[6 3 3]@0")
	l.histogram("stays", 65, bounds, 10, 3, 3)
	l.emits(75, "out=[11 3 3]@0")
}

func TestExponentialHistogramsStayAtTheirFloorUntilCaughtUp(t *testing.T) {
	l := newLab(t, c.CumulativeExponential)
	feed := func(in string, time float64, scale, offset int32, zero uint64, counts ...uint64) {
		p := l.point(in, "out", 1, time)
		p.Exponential = &spatial.ExponentialPoint{Span: p.Sum.Span, Scale: scale, ZeroCount: zero, Positive: spatial.Buckets{Offset: offset, Counts: counts}, Count: zero}
		for _, n := range counts {
			p.Exponential.Count += n
		}
		require.True(t, l.e.Feed(p, owner("out")).Verdict.Counted())
	}
	feed("goes", 5, 1, 0, 1, 1, 0)
	feed("stays", 5, 1, 0, 0, 1, 1)
	l.flush(15)
	var parts []*c.Part
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	feed("goes", 20, 1, 0, 3, 4, 0, 0)
	feed("stays", 20, 1, 0, 0, 1, 1, 1)
	journal := l.flush(30)
	require.Equal(t, []string{"out=0 [5 1 1]@0"}, lines(journal))
	l.e = c.New(c.Settings{})
	for _, part := range parts {
		l.e.Restore(part, at(40))
	}
	l.e.RestoreEmitted(&journal[0].Emission, at(40))
	feed("stays", 41, 0, 0, 0, 3, 4) // a coarser scale: [2 1] and 5 new
	got := l.flush(45)
	require.Equal(t, []string{"out=0 [6 4]@0"}, lines(got))
	require.Equal(t, uint64(3), got[0].Exponential.ZeroCount)
	require.Equal(t, uint64(13), got[0].Exponential.Count)
	l.restart(50)
	feed("stays", 55, 0, 0, 9, 13, 4)
	got = l.flush(60)
	require.Equal(t, []string{"out=0 [14 4]@0"}, lines(got))
	require.Equal(t, uint64(10), got[0].Exponential.ZeroCount)
}

func TestAnOutputThatEndedAfterTheCheckpointDoesNotCountItsInputsAgain(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	var parts []*c.Part
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	l.feed("a", "out", 1, 20, 30)
	l.stale("a", 25)
	journal := append(l.flush(30), l.flush(45)...)
	require.Equal(t, []string{"out=30@0", "out=stale"}, lines(journal))
	l.e = c.New(c.Settings{})
	for _, part := range parts {
		l.e.Restore(part, at(50))
	}
	for i := range journal {
		l.e.RestoreEmitted(&journal[i].Emission, at(50))
	}
	l.is(spatial.BaselineMaybeEvicted, "a", "out", 1, 55, 34)
	l.emits(60, "out=0@45")
}

func TestStatesThatMakeNoSenseAreRefused(t *testing.T) {
	e := c.New(c.Settings{MaxStreams: 2})
	part := &c.Part{Inputs: []c.InputState{
		{Key: key("a"), Kind: c.CumulativeSum, Sum: spatial.SumPoint{Span: spatial.Span{Time: 1}, Value: spatial.Int(-1)}},
		{Key: key("b"), Kind: c.CumulativeHistogram},
		{Key: key("c"), Kind: c.CumulativeExponential, Exponential: &spatial.ExponentialPoint{Span: spatial.Span{Time: 1}, Scale: 99}},
		{Key: key("d"), Kind: c.Gauge},
		{Key: key("e"), Kind: c.Gauge, Sum: spatial.SumPoint{Span: spatial.Span{Time: 1}}},
		{Key: key("f"), Kind: c.Gauge, Sum: spatial.SumPoint{Span: spatial.Span{Time: 1}}},
		{Key: key("g"), Kind: c.Gauge, Sum: spatial.SumPoint{Span: spatial.Span{Time: 1}}},
	}}
	require.Equal(t, 5, e.Restore(part, at(0)))
	require.Equal(t, 2, e.Stats().Inputs)
}
