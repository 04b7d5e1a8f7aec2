package consolidation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// withdraw ends the rule and puts none in its place.
func (l *lab) withdraw(edge float64) []string {
	var got []emitted
	l.e.Retire(l.rule, at(edge), keep(&got))
	return lines(got)
}

func TestARuleThatReturnsCountsFromItsReturn(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.e.Watch(9, at(0)) // a static one
	l.is(spatial.First, "old", "out", 11, 15, 10)
	l.is(spatial.First, "again", "out", 11, 15, 100)
	l.rule = 9
	l.is(spatial.First, "other", "static", 1, 15, 7)
	l.rule = 1
	l.emits(15, "out=110@0", "static=7@0")
	require.Equal(t, []string{"out=stale"}, l.withdraw(15))
	l.emits(30)
	require.Equal(t, at(31), l.e.Watch(1, at(31)))
	// What came meanwhile passed..
	l.is(spatial.Late, "old", "out", 11, 14, 9)
	l.is(spatial.Duplicate, "old", "out", 11, 15, 10)
	require.Equal(t, c.NewOutput|c.Moved|c.Anew, l.is(spatial.BaselineOldStart, "old", "out", 11, 32, 18).Happened)
	l.is(spatial.First, "again", "out", 31.5, 32, 3)
	l.rule = 9
	l.is(spatial.Increased, "other", "static", 1, 32, 9)
	l.rule = 1
	l.emits(45, "out=3@31", "static=9@0")
	l.is(spatial.Increased, "old", "out", 11, 46, 20)
	l.emits(60, "out=5@31")
}

func TestARuleThatWatchesGoesOnAfterOthersCameAndWent(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("slow", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.retire(15) // 2 takes its place
	l.e.Watch(77, at(16))
	l.emits(30)
	l.e.Watch(78, at(31))
	l.e.Retire(77, at(30), func(*c.Emission) {})
	l.is(spatial.Increased, "slow", "out", 1, 35, 14)
	l.emits(45, "out=4@15.001")
}

func TestALevelThatReturnsIsTheLatest(t *testing.T) {
	l := newLab(t, c.Gauge)
	l.feed("a", "out", 0, 5, 10)
	l.feed("b", "out", 0, 5, 20)
	l.emits(15, "out=30@-")
	l.withdraw(15)
	l.emits(30)
	l.e.Watch(1, at(31))
	l.is(spatial.Late, "b", "out", 0, 4, 20) // it says nothing about now
	l.is(spatial.Accepted, "a", "out", 0, 32, 11)
	l.emits(45, "out=11@-")
	l.is(spatial.Accepted, "b", "out", 0, 46, 21)
	l.emits(60, "out=32@-")
}

func TestAnInputThatEndedBeforeItsRuleBeginsAnew(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.stale("a", 6)
	l.emits(15, "out=10@0")
	l.emits(30, "out=stale")
	l.withdraw(30)
	l.emits(45)
	l.e.Watch(1, at(46))
	l.feed("b", "out", 46.5, 47, 1) // takes the place of the output
	l.is(spatial.BaselineOldStart, "a", "out", 1, 48, 30)
	l.emits(60, "out=1@46")
}

func TestARestartWhileNoRuleWatches(t *testing.T) {
	for name, restart := range map[string]float64{"while it is away": 35, "after its return": 46} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.CumulativeSum)
			l.feed("a", "out", 1, 5, 10)
			l.emits(15, "out=10@0")
			l.withdraw(15)
			l.emits(30)
			if restart < 46 {
				l.restart(restart)
			}
			require.Equal(t, at(46), l.e.Watch(1, at(46)))
			if restart >= 46 {
				l.restart(restart)
			}
			l.is(spatial.BaselineOldStart, "a", "out", 1, 48, 30)
			l.is(spatial.Increased, "a", "out", 1, 49, 31)
			l.emits(60, "out=1@46")
		})
	}
}

// The journal knows the base line of an input that began anew: the checkpoint has what it remembered before.
func TestAKillAfterARuleReturned(t *testing.T) {
	e := c.New(c.Settings{Shards: 4, Bases: true})
	l := &lab{t: t, e: e, kind: c.CumulativeSum, rule: 1}
	e.Watch(1, at(0))
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.withdraw(15)
	l.emits(30)
	e.Watch(1, at(31))
	e.Bases(func(*c.Base) {})
	next := c.New(c.Settings{Shards: 8})
	for part := range e.Snapshot() {
		next.Restore(part, at(50))
	}
	l.is(spatial.BaselineOldStart, "a", "out", 1, 35, 30)
	l.is(spatial.Increased, "a", "out", 1, 36, 32)
	got := l.flush(45)
	require.Equal(t, []string{"out=2@31"}, lines(got))
	next.RestoreEdge(at(45))
	next.RestoreEmitted(&got[0].Emission, at(50))
	n := 0
	e.Bases(func(b *c.Base) {
		n++
		require.True(t, next.RestoreBase(b, at(50)))
	})
	require.Equal(t, 1, n)
	l.e = next
	l.is(spatial.Increased, "a", "out", 1, 51, 33)
	l.emits(60, "out=3@31")
}

func TestAPointUnderWayDoesNotJoinTheRuleThatReturns(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.withdraw(15)
	l.is(spatial.Increased, "a", "out", 1, 15.5, 11) // of a batch that the rule had begun
	require.Equal(t, []string{"out=1@15.5", "out=stale"}, lines(l.flush(30)))
	l.e.Watch(1, at(30))
	l.is(spatial.BaselineOldStart, "a", "out", 1, 35, 20)
	l.emits(45, "out=0@30.001")
}

func TestManyReleases(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	l.feed("b", "out", 1, 5, 10)
	l.retire(15)
	for range 2000 {
		l.e.Settle()
		l.e.Retire(77, at(15), func(*c.Emission) {})
	}
	l.is(spatial.Increased, "a", "out", 1, 16, 30)
	l.restart(20)
	l.is(spatial.Increased, "b", "out", 1, 21, 30)
}

// covered is an owner that knows that rules took all points.
type covered struct{ owner }

func (covered) Covered(since uint64) bool { return since >= at(15) }

func TestAnInputThatNeverPassedGoesOn(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.is(spatial.First, "a", "out", 1, 5, 10)
	l.emits(15, "out=10@0")
	l.retire(15) // another takes its place, and has not seen the input when it goes, too
	l.emits(30)
	l.retire(30)
	p := l.point("a", "out", 1, 35)
	p.Sum.Value = spatial.Int(14)
	require.Equal(t, spatial.Increased, l.e.Feed(p, covered{"out"}).Verdict)
	l.emits(45, "out=4@30")
}

func TestAGuestGoesWithItsRule(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		l := newLab(t, c.CumulativeSum)
		l.e.Watch(2, at(0))
		l.is(spatial.First, "host", "out", 1, 5, 100)
		l.rule = 2
		l.is(spatial.First, "guest", "out", 1, 5, 10)
		l.emits(15, "out=110@0")
		if restarted {
			l.restart(15)
		}
		require.Empty(t, l.withdraw(15), "the output is that of the other rule")
		l.rule = 1
		l.is(spatial.Increased, "host", "out", 1, 20, 101)
		l.emits(30, "out=111@0")
		l.rule = 2
		l.e.Watch(2, at(31))
		l.is(spatial.BaselineOldStart, "guest", "out", 1, 35, 17)
		l.is(spatial.Increased, "guest", "out", 1, 36, 18)
		l.rule = 1
		l.is(spatial.Increased, "host", "out", 1, 36, 102)
		l.emits(45, "out=113@0")
	}
}
