package consolidation_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// V4: contrib makes two points of equal identity of inputs 1 ns apart.
func TestV4InputsOneNanosecondApartAreOneOutput(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	l.feed("a", "out", 1, 5, 10)
	p := l.point("b", "out", 1, 5)
	p.Sum.Time++
	p.Sum.Value = spatial.Int(7)
	l.e.Feed(p, owner("out"))
	l.emits(15, "out=17@0")
}

// V5: contrib falls when one of two counters is reset.
func TestV5ResetOfOneOfTwoCountersGrowsByTheOther(t *testing.T) {
	for name, start := range map[string]float64{"told by the start": 6, "told by the value": 1} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.CumulativeSum)
			l.is(spatial.First, "a", "out", 1, 5, 100)
			l.is(spatial.First, "b", "out", 1, 5, 50)
			l.emits(15, "out=150@0")
			require.True(t, l.feed("a", "out", start, 20, 0).Verdict.Reset())
			l.is(spatial.Increased, "b", "out", 1, 20, 60)
			l.emits(30, "out=160@0")
			l.is(spatial.Increased, "a", "out", start, 35, 4)
			l.emits(45, "out=164@0")
		})
	}
}

// V6: total of VictoriaMetrics jumps by all that inputs counted before a restart.
func TestV6RestartInTheMiddleNeitherJumpsNorLoses(t *testing.T) {
	t.Run("with state", func(t *testing.T) {
		l := newLab(t, c.CumulativeSum)
		l.is(spatial.BaselineOldStart, "old", "out", -3600, 5, 1_000_000)
		l.is(spatial.First, "new", "out", 1, 5, 10)
		l.emits(15, "out=10@0")
		l.restart(20)
		l.is(spatial.Increased, "old", "out", -3600, 50, 1_000_005)
		l.is(spatial.Increased, "new", "out", 1, 50, 30)
		l.emits(60, "out=35@0")
	})
	t.Run("without", func(t *testing.T) {
		l := newLab(t, c.CumulativeSum)
		l.feed("old", "out", -3600, 5, 1_000_000)
		l.flush(15)
		l.e = c.New(c.Settings{})
		l.e.Watch(1, at(40))
		l.is(spatial.BaselineOldStart, "old", "out", -3600, 50, 1_000_005)
		l.is(spatial.First, "pod", "out", 41, 50, 3)
		l.emits(60, "out=3@40")
		l.is(spatial.Increased, "old", "out", -3600, 65, 1_000_025)
		l.emits(75, "out=23@40")
	})
}

// V7: total_prometheus of VictoriaMetrics loses the first sample of every pod.
func TestV7PodsThatLiveTwoMinutesAreCountedWhole(t *testing.T) {
	l := newLab(t, c.CumulativeSum)
	born, most := 0, 0
	want := int64(0)
	for second := 1.0; second <= 20*minute; second++ {
		if int(second*200/60) > born { // 200 a minute
			for ; born < int(second*200/60); born++ {
				l.is(spatial.First, fmt.Sprint("pod", born), "out", second-0.5, second, 37)
				want += 37
			}
		}
		old := born - 400 // pods of two minutes say their last
		if old >= 0 {
			out := l.feed(fmt.Sprint("pod", old), "out", 0, second, 40)
			if out.Verdict.Counted() {
				want += 3
			}
		}
		if int(second)%15 == 0 {
			got := l.flush(second)
			require.Len(t, got, 1)
			require.Equal(t, want, got[0].Number.Int())
			most = max(most, l.e.Stats().Inputs)
		}
	}
	require.Less(t, most, 200*8, "memory follows the living and five minutes of the dead")
}
