package consolidation_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

func TestNewInputsBeyondTheBoundFoldIntoOneOutput(t *testing.T) {
	l := newLab(t, c.DeltaSum)
	l.e = c.New(c.Settings{MaxStreams: 2})
	l.e.Watch(1, at(0))
	l.feed("a", "out-a", 1, 5, 1)
	l.feed("b", "out-b", 1, 5, 2)
	require.Equal(t, c.Folded|c.NewOutput, l.feed("c", "out-c", 1, 5, 3).Happened)
	require.Equal(t, c.Folded, l.feed("d", "out-d", 1, 5, 4).Happened, "equal times of two streams are no copy")
	l.is(spatial.Accepted, "a", "out-a", 5, 6, 10)
	l.emits(15, "out-a=11@1", "out-b=2@1", "overflow=7@1")
	require.Equal(t, 3, l.e.Stats().Inputs)
	l.feed("c", "out-c", 5, 20, 3)
	l.emits(30, "overflow=3@15")
	for s := 45.0; s <= 360; s += 15 {
		l.flush(s)
	}
	require.Equal(t, c.Stats{Tombstones: 3}, l.e.Stats())
	require.Zero(t, l.feed("c", "out-c", 350, 361, 3).Happened&c.Folded, "there is room again")
}

func TestWhatCannotBeFoldedIsCountedAndSaid(t *testing.T) {
	for kind, want := range map[c.Kind][]string{c.CumulativeSum: {"out=5@0", "overflow=0@0"}, c.Gauge: {"out=5@-"}} {
		l := newLab(t, kind)
		l.e = c.New(c.Settings{MaxStreams: 1})
		l.e.Watch(1, at(0))
		l.feed("a", "out", 1, 5, 5)
		require.NotZero(t, l.feed("b", "out", 1, 5, 500).Happened&(c.Folded|c.Dropped))
		l.feed("c", "out", 1, 5, 300)
		l.emits(15, want...)
	}
}

func TestNothingIsEmittedWithoutInputUntilTheHeartbeat(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.feed("b", "out", 1, 5, 10)
	l.emits(15, "out=20@0")
	l.quiet(30, 120)
	l.emits(135, "out=20@0") // the second sample out of two in
	l.quiet(150, 300)        // a third would be more than came in
	l.emits(315, "out=stale")
}

func TestIntegersPastTheirRangeBecomeDoublesAndAreCounted(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, math.MaxInt64)
	require.NotZero(t, l.feed("b", "out", 1, 5, 10).Happened&c.PastInteger)
	l.emits(15, "out=9.223372036854776e+18@0")
}
