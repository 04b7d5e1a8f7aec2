package consolidation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// coarse describes an output whose rule keeps one bound of two.
type coarse struct {
	owner
	bounds *spatial.Bounds
}

func (d coarse) Describe() c.Description {
	return c.Description{Owner: string(d.owner), Bounds: d.bounds, KeepBounds: true}
}

func (l *lab) coarse(in string, time float64, sum float64, counts ...uint64) {
	l.t.Helper()
	p := l.point(in, "out", 1, time)
	b, v := spatial.NewBounds([]float64{1, 2})
	require.Equal(l.t, spatial.Accepted, v)
	kept, err := b.Keep([]float64{1})
	require.NoError(l.t, err)
	p.Histogram = &spatial.HistogramPoint{Span: p.Sum.Span, Bounds: b, Counts: counts, Moments: spatial.Moments{Sum: sum, Known: spatial.HasSum}}
	for _, n := range counts {
		p.Histogram.Count += n
	}
	l.e.Feed(p, coarse{"out", kept})
}

// kill restarts from a checkpoint and what was emitted since, as a journal has it.
func (l *lab) kill(now float64, parts []*c.Part, emitted []emitted, bases ...c.Base) {
	l.t.Helper()
	l.e = c.New(c.Settings{Shards: 4})
	for _, part := range parts {
		require.Zero(l.t, l.e.Restore(part, at(now)))
	}
	for i := range emitted {
		l.e.RestoreEdge(emitted[i].Time)
		m := emitted[i].Emission
		m.Owner = emitted[i].name
		l.e.RestoreEmitted(&m, at(now))
	}
	for i := range bases {
		l.e.RestoreBase(&bases[i], at(now))
	}
	l.e.Watch(1, at(now))
}

// bases are the base lines that a journal has at an edge.
func (l *lab) bases() (list []c.Base) {
	l.e.Bases(func(b *c.Base) { list = append(list, *b) })
	return list
}

func checkpointOf(l *lab) (parts []*c.Part) {
	for part := range l.e.Snapshot() {
		parts = append(parts, part)
	}
	return parts
}

// A histogram output that is made after the last checkpoint keeps the bounds of its rule over a crash.
func TestKilledOutputKeepsTheBoundsOfItsRule(t *testing.T) {
	l := newLab(t, c.CumulativeHistogram)
	parts := checkpointOf(l) // empty
	l.coarse("a", 5, 3, 1, 1, 1)
	got := l.flush(15)
	require.Equal(t, []float64{1}, got[0].Histogram.Bounds.Edges())
	l.kill(20, parts, got)
	l.coarse("a", 21, 6, 2, 2, 2)
	got = l.flush(30)
	assert.Equal(t, []float64{1}, got[0].Histogram.Bounds.Edges())
}

// The sum of a histogram does not fall after a crash, also when other inputs bring its counts up first.
func TestKilledOutputKeepsItsSum(t *testing.T) {
	l := newLab(t, c.CumulativeHistogram)
	l.coarse("a", 5, 3, 1, 0, 0)
	l.flush(15)
	parts := checkpointOf(l)
	l.coarse("b", 16, 100, 5, 0, 0) // new since the checkpoint, and does not come back
	got := l.flush(30)
	require.InDelta(t, 103, got[0].Histogram.Sum, 0)
	start := got[0].Start
	l.kill(35, parts, got)
	l.coarse("a", 36, 20, 11, 0, 0) // more measurements, smaller ones
	got = l.flush(45)
	assert.Equal(t, start, got[0].Start)
	assert.GreaterOrEqual(t, got[0].Histogram.Sum, 103.0)
}

// An input without a start time that is new since the last checkpoint goes on from its base line.
func TestKilledEngineKeepsTheBaseLineOfANewInput(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e = c.New(c.Settings{Bases: true})
	l.e.Watch(1, at(0))
	l.feed("a", "out", unknown, 5, 100)
	l.flush(15)
	require.Len(t, l.bases(), 1)
	require.Empty(t, l.bases(), "handed over once")
	parts := checkpointOf(l)
	l.feed("b", "out", unknown, 16, 1000) // the base line
	l.feed("b", "out", unknown, 17, 1010)
	got := l.flush(30)
	require.Equal(t, "10", got[0].String())
	l.kill(35, parts, got, l.bases()...)
	l.feed("a", "out", unknown, 36, 100)
	l.feed("b", "out", unknown, 36, 1025)
	got = l.flush(45)
	assert.Equal(t, "25", got[0].String(), "1025 - 1000")
}

// A base line of an output that ended since means nothing: what counted from it was shown in the former life.
func TestBaseLineOfAnEndedOutputIsNotUsed(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e = c.New(c.Settings{Bases: true, Staleness: 60 * time.Second})
	l.e.Watch(1, at(0))
	parts := checkpointOf(l)
	l.feed("a", "out", unknown, 5, 100)
	l.feed("a", "out", unknown, 6, 110)
	shown := l.flush(15)
	bases := l.bases()
	require.Len(t, bases, 1)
	l.stale("a", 16)
	shown = append(shown, l.flush(30)...)
	require.True(t, shown[len(shown)-1].Stale)
	l.feed("a", "out", unknown, 31, 111)
	l.feed("a", "out", unknown, 32, 112)
	again := l.flush(45)
	require.Equal(t, "2", again[0].String(), "since its last value: 112 - 110")
	l.kill(50, parts, append(shown, again...), bases...)
	l.feed("a", "out", unknown, 51, 113)
	got := l.flush(60)
	require.Equal(t, again[0].Start, got[0].Start)
	require.Equal(t, "2", got[0].String(), "the base line of a life that is not known: 113, not 113 - 100")
}
