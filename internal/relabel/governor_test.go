package relabel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func TestGovernorRefuses(t *testing.T) {
	_, err := NewGovernor(GovernorSettings{TopK: &TopKSettings{K: 0}, Folder: &FolderSettings{MaxSeries: -1}})
	require.EqualError(t, err, "staleness: must be positive, got 0s\ntop_k: k: must be positive, got 0\nlimit: max_series: must be positive, got -1")
}

func TestGovernorWithoutPartsDecidesNothing(t *testing.T) {
	l := newLoop(t, Settings{}, GovernorSettings{})
	view := l.governor.View()
	require.NotNil(t, view)
	for i := range 100 {
		l.point(output{"pod": strconv.Itoa(i)})
	}
	assert.False(t, l.edge())
	assert.Same(t, view, l.governor.View())
	assert.Empty(t, view.Folds())
	assert.False(t, view.Members().Has(""))
	assert.Zero(t, l.governor.Known())
	assert.False(t, l.governor.Exhausted())
	l.governor.Restore(GovernorState{Folds: [][]Ref{bare("pod")}}, l.now)
	assert.Empty(t, l.governor.View().Folds())
}

func TestGovernorFoldsAtOnce(t *testing.T) {
	l := newLoop(t, Settings{}, limit(20))
	for i := range 20 {
		l.point(output{"pod": strconv.Itoa(i), "code": strconv.Itoa(i % 4)})
	}
	assert.Empty(t, l.governor.View().Folds())
	assert.Equal(t, "map[code:0]", l.point(output{"pod": "20", "code": "0"}), "the point that is one too many is folded itself")
	assert.Equal(t, []string{"pod"}, keysOf(l.governor.View().Folds()))
	assert.Equal(t, 21, l.governor.Known())
	asked := false
	assert.False(t, l.governor.See(l.rewriter.Identity(attrsOf(output{"pod": "20", "code": "0"}), nil).Unfolded.A, l.now,
		func(dst []Label) (uint64, []Label) { asked = true; return 0, dst }))
	assert.False(t, asked, "known outputs are not described")
	for i := range 500 {
		l.point(output{"pod": strconv.Itoa(i), "code": strconv.Itoa(i % 19)})
	}
	assert.Equal(t, []string{"pod"}, keysOf(l.governor.View().Folds()), "19 outputs are left")
	assert.False(t, l.governor.Exhausted())
}

func TestGovernorIsExhausted(t *testing.T) {
	l := newLoop(t, Settings{}, limit(10, Ref{OnPoint, "shop"}))
	for i := range 30 {
		l.point(output{"shop": strconv.Itoa(i), "code": strconv.Itoa(i % 3)})
	}
	assert.True(t, l.governor.Exhausted())
	assert.NotContains(t, keysOf(l.governor.View().Folds()), "shop")
	for l.now < 1_700_000_000*second+400*second {
		l.edge()
	}
	assert.False(t, l.governor.Exhausted(), "nothing is there any more")
	assert.Zero(t, l.governor.Known())
}

// A restored fold of what is protected since, or of one level that is, must not
// come back: an experiment's arms would melt into one.
func TestGovernorNeverFoldsWhatIsProtected(t *testing.T) {
	l := newLoop(t, Settings{}, limit(10, Ref{OnPoint, "shop"}))
	l.governor.Restore(GovernorState{Folds: [][]Ref{bare("pod", "shop"), {{OnPoint, "shop"}}, {{OnPoint, "x*"}}}}, l.now)
	assert.Equal(t, []Ref{{Bare, "pod"}, {OnResource, "shop"}}, l.governor.View().Folds())
	assert.Equal(t, "map[shop:s]", l.point(output{"pod": "p", "shop": "s"}))
}

// Such a key would be taken for a glob, and fold everything.
func TestGovernorNeverFoldsWhatCannotBeNamed(t *testing.T) {
	l := newLoop(t, Settings{}, limit(10))
	for i := range 40 {
		l.point(output{"*": strconv.Itoa(i), "": strconv.Itoa(i), "/x/": strconv.Itoa(i), "code": strconv.Itoa(i % 2), "zone": "z"})
	}
	assert.True(t, l.governor.Exhausted())
	assert.Subset(t, []string{"code"}, keysOf(l.governor.View().Folds()))
}

// Outputs that are away for an interval or two, or for all but the staleness,
// change nothing.
func TestGovernorHardlyEverChanges(t *testing.T) {
	s := limit(100)
	s.TopK = &TopKSettings{K: 3, Other: "other"}
	l := newLoop(t, Settings{Ranked: &Ranked{Ref{OnPoint, "route"}, "other"}}, s)
	r := rand.New(rand.NewPCG(3, 4))
	traffic := func(share float64) {
		for pod := range 60 {
			if r.Float64() >= share {
				continue
			}
			for route := range 10 {
				for range 1 + 20/(route+1) {
					l.point(output{"pod": strconv.Itoa(pod), "route": "r" + strconv.Itoa(route)})
				}
			}
		}
	}
	traffic(1)
	l.edge()
	traffic(1)
	l.edge()
	view := l.governor.View()
	assert.Equal(t, []string{"pod"}, keysOf(view.Folds()))
	assert.Equal(t, []string{"r0", "r1", "r2"}, view.Members().sorted())
	for i := range 200 {
		switch i % 9 {
		case 0, 1, 2:
			// silence
		case 3, 4:
			traffic(0.05)
		default:
			traffic(0.7)
		}
		require.False(t, l.edge(), "edge %d", i)
	}
	assert.Same(t, view, l.governor.View())
}

func TestGovernorEndsAFoldLate(t *testing.T) {
	l := newLoop(t, Settings{}, limit(100))
	pods := func(n int) {
		for pod := range n {
			l.point(output{"pod": strconv.Itoa(pod), "code": strconv.Itoa(pod % 3)})
		}
	}
	pods(150)
	l.edge()
	require.Len(t, l.governor.View().Folds(), 1)
	ended := uint64(0)
	start := l.now
	for i := 0; i < 100 && ended == 0; i++ {
		pods(20)
		if l.edge() {
			ended = l.now - start
		}
	}
	require.Empty(t, l.governor.View().Folds())
	// The staleness, during which the others count, then the patience.
	assert.InDelta(t, float64(300*second+DefaultFoldPatience*interval), float64(ended), float64(2*interval))
	assert.Equal(t, 20, l.governor.Known())
}

// Far more outputs than rows, with a fold that is not enough: those without a
// row count, too.
func TestGovernorCountsOutputsWithoutARow(t *testing.T) {
	const most = 600 // 1200 rows
	l := newLoop(t, Settings{}, limit(most))
	for pod := range 3_000 {
		l.point(output{"pod": strconv.Itoa(pod), "code": strconv.Itoa(pod % 5), "user": "u0"})
	}
	assert.Equal(t, []string{"pod"}, keysOf(l.governor.View().Folds()))
	assert.Equal(t, 2*most, l.governor.Known())
	// All rows are taken by outputs of five codes; users come on top
	for user := range 3_000 {
		l.point(output{"pod": "p", "code": strconv.Itoa(user % 5), "user": strconv.Itoa(user)})
		require.LessOrEqual(t, l.governor.tally.outputs(), most+1)
	}
	assert.Equal(t, []string{"pod", "user"}, keysOf(l.governor.View().Folds()), "and not code, of which the rows are full")
	assert.False(t, l.governor.Exhausted())
	assert.Equal(t, 2*most, l.governor.Known())
	view := l.governor.View()
	for i := range 60 {
		for pod := range 2_000 {
			l.point(output{"pod": fmt.Sprint(i, pod), "code": strconv.Itoa(pod % 5), "user": "u0"})
		}
		require.False(t, l.edge(), "nobody knows that users are few again")
	}
	assert.Same(t, view, l.governor.View())
	assert.LessOrEqual(t, l.alive(l.now), most)
}

// One row, and room for five outputs.
func TestAnOutputCountsOnceWithOrWithoutARow(t *testing.T) {
	l := newLoop(t, Settings{}, limit(5))
	l.governor.folder.columns.room = 1
	outputs := func(pods ...string) int {
		for _, pod := range pods {
			l.point(output{"pod": pod})
		}
		return l.governor.tally.outputs()
	}
	assert.Equal(t, 1, outputs("a"))
	assert.Equal(t, 2, outputs("b", "a", "b"))
	// a goes and b gets its row
	for range 25 {
		l.edge()
		outputs("b")
	}
	assert.Equal(t, 1, outputs("b"))
	assert.Equal(t, 2, outputs("c"))
	// c goes
	for range 25 {
		l.edge()
		outputs("b")
	}
	assert.Equal(t, 1, outputs("b"))
	// No more are remembered than one too many
	outputs("1", "2", "3", "4", "5", "6", "7", "8", "9")
	assert.Equal(t, 6, l.governor.tally.outputs())
	assert.True(t, l.governor.Exhausted(), "one row has nothing to choose from")
}

// Rows are for outputs that differ under the folds.
func TestARowIsTakenFromOneOfSeveral(t *testing.T) {
	for try := range 50 {
		l := newLoop(t, Settings{}, limit(6))
		l.governor.folder.columns.room = 12
		for i := range 12 {
			l.point(output{"pod": fmt.Sprint(try, "-", i), "code": strconv.Itoa(min(i, 4))})
		}
		require.Equal(t, []string{"pod"}, keysOf(l.governor.View().Folds()))
		require.Len(t, l.governor.tally.rows, 5)
		before := slices.Clone(l.governor.folder.columns.whole)
		l.point(output{"pod": fmt.Sprint(try, "-12"), "code": "4"})
		require.Equal(t, before, l.governor.folder.columns.whole, "it has one by others")
		l.point(output{"pod": "p", "code": fmt.Sprint("new", try)})
		require.Len(t, l.governor.tally.rows, 6)
		require.Empty(t, l.governor.tally.passing)
		checkTally(t, l)
	}
}

func TestPassersAreDescribedOnceAnInterval(t *testing.T) {
	l := newLoop(t, Settings{}, limit(10, Ref{Bare, "pod"}))
	described := map[uint64]int{}
	see := func(i int) {
		g := l.governor
		key := uint64(i) * 0x9e3779b97f4a7c15
		g.See(key, l.now, func(dst []Label) (uint64, []Label) {
			described[key]++
			return 0, append(dst, Label{series.Point, "pod", key})
		})
	}
	for range 5 {
		for i := range minRows + 100 {
			see(i)
		}
	}
	passed, twice := 0, 0
	for _, n := range described {
		passed += n
		if n > 1 {
			twice++
		}
	}
	require.Len(t, described, minRows+100)
	assert.LessOrEqual(t, twice, 10, "those that share a slot")
	l.edge()
	clear(described)
	for i := range minRows + 100 {
		see(i)
	}
	assert.Len(t, described, 100, "once to see that they are still there")
	assert.NotNil(t, l.governor.passers.Load())
	l.now += 10 * 60 * second
	l.edge()
	assert.Nil(t, l.governor.passers.Load(), "their memory is given back")
	assert.Zero(t, l.governor.Known())
}

func TestGovernorRestores(t *testing.T) {
	s := limit(50)
	s.TopK = &TopKSettings{K: 2, Other: "other"}
	l := newLoop(t, Settings{Ranked: &Ranked{Ref{OnPoint, "route"}, "other"}}, s)
	traffic := func(l *loop) {
		for pod := range 100 {
			l.point(output{"pod": strconv.Itoa(pod), "route": "r" + strconv.Itoa(pod%7)})
		}
	}
	traffic(l)
	l.edge()
	view := l.governor.View()
	require.Equal(t, []string{"pod"}, keysOf(view.Folds()))
	require.Equal(t, 2, view.Members().Len())

	next := l.restarted()
	assert.Equal(t, view.Folds(), next.governor.View().Folds())
	assert.Equal(t, view.Members(), next.governor.View().Members())
	assert.Equal(t, l.governor.State(), next.governor.State())
	// Nobody comes for long: that says nothing about the folds.
	for range 19 {
		require.False(t, next.edge())
	}
	traffic(next)
	require.False(t, next.edge())
	for range 50 {
		traffic(next)
		require.False(t, next.edge())
	}
	assert.Equal(t, view.Folds(), next.governor.View().Folds())
	// But at last it does.
	ended := false
	for range 60 {
		ended = next.edge() || ended
	}
	assert.True(t, ended)
	assert.Empty(t, next.governor.View().Folds())
}

// A clock that is set back must not keep outputs for ever.
func TestGovernorSurvivesAClockThatIsSetBack(t *testing.T) {
	l := newLoop(t, Settings{}, limit(50))
	day := uint64(24 * time.Hour)
	l.now += day
	for pod := range 30 {
		l.point(output{"pod": strconv.Itoa(pod)})
	}
	l.now -= day
	l.edge()
	assert.Equal(t, 30, l.governor.Known())
	for range 25 {
		l.edge()
	}
	assert.Zero(t, l.governor.Known())
}
